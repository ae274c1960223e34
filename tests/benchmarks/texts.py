"""Texts of any length, for measuring how something grows with it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from engine.chunking import sentences

# Characters between two numbered headings, so that every passage of a copy holds one.
_SECTION = 600


def repeated(text: str, copies: int) -> str:
    """The text, followed by copies of it with numbered headings: no passage of one is a passage of another."""
    parts = [text.rstrip()]
    for copy in range(2, copies + 1):
        parts += (f"Copy {copy}, section {number}.\n{part}" for number, part in enumerate(sections(text), 1))
    return "\n\n".join(parts)


def sections(text: str) -> Iterator[str]:
    """Cut a text at sentence ends into parts of about the same length."""
    begin = 0
    for _, end in sentences(text):
        if end - begin >= _SECTION:
            yield text[begin:end].strip()
            begin = end
    if rest := text[begin:].strip():
        yield rest


def copies_for(tokens: int, length: int) -> int:
    """How many copies of a text of ``length`` tokens have at least ``tokens``."""
    return max(1, math.ceil(tokens / length))
