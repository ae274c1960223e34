"""Lexical search: BM25 over the terms of texts, for what an encoder overlooks (names, figures, rare words).

Scripts written without spaces become overlapping pairs of characters, so that no dictionary is needed and every part
of a compound can be found.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Collection
from itertools import chain, pairwise
from typing import Any

import numpy as np

from engine.events import Meter, OnProgress, Stop
from engine.postings import PostingsBuilder

# Thai, Lao, Burmese, Khmer and their neighbours, Han, kana; and Hangul, which has spaces but joins particles to nouns.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7a3\uf900-\ufaff\U00020000-\U000323af"
)
_RUN = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
# What one writer puts and another leaves out: soft hyphens, joiners, direction and variation marks, and the points of
# Hebrew and Arabic with the stroke that stretches Arabic words.
_SILENT = re.compile(
    "[\u00ad\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]"
)
# Texts between two looks at the stop flag, a few milliseconds, and between two reports.
_STOP_EVERY, _REPORT_EVERY = 64, 4096
# Stretches of text whose terms are known at a time, of at most this many characters: some 60 MB.
_KNOWN, _LONG = 1 << 18, 32


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a word and of a character with its vowel signs and accents, no letters to Python's re."""
    basic = map(chr, range(0x300, 0x10000))
    marks = "".join(sign for sign in basic if unicodedata.category(sign) in ("Mn", "Mc"))
    return re.compile(rf"\w[\w{marks}]*"), re.compile(rf".[{marks}]*")


def words(text: str, stemmer: Any | None = None) -> list[str]:  # noqa: ANN401 - a PyStemmer object
    """Split text into lower-case terms for lexical search.

    Runs of unspaced scripts become overlapping pairs of characters, each with its vowel signs; of other scripts, words
    stay whole. Full-width, half-width and composed forms of a character are one term (Unicode NFKC).
    """
    word, _ = _patterns()
    terms: list[str] = word.findall(_plain(text))
    if not text.isascii():
        terms = [part for term in terms for part in (_parts(term) if _IS_UNSPACED.search(term) else (term,))]
    return terms if stemmer is None else stemmer.stemWords(terms)


def _plain(text: str) -> str:
    if not text.isascii():
        text = _SILENT.sub("", unicodedata.normalize("NFKC", text))
    # The Turkish capital I with its dot gives an i with a second dot.
    return text.lower().replace("i\u0307", "i").replace("_", " ")


def _parts(term: str) -> list[str]:
    """Split a term at changes between spaced and unspaced script, the latter into pairs of characters."""
    _, character = _patterns()
    parts: list[str] = []
    for run in _RUN.findall(term):
        single = character.findall(run) if _IS_UNSPACED.match(run) else [run]
        parts += [a + b for a, b in pairwise(single)] or single
    return parts


class LexicalIndex:
    """BM25 over texts. Nothing of it changes after building, so any number of threads may search at once."""

    def __init__(
        self,
        texts: Collection[str],
        language: str = "en",
        stop: Stop | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Index texts; words are stemmed by the rules of ``language`` ("en", "de", "zh-cn", ...).

        Where there are none for it, by those for English, which leave other scripts alone. The texts are gone through
        once and not kept. Progress counts texts, and a tenth more for the work at the end.

        Raises:
            Cancelled: ``stop`` was set.
        """
        self._language, self._size = language, len(texts)
        meter = Meter("indexing words", self._size + self._size // 10, on_progress)
        known, builder = _Terms(language), PostingsBuilder()
        for number, text in enumerate(texts):
            if number % _STOP_EVERY == 0:
                if stop is not None:
                    stop.check()
                if number % _REPORT_EVERY == 0:
                    meter.step(number)
            builder.add([*chain.from_iterable(map(known.__getitem__, text.split()))])
        self._postings = builder.finish(stop)
        meter.step(self._size + self._size // 10)

    @property
    def nbytes(self) -> int:
        """The size of the index in bytes."""
        return self._postings.nbytes

    def scores(self, query: str) -> np.ndarray:
        """Return the BM25 score [n] float32 of every text; 0 where it shares no term with the query."""
        found = np.zeros(self._size, np.float32)
        for term in words(query, stemmer_of(self._language)):
            at = self._postings.of(hash(term))
            found[self._postings.texts[at]] += self._postings.scores[at]
        return found

    def frequencies(self, query: str) -> dict[str, int]:
        """Return in how many texts each term of the query stands."""
        places = {term: self._postings.of(hash(term)) for term in words(query, stemmer_of(self._language))}
        return {term: at.stop - at.start for term, at in places.items()}

    def covered(self, query: str, text: str) -> float:
        """Return which part of the query's terms, weighed by how rare they are, a text holds: 0 to 1."""
        counts, terms = self.frequencies(query), set(words(text, stemmer_of(self._language)))
        rarity = {term: math.log(1 + (self._size - n + 0.5) / (n + 0.5)) for term, n in counts.items()}
        return sum(rarity[term] for term in rarity.keys() & terms) / (sum(rarity.values()) or 1.0)


class _Terms(dict[str, tuple[int, ...]]):
    """The hashes of the terms of a stretch of text without white space, kept for when it comes again.

    No term reaches across white space, so the terms of a text are those of its stretches.
    """

    def __init__(self, language: str) -> None:
        super().__init__()
        self._stemmer = stemmer_of(language)
        self._stemmer.maxCacheSize = (
            0  # what is kept here need not be kept there, and looking takes longer than stemming
        )

    def __missing__(self, stretch: str) -> tuple[int, ...]:
        found = tuple(map(hash, words(stretch, self._stemmer)))
        if len(stretch) <= _LONG:
            if len(self) == _KNOWN:
                self.clear()
            self[stretch] = found
        return found


def stemmer_of(language: str) -> Any:  # noqa: ANN401 - a PyStemmer object
    """Return a stemmer of the caller's own: one must not be used by two threads at once, and making it takes 1 µs."""
    import Stemmer

    try:
        return Stemmer.Stemmer(language.partition("-")[0])
    except KeyError:
        return Stemmer.Stemmer("en")
