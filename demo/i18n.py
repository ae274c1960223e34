"""Labels that are built with the page once for everybody, and put into words by each visitor's browser.

Gradio's front end (6.31) does so for the label, info, placeholder and value of components, for the labels of tabs and
accordions, and for choices; also inside a longer text that is not escaped, once per text. It does not for the page's
title, the examples of a chat and messages: those are for the server to say.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.i18n import I18nData

from demo import text

_PROPERTIES = ("label", "info", "placeholder", "value", "choices")
_MARKER = re.compile(r'__i18n__\{[^}]*"key": "([^"]*)"\}')


class Labels(gr.I18n):
    """What ``launch`` takes as ``i18n``. Called with the name of a sentence, it returns what stands for it in a page.

    ``say("ASK")`` is the sentence of that name, ``say("MODES.rag")`` one in a table.
    """

    def __init__(self) -> None:
        chinese = _words(text.CHINESE)
        super().__init__(**{"en": _words(text.ENGLISH), "zh-CN": chinese, "zh-TW": chinese})

    def __call__(self, key: str) -> I18nData:
        """Return what stands for a sentence.

        Raises:
            LookupError: there is no sentence of that name that is whole, without values to fill in.
        """
        if key not in self.translations["en"]:
            raise LookupError(f"There is no sentence {key!r} that is whole; see english.py.")
        return super().__call__(key)


def labels() -> Labels:
    """Return what names the sentences of a page."""
    return Labels()


def say_again(demo: gr.Blocks, say: Labels) -> None:
    """Let the server put all labels into words once more, when a visitor opens the page who is spoken to in Chinese.

    The front end knows zh-CN and zh-TW only, and looks at a browser's first language only: others would see labels in
    English among sentences in Chinese. To be called inside the page, after everything else.
    """
    chinese = say.translations["zh-CN"]
    marked = {block: found for block in demo.blocks.values() if (found := _marked(block))}
    said = [{name: _said(value, chinese) for name, value in found.items()} for found in marked.values()]

    def speak(request: gr.Request) -> list[Any]:
        is_chinese = text.language_of(request.headers.get("accept-language")) == text.CHINESE
        return [gr.update(**changed) if is_chinese else gr.skip() for changed in said]

    demo.load(speak, None, list(marked), queue=False, show_progress="hidden", api_visibility="private")


def _words(code: str) -> dict[str, str]:
    """Return every sentence in a language that has nothing to fill in."""
    return {name: said for name, said in text.sentences(code).items() if _is_whole(said)}


def _is_whole(sentence: str) -> bool:
    return all(field is None for _, field, _, _ in Formatter().parse(sentence))


def _marked(block: Block) -> dict[str, Any]:
    """Return the properties of a component that name a sentence."""
    values = {name: getattr(block, name, None) for name in _PROPERTIES}
    return {name: value for name, value in values.items() if _MARKER.search(str(value))}


def _said(value: Any, sentences: dict[str, str]) -> Any:  # noqa: ANN401 - a text, or choices
    if isinstance(value, list):
        return [(_said(shown, sentences), chosen) for shown, chosen in value]
    return _MARKER.sub(lambda marker: sentences[marker[1]], str(value))
