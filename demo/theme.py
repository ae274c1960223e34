"""How the page looks: a Gradio theme's settings and the little CSS it does not cover.

Colours come from the theme's variables, so that light and dark mode both work.
"""

from __future__ import annotations

from pathlib import Path

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
    "input_border_color_focus": "*primary_500",
    "input_border_color_focus_dark": "*primary_500",
}

_HERE = Path(__file__).parent
# What the page does by itself in the browser.
HEAD = f"<script>{(_HERE / 'page.js').read_text('utf-8')}</script>"
# What the theme does not cover.
CSS = (_HERE / "page.css").read_text("utf-8")
