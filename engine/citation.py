"""Citations: every [n] in an answer names a passage that is shown and that supports the sentence before it.

Works on the stream: text is passed on as it comes, and the markers of a sentence come out at its end, when it is known
what it states. A marker whose passage does not support the sentence gives way to that of one that does, or to none; a
sentence without a marker is given one in the same way. Thoughts that a model writes before its answer are left out.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from engine.chunking import FULL_STOP
from engine.claims import LEAD, states
from engine.events import Mark, Passage, Source
from engine.markers import MARKER, MARKERS, before_gap, begun, cited, numbers
from engine.sentences import Sentences
from engine.support import Support
from engine.thoughts import Thoughts

__all__ = ["Citer", "cited"]

_CLOSERS = "[\"'\u201d\u2019)*_]*"
# A marker, the end of a line, or what may end a sentence.
_TOKEN = re.compile(
    rf"(?P<marker>{MARKER})|(?P<line>\n\s*)|(?P<stop>[.!?]+{_CLOSERS})|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09*_]*"
)
_STOP = re.compile(rf"(?:{FULL_STOP})\Z")
# The number of an item in a list, whose full stop ends nothing.
_ITEM = re.compile(r"\W*\d{1,3}\Z")
_GAP = re.compile(r"\s*")
# White space is no custom between sentences that end with these.
_UNSPACED = re.compile("[\u2e80-\u9fff\uff00-\uffef\u201d\u2019]\\Z")
# Two texts that must not meet where a marker was taken out: words, sentences, and halves of another marker.
_MEETING = re.compile(r"[A-Za-z0-9.!?)\]]\Z")
_BRACKET = re.compile(r"\[[0-9]{0,3}\Z")
_SMALL = frozenset(string.ascii_lowercase)
_REMEMBERED = 16


class Citer:
    """Feeds on pieces of an answer and gives back pieces in which every [n] is true to the passages."""

    def __init__(
        self,
        passages: Sequence[Passage],
        question: str = "",
        language: str = "en",
        not_found: str = "",
        sentences: Sentences | None = None,
    ) -> None:
        """Cite ``passages`` in the answer to ``question``; both are in ``language`` ("en", "zh-cn", ...).

        ``sentences`` are those of the passages, with an encoder for support beyond the same words. ``not_found`` is the
        sentence that says that the passages hold no answer: it cites nothing.
        """
        self._sentences = Sentences(passages) if sentences is None else sentences
        self._support = Support(self._sentences, question, language)
        self._known = sorted(passage.number for passage in passages)
        self._not_found = not_found
        self._thoughts = Thoughts()
        self._fed: list[str] = []
        self._held = ""  # text not passed on yet: it may be the beginning of a marker, or end a sentence
        self._length = 0  # characters passed on
        self._last = ""  # the last of them
        self._is_cut = False  # a marker was taken out there
        self._named: list[int] = []  # what the writer cites for the current sentence
        self._said: list[str] = []  # what was passed on of it
        self._tail = ""  # the end of that
        self.marks: list[Mark] = []  # the sentences so far

    @property
    def fed(self) -> str:
        """All that was taken, as the generator wrote it."""
        return "".join(self._fed)

    @property
    def used(self) -> set[int]:
        """The numbers that the text cites so far."""
        return {source.passage for mark in self.marks for source in mark.sources}

    def feed(self, piece: str) -> str:
        """Take the next piece; return the text that can be shown."""
        self._fed.append(piece)
        self._held += self._thoughts.feed(piece)
        return self._advance(begun(self._held))

    def finish(self) -> str:
        """Return what was held back, with the last sentence's citations."""
        self._held += self._thoughts.finish()
        self._held = self._held[: begun(self._held)]
        return self._advance(None) + self._close()

    def quote(self, text: str, number: int, sentence: str) -> str:
        """Return a paragraph to add to the finished answer that quotes a ``sentence`` of passage ``number``."""
        found = (s for s in self._sentences if s.number == number and s.text == sentence)
        sources = tuple(Source(number, s.start, s.end) for s in found)[:1] or (Source(number, 0, 0),)
        gap = "\n\n" if self._length else ""
        start = self._length + len(gap)
        self.marks.append(Mark(start, start + len(text), sources))
        return self._shown(f"{gap}{text} [{number}]")

    def _advance(self, limit: int | None) -> str:
        """Pass on the held text up to ``limit``, from where on it may become a marker; None: all of it."""
        text, at, scan, shown = self._held, 0, 0, list[str]()
        cut = len(text) if limit is None else limit
        while (found := _TOKEN.search(text, scan)) is not None and found.start() < cut:
            if found["marker"]:
                shown.append(self._pass(text[at : before_gap(text, at, found.start())]))
                self._name(found[0])
                at = scan = found.end()
                continue
            end = before_gap(text, at, found.start()) if found["line"] else found.end()
            behind = MARKERS.match(text, end).end()  # type: ignore[union-attr]  # it may be empty
            if limit is not None and behind >= limit:
                cut = found.start()  # what comes next decides whether the sentence ends here
                break
            scan = found.end()
            if self._is_end(text, at, found, behind):
                shown.append(self._pass(text[at:end]))
                self._name(text[end:behind])
                shown.append(self._close(is_line=bool(found["line"])))
                at, scan = behind, max(behind, scan)
        shown.append(self._pass(text[at:cut]))
        self._held = text[cut:]
        return "".join(shown)

    def _is_end(self, text: str, at: int, found: re.Match[str], behind: int) -> bool:
        """Whether a sentence ends with what was found, when markers follow up to ``behind``."""
        said = (self._tail + text[max(at, found.start() - _REMEMBERED) : found.start()])[-_REMEMBERED:]
        after = _GAP.match(text, behind).end()  # type: ignore[union-attr]  # it may be empty
        # A line may break inside a sentence, a paragraph does not.
        goes_on = after > behind and text.count("\n", behind, after) < 2 and text[after : after + 1] in _SMALL
        if found["line"]:
            return bool(said.strip()) and not goes_on
        if not found["stop"] or behind > found.end():
            return True
        is_apart = after > behind or after == len(text)
        sign = found[0].rstrip("\"'\u201d\u2019)*_")
        return is_apart and not goes_on and (sign != "." or bool(_STOP.search(said + sign) and not _ITEM.match(said)))

    def _name(self, markers: str) -> None:
        """Take markers out of the text, and remember which passages they name."""
        self._named += [n for n in dict.fromkeys(numbers(markers, self._known)) if n not in self._named]
        self._is_cut = self._is_cut or bool(markers)

    def _pass(self, text: str) -> str:
        """Pass on text of the current sentence."""
        if not text:
            return ""
        if self._is_cut:
            if not self._last.strip() or self._last.endswith("\n"):
                text = text.lstrip(" ")
            elif _BRACKET.search(self._last) or (
                _MEETING.search(self._last) and text[0].isascii() and text[0].isalnum()
            ):
                text = " " + text
            self._is_cut = not text
        self._said.append(text)
        self._tail = (self._tail + text)[-_REMEMBERED:]
        return self._shown(text)

    def _close(self, is_line: bool = False) -> str:
        """End the current sentence; return its citations."""
        said, named = "".join(self._said), self._named
        self._said, self._tail, self._named = [], "", []
        sentence = said.strip()
        is_claim = states(sentence, is_line) and sentence != self._not_found
        if not sentence or not (is_claim or named) or sentence == self._not_found:
            return ""
        sources = self._support.of(sentence, named)
        if is_claim or sources:
            begin = self._length - len(said.lstrip())
            lead = LEAD.match(sentence).end()  # type: ignore[union-attr]  # it may be empty
            self.marks.append(Mark(begin + lead, begin + len(sentence), sources))
        citations = "".join(f"[{source.passage}]" for source in sources)
        self._is_cut = self._is_cut or bool(citations)
        return self._shown(citations if not citations or _UNSPACED.search(sentence) else f" {citations}")

    def _shown(self, text: str) -> str:
        self._length += len(text)
        self._last = (self._last + text)[-_REMEMBERED:]
        return text
