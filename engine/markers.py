"""What models write as a citation: [1], [1][2], [1, 2], [1-3], [[1]], [^1], [Passage 2], 【1】, ［1］ and 【4†source】.

Parentheses are none, nor are page numbers, words in brackets, or numbers of more than three digits. What is shown is
plain [n], whatever was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_OPEN, _CLOSE = "[\\[\u3010\uff3b\u3014]", "[\\]\u3011\uff3d\u3015]"
_NUMBER = "[0-9\uff10-\uff19]{1,3}"
_NAMES = ("passages?", "sources?", "evidence", "refs?", "\u6bb5\u843d", "\u6765\u6e90", "\u8d44\u6599")
_DASH, _COMMA = "[-\u2013\u2014~\uff5e]", "(?:[,;&\uff0c\uff1b\u3001](?: ?and\\b)?|and\\b)"
_ITEM = rf"\^?(?:(?i:{'|'.join(_NAMES)})\.?[ \u3000]?)?#?{_NUMBER}"
_RANGE = rf"{_ITEM}(?: ?{_DASH} ?{_ITEM})?"
# What models with a search tool put behind the number.
_ORIGIN = "\u2020[^\\[\\]\u3010\u3011\n]{0,40}"
_BODY = rf" ?{_RANGE}(?: ?{_COMMA} ?{_RANGE}){{0,15}} ?(?:{_ORIGIN})?"
MARKER = rf"(?:\[\[{_BODY}\]\]|{_OPEN}{_BODY}{_CLOSE})"
# Markers behind a sentence, on its line.
MARKERS = re.compile(rf"(?:[^\S\n]*{MARKER})*")
_MARKER, _SHOWN = re.compile(MARKER), re.compile(r"\[([0-9]{1,3})\]")
_NUMBERS = re.compile(r"([0-9]+)(?: ?[-\u2013\u2014~] ?[^0-9,;&]{0,12}([0-9]+))?")


def _beginnings(words: str) -> str:
    """Return a pattern for every beginning of some words."""
    return "|".join(word[:length] for word in words.split() for length in range(len(word), 0, -1))


_SIGNS = "[#^,;&\uff0c\uff1b\u3001\\-\u2013\u2014~\uff5e. \u3000]"
_INNER = (
    rf"(?:{_SIGNS}|{_NUMBER}(?![0-9\uff10-\uff19])|(?i:{'|'.join(_NAMES)}|and)){{0,420}}"
    rf"(?:(?i:{_beginnings('passages sources evidence refs and')})|[\u6bb5\u6765\u8d44]|{_ORIGIN})?"
)
_BEGUN = re.compile(rf"(?:\[\[{_INNER}\]?|{_OPEN}{_INNER})\Z")
_LONGEST = 1000  # characters, more than the longest marker has


def begun(text: str) -> int:
    """Return where the end of a text begins that may become a marker once more is known; its length if there is none.

    White space before a marker belongs to it.
    """
    found = _BEGUN.search(text, max(0, len(text) - _LONGEST))
    return before_gap(text, 0, len(text) if found is None else found.start())


def before_gap(text: str, begin: int, end: int) -> int:
    """Return where the white space begins that ends at ``end``, not before ``begin``."""
    while end > begin and text[end - 1].isspace():
        end -= 1
    return end


def numbers(text: str, known: Sequence[int]) -> list[int]:
    """Return those of the ``known`` numbers that the markers in a text name, singly or in a range, in its order."""
    found: list[int] = []
    for marker in _MARKER.findall(text):
        body = unicodedata.normalize("NFKC", marker).partition("\u2020")[0]
        for first, last in _NUMBERS.findall(body):
            low, high = sorted((int(first), int(last or first)))
            found += [n for n in known if low <= n <= high]
    return found


def cited(text: str) -> set[int]:
    """Return the passage numbers that a text cites as [n]."""
    return {int(number) for number in _SHOWN.findall(text)}
