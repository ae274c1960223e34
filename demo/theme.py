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
"""
