"""How the page looks: a Gradio theme's settings and the little CSS it does not cover.

Colours come from the theme's variables, so that light and dark mode both work.
"""

from __future__ import annotations

PRIMARY_HUE = "teal"
NEUTRAL_HUE = "slate"
# Fonts of the system: nothing is fetched from elsewhere.
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans CJK SC", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# Text and buttons dark enough to be read by everyone (contrast of 4.5 and more).
CONTRAST = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_400",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_400",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700",
    "color_accent": "*primary_700",
}

# A click on a citation opens the Evidence tab and brings its passage into view, without moving the page.
HEAD = """
<script>
document.addEventListener("click", (event) => {
  const link = event.target.closest ? event.target.closest("#chat a[href*='#passage-']") : null;
  if (!link) return;
  event.preventDefault();
  const tab = document.querySelector("#right button[role='tab']");
  if (tab) tab.click();
  setTimeout(() => {
    const card = document.getElementById(link.getAttribute("href").split("#")[1]);
    const panel = document.getElementById("evidence-panel");
    if (!card || !panel) return;
    document.querySelectorAll(".card.found").forEach((other) => other.classList.remove("found"));
    card.classList.add("found");
    panel.scrollTop += card.getBoundingClientRect().top - panel.getBoundingClientRect().top - 12;
    panel.scrollIntoView({ block: "nearest" });
  }, 80);
});
</script>
"""

