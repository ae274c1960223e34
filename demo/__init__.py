"""The web demo over the engine. Only ``ui.py`` knows Gradio."""
