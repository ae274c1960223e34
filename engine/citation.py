"""Citations: every [n] in an answer names a passage that is shown, and supported sentences say which.

Works on the stream: text is passed on as it comes, an impossible [n] is taken out before it is shown, and at the end of
a sentence that cites nothing, the passage that shares most of its words is named if it shares enough. Sharing words is
a sign of support, not a proof of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.events import Passage
from engine.retrieval import words

# A passage supports a sentence when it holds this share of the sentence's content words, and this many of them.
_SHARE, _LEAST = 0.5, 2
_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_OPEN = re.compile(r"\s*(?:\[\d{0,3})?$")
_END = re.compile(r"[.!?][\"'\u201d\u2019)]?(?=\s)|[\u3002\uff01\uff1f]")
_STOP_WORDS = frozenset(
    "a an and are as at be been but by can did do does for from had has have he her him his how i if in into is it its "  # noqa: SIM905 - a column of quotes would hide the words
    "me my no not of on or our she so some than that the their them then there these they this those to up was we were "
    "what when where which while who whom whose why will with would you your also about because could after before "
    "during between over under again very just only".split()
)


class Citer:
    """Feeds on pieces of an answer and gives back pieces in which every [n] is true to the passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._numbers = {passage.number for passage in passages}
        self._terms = {passage.number: frozenset(words(passage.text)) for passage in passages}
        self._held = ""  # text not passed on yet: it may be the beginning of a marker, or end a sentence
        self._sentence = ""  # what was passed on of the current sentence

    def feed(self, piece: str) -> str:
        """Take the next piece; return the text that can be shown."""
        self._held += piece
        shown = ""
        while (found := _END.search(self._held)) is not None:
            head, self._held = self._held[: found.end()], self._held[found.end() :]
            shown += self._pass(head) + self._close(self._peek_marker())
        # A marker, or white space that may come before one, is held back until it is complete.
        keep = _OPEN.search(self._held)
        cut = keep.start() if keep else len(self._held)
        if _END.match(self._held[max(0, cut - 1) : cut] + " "):
            cut -= 1  # closing punctuation waits until it is known whether the sentence ends with it
        ready, self._held = self._held[:cut], self._held[cut:]
        return shown + self._pass(ready)

    def finish(self) -> str:
        """Return what was held back, with the last sentence's citation."""
        tail, self._held = self._held.rstrip(), ""
        open_marker = re.search(r"\s*\[\d{0,3}$", tail)
        return self._pass(tail[: open_marker.start()] if open_marker else tail) + self._close(False)

    def _peek_marker(self) -> bool:
        """Whether a true marker follows right after the sentence, as in "... Rome. [2]"."""
        follows = _MARKER.match(self._held)
        return follows is not None and int(follows[1]) in self._numbers

    def _pass(self, text: str) -> str:
        kept = _MARKER.sub(lambda m: m[0] if int(m[1]) in self._numbers else "", text)
        self._sentence += kept
        return kept

    def _close(self, cited_after: bool) -> str:
        """End the current sentence; return the citation to add, if any."""
        sentence, self._sentence = self._sentence, ""
        if cited_after or _MARKER.search(sentence):
            return ""
        number = self.support(sentence)
        return f" [{number}]" if number else ""

    def support(self, sentence: str) -> int | None:
        """Return the number of the passage that supports a sentence best, or None."""
        terms = {term for term in words(sentence) if term not in _STOP_WORDS}
        if len(terms) < _LEAST:
            return None
        shared = {number: len(terms & passage) for number, passage in self._terms.items()}
        best = max(shared, key=lambda number: shared[number], default=None)
        if best is None or shared[best] < max(_LEAST, _SHARE * len(terms)):
            return None
        return best


def cited(text: str) -> set[int]:
    """Return the passage numbers that a text cites."""
    return {int(number) for number in _MARKER.findall(text)}