CSS = """
/* Evidence that comes in above what is being looked at must not push it away. */
html, body { overflow-anchor: none; }
.gradio-container { max-width: 1500px !important; margin: 0 auto; padding: 12px 16px !important; }
#head h1 { margin: 0; font-size: 1.5rem; }
#head p { margin: 0; color: var(--body-text-color-subdued); }
/* Gradio's own trackers would cover these with numbers or "Error". */
#status [data-testid="status-tracker"], #progress [data-testid="status-tracker"] { display: none !important; }
#status { position: sticky; top: 0; z-index: 30; }
#status { border-radius: var(--radius-lg); padding: 8px 12px; background: var(--block-background-fill);
  border: 1px solid var(--border-color-primary); }
#cost:not(:has(.hint)), #progress:not(:has(.dot)) { display: none !important; }
#waiting label { max-width: 100%; min-width: 0; }
#waiting label span { overflow-wrap: anywhere; min-width: 0; }
#corpus input, #generator input, #mode input { text-overflow: ellipsis; padding-right: 26px; }
#chat .placeholder-content { padding: 16px; }
#status .dot, #progress .dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 8px;
  background: var(--color-accent); }
.busy .dot { animation: memorag-pulse 1s infinite alternate; }
#status .error { color: var(--error-text-color, #b91c1c); font-weight: 600; }
#status .error .dot { background: #dc2626; }
@keyframes memorag-pulse { from { opacity: 1; } to { opacity: 0.25; } }
.bar { height: 6px; border-radius: 3px; background: var(--border-color-primary); overflow: hidden; margin-top: 6px; }
.bar > div { height: 100%; background: var(--color-accent); transition: width 0.2s; }
.hint { color: var(--body-text-color-subdued); font-size: 0.9em; margin: 4px 0; }
.card { border: 1px solid var(--border-color-primary); border-left: 4px solid var(--color-accent);
  border-radius: var(--radius-md); padding: 8px 12px; margin-bottom: 10px; background: var(--block-background-fill);
  scroll-margin-top: 12px; }
.card.unused { border-left-color: var(--border-color-primary); }
.card.found { outline: 2px solid var(--color-accent); }
.card header { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: baseline; font-size: 0.9em; }
.card header b { color: var(--color-accent); }
.card .where { font-weight: 600; overflow-wrap: anywhere; }
.card p { margin: 6px 0 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.45; font-size: 0.93em; }
.card mark { background: color-mix(in srgb, var(--color-accent) 22%, transparent); color: inherit; border-radius: 3px;
  padding: 1px 2px; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.dark .card mark { background: color-mix(in srgb, var(--primary-400) 28%, transparent); }
.dark .card header b { color: var(--primary-400); }
/* Gradio loses a text-decoration in one word that has a variable in it. */
#chat .uncited { text-decoration-line: underline; text-decoration-style: dotted; text-decoration-thickness: 2px;
  text-decoration-color: var(--body-text-color-subdued); text-underline-offset: 4px; cursor: help; }
.tag { font-size: 0.8em; padding: 1px 8px; border-radius: 999px; border: 1px solid var(--border-color-primary);
  color: var(--body-text-color-subdued); }
.facts { width: 100%; border-collapse: collapse; font-size: 0.93em; }
.facts, .facts tr, .facts td { border: 0 !important; }
.facts td { padding: 3px 8px 3px 0; border-bottom: 1px solid var(--border-color-primary) !important;
  overflow-wrap: anywhere; }
.facts td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.clue { margin: 4px 0; font-size: 0.93em; overflow-wrap: anywhere; }
#evidence-panel, #memory-panel, #run-panel { max-height: 74vh; overflow-y: auto !important; scroll-behavior: smooth; }
footer { opacity: 0.7; }
#columns { display: grid; grid-template-columns: minmax(260px, 3fr) minmax(0, 6fr) minmax(280px, 5fr);
  grid-template-areas: "left centre right" "settings centre right"; grid-template-rows: auto 1fr; gap: 14px; }
#left { grid-area: left; } #settings { grid-area: settings; }
#centre { grid-area: centre; } #right { grid-area: right; }
@media (max-width: 900px) {
  #columns { grid-template-columns: minmax(0, 1fr); grid-template-rows: auto;
    grid-template-areas: "left" "centre" "right" "settings"; }
  #chat { height: 60vh !important; }
  #evidence-panel, #memory-panel, #run-panel { max-height: 70vh; }
}
/* Two answers side by side: there is room for both only where the panel is wide. */
#compare-panel { max-height: 74vh; overflow-y: auto !important; }
@media (min-width: 1151px) {
  #columns:has(#compare-panel .pair) { grid-template-columns: minmax(240px, 3fr) minmax(0, 5fr) minmax(280px, 7fr); }
}
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 14px; margin-top: 8px; }
.side { border-top: 3px solid var(--border-color-primary); padding-top: 6px; min-width: 0; }
.side:first-child { border-top-color: var(--color-accent); }
.side h4 { margin: 0 !important; font-size: 1.05em; }
.side .said { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; margin: 6px 0 10px; }
.side .cite { color: var(--color-accent); cursor: help; }
.side .problem { color: var(--error-text-color, #b91c1c); }
.unfinished .dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 8px;
  background: var(--color-accent); animation: memorag-pulse 1s infinite alternate; }
/* A stopped answer waits for nothing. */
body:not(:has(#status .busy)) .unfinished { display: none; }
.piece { border: 1px solid var(--border-color-primary); border-left: 4px solid var(--border-color-primary);
  border-radius: var(--radius-md); padding: 4px 10px; margin-bottom: 6px; font-size: 0.9em; }
.piece.alone { border-left-color: var(--color-accent); }
.piece summary { cursor: pointer; overflow-wrap: anywhere; }
.piece .where { font-weight: 600; }
.piece .tag { display: inline-block; white-space: nowrap; margin-right: 4px; }
.piece .preview { display: block; color: var(--body-text-color-subdued); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.piece[open] .preview { display: none; }
.piece p { margin: 6px 0 2px; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.45; }
.dark .side .cite, .dark #right button[role="tab"].selected { color: var(--primary-400); }
@media (max-width: 1150px) { .pair { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 900px) {
  #compare-panel { max-height: 70vh; }
  /* Room for four tabs on a phone. */
  #right .tab-container button { padding: 0 8px; }
}
/* The status line stays in view while the page is scrolled, and a phone's width is not given to margins. */
.gradio-container { overflow: clip !important; }
.gradio-container .main { padding: 16px clamp(0px, 10vw - 60px, 32px) !important; }
"""
