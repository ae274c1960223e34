"""Lexical search: BM25 over the terms of texts, for what an encoder overlooks (names, figures, rare words).

Scripts written without spaces become overlapping pairs of characters, so that no dictionary is needed and every part
of a compound can be found.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.events import Stop

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
# Texts between two looks at the stop flag: a few milliseconds.
_STOP_EVERY = 64


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
        parts += [a + b for a, b in itertools.pairwise(single)] or single
    return parts


class LexicalIndex:
    """BM25 over texts. Nothing of it changes after building, so any number of threads may search at once."""

    def __init__(self, texts: Sequence[str], language: str = "en", stop: Stop | None = None) -> None:
        """Index texts; words are stemmed by the rules of ``language`` ("en", "de", "zh-cn", ...).

        Where there are none for it, by those for English, which leave other scripts alone.

        Raises:
            Cancelled: ``stop`` was set.
        """
        import bm25s

        self._language, self._size = language, len(texts)
        stemmer, vocabulary = stemmer_of(language), dict[str, int]()
        rows: list[list[int]] = []
        for number, text in enumerate(texts):
            if stop is not None and number % _STOP_EVERY == 0:
                stop.check()
            rows.append([vocabulary.setdefault(term, len(vocabulary)) for term in words(text, stemmer)])
        self._has_terms = bool(vocabulary)
        if not vocabulary:  # bm25s refuses a corpus without a single term; such a corpus is found by nothing
            rows, vocabulary = [[0]], {"": 0}
        self._index = bm25s.BM25()
        self._index.index((rows, vocabulary), show_progress=False)

    def scores(self, query: str) -> np.ndarray:
        """Return the BM25 score [n] float32 of every text; 0 where it shares no term with the query."""
        terms = [term for term in words(query, stemmer_of(self._language)) if term in self._index.vocab_dict]
        if not terms or not self._has_terms:
            return np.zeros(self._size, np.float32)
        return np.asarray(self._index.get_scores(terms), np.float32)

    def frequencies(self, query: str) -> dict[str, int]:
        """Return in how many texts each term of the query stands."""
        known, starts = self._index.vocab_dict, self._index.scores["indptr"]
        places = {term: known.get(term) for term in words(query, stemmer_of(self._language))}
        return {term: 0 if at is None else int(starts[at + 1] - starts[at]) for term, at in places.items()}

    def covered(self, query: str, text: str) -> float:
        """Return which part of the query's terms, weighed by how rare they are, a text holds: 0 to 1."""
        counts, terms = self.frequencies(query), set(words(text, stemmer_of(self._language)))
        rarity = {term: math.log(1 + (self._size - n + 0.5) / (n + 0.5)) for term, n in counts.items()}
        return sum(rarity[term] for term in rarity.keys() & terms) / (sum(rarity.values()) or 1.0)

    def search(self, query: str, hits: int) -> list[int]:
        """Return the numbers of the texts that share a term with the query, best first."""
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")[:hits]
        return [int(i) for i in order if scores[i] > 0]


def stemmer_of(language: str) -> Any:  # noqa: ANN401 - a PyStemmer object
    """Return a stemmer of the caller's own: one must not be used by two threads at once, and making it takes 1 µs."""
    import Stemmer

    try:
        return Stemmer.Stemmer(language.partition("-")[0])
    except KeyError:
        return Stemmer.Stemmer("en")
