"""Citations: every [n] in an answer names a passage that is shown, and supported sentences say which.

Works on the stream: text is passed on as it comes, an impossible [n] is taken out before it is shown, and at the end of
a sentence that cites nothing, the passage that shares most of its words is named if it shares enough. Sharing words is
a sign of support, not a proof of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.chunking import FULL_STOP
from engine.events import Passage
from engine.lexical import words

# A passage supports a sentence when it holds this share of the sentence's content words, and this many of them.
_SHARE, _LEAST = 0.5, 2
_MARKER = re.compile(r"\s*\[([0-9]{1,3})\]")
_END = re.compile(rf"(?:{FULL_STOP})[\"'\u201d\u2019)]?(?=\s)|[\u3002\uff01\uff1f][\u201d\u300d\u300f]?")
# What may follow a sentence and still belong to it; and what may yet become that, once more text is known.
_MARKERS = re.compile(r"(?:\s*\[[0-9]{1,3}\])*")
_UNDECIDED = re.compile(r"(?:\s*\[[0-9]{1,3}\])*\s*(?:\[[0-9]{0,3})?")
# The end of a text that may become a marker (with the white space before it) or end a sentence.
_OPEN = re.compile(r"[.!?][\"'\u201d\u2019)]?\Z|\s*(?:\[[0-9]{0,3})?\Z")
_BEGUN = re.compile(r"\s*\[[0-9]{0,3}\Z")
_STOP_WORDS = frozenset(
    "a an and are as at be been but by can did do does for from had has have he her him his how i if in into is it its "  # noqa: SIM905 - a column of quotes would hide the words
    "me my no not of on or our she so some than that the their them then there these they this those to up was we were "
    "what when where which while who whom whose why will with would you your also about because could after before "
    "during between over under again very just only".split()
)


class Citer:
    """Feeds on pieces of an answer and gives back pieces in which every [n] is true to the passages."""

    def __init__(self, passages: Sequence[Passage], question: str = "") -> None:
        self._asked = frozenset(words(question))
        self._numbers = {passage.number for passage in passages}
        self._terms = {passage.number: frozenset(words(passage.text)) for passage in passages}
        self._held = ""  # text not passed on yet: it may be the beginning of a marker, or end a sentence
        self._sentence = ""  # what was passed on of the current sentence
        self.fed = ""  # all that was taken, as the generator wrote it
        self.used: set[int] = set()  # the numbers that the text cites so far

    def feed(self, piece: str) -> str:
        """Take the next piece; return the text that can be shown."""
        self.fed += piece
        self._held += piece
        shown = ""
        while (ends := self._ends()) is not None:
            if _UNDECIDED.fullmatch(self._held, ends[1]):
                break
            markers = _MARKERS.match(self._held, ends[1])
            end = markers.end() if markers else ends[1]
            head, self._held = self._held[:end], self._held[end:]
            shown += self._pass(head) + self._close()
        held = _OPEN.search(self._held)
        cut = ends[0] if ends else held.start() if held else len(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return shown + self._pass(ready)

    def finish(self) -> str:
        """Return what was held back, with the last sentence's citation."""
        tail, self._held = self._held.rstrip(), ""
        open_marker = _BEGUN.search(tail)
        return self._pass(tail[: open_marker.start()] if open_marker else tail) + self._close()

    def _ends(self) -> tuple[int, int] | None:
        """Return where in the held text the punctuation that ends a sentence begins and ends."""
        # What was passed on tells an initial's full stop from a sentence's.
        before = self._sentence[-4:]
        found = _END.search(before + self._held, len(before))
        return (found.start() - len(before), found.end() - len(before)) if found else None

    def _pass(self, text: str) -> str:
        kept, begin = "", 0
        for marker in _MARKER.finditer(text):
            kept += text[begin : marker.start()]
            begin = marker.end()
            if int(marker[1]) in self._numbers:
                kept += marker[0]
            elif _BEGUN.search(self._sentence + kept):
                kept += " "  # or what stands around the lost marker would become one, as in [1[9]2]
        kept += text[begin:]
        self._sentence += kept
        return kept

    def _close(self) -> str:
        """End the current sentence; return the citation to add, if any."""
        sentence, self._sentence = self._sentence, ""
        if named := cited(sentence):
            self.used |= named
            return ""
        number = self.support(sentence)
        if number is None:
            return ""
        self.used.add(number)
        return f" [{number}]"

    def support(self, sentence: str) -> int | None:
        """Return the number of the passage that supports a sentence best, or None.

        What counts most is what the sentence says beyond the words of the question: repeating those proves nothing.
        """
        terms = {term for term in words(sentence) if term not in _STOP_WORDS}
        new = terms - self._asked
        if len(terms) < _LEAST or not new:
            return None
        shared = {n: (len(new & passage), len(terms & passage)) for n, passage in self._terms.items()}
        best = max(shared, key=lambda number: shared[number], default=None)
        if best is None:
            return None
        of_new, of_all = shared[best]
        return best if of_new >= _SHARE * len(new) and of_all >= max(_LEAST, _SHARE * len(terms)) else None


def cited(text: str) -> set[int]:
    """Return the passage numbers that a text cites."""
    return {int(number) for number in _MARKER.findall(text)}
