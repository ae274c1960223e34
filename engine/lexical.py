"""Lexical search: BM25 over the terms of texts, for what an encoder overlooks (names, figures, rare words)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_CJK = re.compile(r"[\u3040-\uffff]")


def words(text: str, stemmer: Any | None = None) -> list[str]:  # noqa: ANN401 - a PyStemmer object
    """Split text into lower-case terms for lexical search; CJK runs become overlapping pairs of characters."""
    terms: list[str] = []
    for run in _WORD.findall(text.lower()):
        if _CJK.match(run) and len(run) > 1:
            terms.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            terms.append(run)
    return terms if stemmer is None else stemmer.stemWords(terms)


class LexicalIndex:
    """BM25 over texts, with an English stemmer (it leaves other scripts alone)."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english")
        self._size = len(texts)
        corpus = [words(text, self._stemmer) for text in texts]
        self._index = bm25s.BM25()
        # bm25s refuses a corpus without a single term; such a corpus is found by nothing.
        self._index.index(corpus if any(corpus) else [["\u0000"]] * max(1, len(corpus)), show_progress=False)

    def search(self, query: str, hits: int) -> list[int]:
        """Return the numbers of the texts that share a term with the query, best first."""
        terms = [term for term in words(query, self._stemmer) if term in self._index.vocab_dict]
        if not terms or not self._size:
            return []
        scores = self._index.get_scores(terms)
        order = np.argsort(-scores, kind="stable")[:hits]
        return [int(i) for i in order if scores[i] > 0]
