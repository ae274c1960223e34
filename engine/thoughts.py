"""What reasoning models think aloud before they answer, kept out of the answer while it streams.

Such models write ``<think>...</think>`` first (Qwen 3, DeepSeek R1). Some servers swallow the opening tag, or the
model's template has it in the prompt: then a text that begins as thoughts do ("Okay, the user asks ...") is
held back until the closing tag comes, and given out whole if none does. A text that begins like an answer is passed on
at once, and tags in it are part of it.
"""

from __future__ import annotations

import re

_OPENING = ("<think>", "<thinking>", "<thought>")
_CLOSING = re.compile(r"</(?:think|thinking|thought)>", re.IGNORECASE)
_CLOSINGS = ("</think>", "</thinking>", "</thought>")
_LONGEST = max(map(len, _CLOSINGS))
# How thoughts begin where their opening tag is missing; answers seldom do, and lose only time by it.
_MUSINGS = (
    *("okay", "ok,", "alright", "hmm", "let me ", "let's ", "i need to ", "we need to ", "the user ", "first, i "),
    *("\u597d\u7684\uff0c", "\u55ef\uff0c", "\u9996\u5148\uff0c\u6211"),
)


class Thoughts:
    """Feeds on pieces of what a model writes and gives back the answer without the thoughts before it."""

    def __init__(self) -> None:
        self._held = ""  # not decided yet, or the last characters of thoughts, which may begin the closing tag
        self._mused: list[str] = []  # what is thoughts only if a closing tag comes
        self._state = "begin"  # then "inside", "musing", or "over"
        self._had_any = False

    def feed(self, piece: str) -> str:
        """Take the next piece; return what of it belongs to the answer."""
        if self._state == "over":
            return piece
        self._held += piece
        if self._state == "begin":
            self._begin()
        while self._state in ("inside", "musing") and self._close():
            self._begin()
        if self._state != "over":
            return ""
        held, self._held = self._held, ""
        return held

    def finish(self) -> str:
        """Return what was held back and is no thought after all."""
        held = "" if self._state == "inside" else "".join([*self._mused, self._held])
        self._mused, self._held, self._state = [], "", "over"
        return held

    def _begin(self) -> None:
        """Decide from the beginning of the text what it is, if that can be told yet."""
        self._state = "begin"
        text = self._held.lstrip()
        start = text[: max(map(len, (*_CLOSINGS, *_MUSINGS)))].lower()
        if tag := next((tag for tag in (*_OPENING, *_CLOSINGS) if start.startswith(tag)), None):
            self._held, self._had_any = text[len(tag) :], True
            self._state = "inside"
            if tag in _CLOSINGS:
                self._begin()
        elif not self._had_any and start.startswith(_MUSINGS):
            self._state = "musing"
        elif not any(
            known.startswith(start) for known in (*_OPENING, *_CLOSINGS, *(() if self._had_any else _MUSINGS))
        ):
            self._state = "over"
            self._held = text if self._had_any else self._held

    def _close(self) -> bool:
        """Drop thoughts up to their closing tag; whether it is there."""
        if (tag := _CLOSING.search(self._held)) is None:
            cut = max(0, len(self._held) - _LONGEST)
            if self._state == "musing":
                self._mused.append(self._held[:cut])
            self._held = self._held[cut:]
            return False
        self._held, self._mused, self._had_any = self._held[tag.end() :], [], True
        return True
