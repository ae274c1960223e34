"""Components of Gradio that take from a visitor no more than this page gives them."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio import processing_utils

from demo import text


async def _refuse(*_: object, **__: object) -> str:
    raise gr.Error(text.NO_DOWNLOADS, print_exception=False)


def refuse_downloads() -> None:
    """Fetch no address that a caller gives in place of a file: Gradio would take in any size, and hold it in memory."""
    processing_utils.async_ssrf_protected_download = _refuse


class Ticks(gr.CheckboxGroup):
    """Boxes to tick. What may be ticked is known to the service, also after a restart; here, nothing is refused."""

    is_template = True

    def preprocess(self, payload: Any) -> Any:  # noqa: ANN401 - whatever a caller sends
        """Return the texts among what was sent."""
        return [value for value in payload if isinstance(value, str)] if isinstance(payload, list) else []


class Name(gr.Dropdown):
    """A choice of one. What may be chosen is known to the service; what is no text is no choice."""

    is_template = True

    def preprocess(self, payload: Any) -> str:  # noqa: ANN401 - whatever a caller sends
        """Return what was chosen, "" for nothing."""
        return payload if isinstance(payload, str) else ""
