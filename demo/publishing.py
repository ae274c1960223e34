"""Public endpoints with all that their docstrings say: Gradio alone shows neither arguments nor what is returned."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.context import get_blocks_context
from gradio.utils import get_function_params


def publish(method: Callable[..., Any], **settings: Any) -> None:  # noqa: ANN401 - those of gr.api
    """Offer a method as an endpoint of the page that is being built."""
    about, arguments, returns = described(method)
    endpoint: Any = gr.api  # type: ignore[attr-defined]
    made = endpoint(method, api_description=f"{about} Returns: {returns}", **settings)
    block: Any = get_blocks_context().fns[made["id"]]  # type: ignore[union-attr]
    for component, (name, *_) in zip(block.inputs, get_function_params(method), strict=True):
        component.label = name
        component._api_info = component._api_info | {"additional_description": arguments[name]}
    for component in block.outputs:
        component.label = "result"


def described(method: Callable[..., Any]) -> tuple[str, dict[str, str], str]:
    """Return what a docstring says of an endpoint, of each argument, and of what it returns, each on one line."""
    parts: dict[str, dict[str, list[str]]] = {"": {"": []}, "Args:": {}, "Returns:": {"": []}}
    part, name = "", ""
    for line in (inspect.getdoc(method) or "").splitlines():
        words = line.strip()
        if words in parts:
            part, name = words, ""
            continue
        if part == "Args:" and line.startswith("    ") and not line.startswith("     "):
            name, _, words = words.partition(": ")
        parts[part].setdefault(name, []).append(words)
    arguments = {name: _sentence(said) for name, said in parts["Args:"].items()}
    return _sentence(parts[""][""]), arguments, _sentence(parts["Returns:"][""])


def _sentence(lines: list[str]) -> str:
    words = " ".join(filter(None, lines))
    return words[:1].upper() + words[1:]
