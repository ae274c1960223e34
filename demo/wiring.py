"""Between handlers and Gradio: the visitor's language is set for each step, and updates are found by their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

import gradio as gr

from demo import text
from demo.talk import Updates


def spoken(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a handler speak the language of the browser that called it.

    Gradio runs each step of a generator in a context of its own, so the language is set for every step.
    """
    if not inspect.isgeneratorfunction(method):

        @wraps(method)
        def once(*given: Any) -> Any:  # noqa: ANN401 - whatever the handler takes and gives
            with text.speaking(_language(given)):
                return method(*given)

        return once

    @wraps(method)
    def steps(*given: Any) -> Iterator[Any]:  # noqa: ANN401
        code, running = _language(given), method(*given)
        try:
            while True:
                with text.speaking(code):
                    try:
                        update = next(running)
                    except StopIteration:
                        return
                yield update
        finally:
            with text.speaking(code):
                running.close()

    return steps


def named(method: Callable[..., Any], parts: Mapping[str, Any]) -> Callable[..., Any]:
    """Let a handler speak, and hand the updates that it names to Gradio's components."""
    speaking = spoken(method)

    def sent(updates: Updates) -> dict[Any, Any]:
        found = {parts[name]: update for name, update in updates.items()}
        # Gradio takes an empty dictionary for missing values, and covers every output with "Error".
        return found or {next(iter(parts.values())): gr.skip()}

    if inspect.isgeneratorfunction(method):

        @wraps(method)
        def steps(*given: Any) -> Iterator[dict[Any, Any]]:  # noqa: ANN401
            running = speaking(*given)
            try:
                for updates in running:
                    yield sent(updates)
            finally:
                running.close()

        return steps

    @wraps(method)
    def once(*given: Any) -> dict[Any, Any]:  # noqa: ANN401
        return sent(speaking(*given))

    return once


def _language(given: tuple[Any, ...]) -> str:
    request = next((value for value in given if isinstance(value, gr.Request)), None)
    headers = getattr(request, "headers", None)
    return text.language_of(headers.get("accept-language") if headers is not None else None)
