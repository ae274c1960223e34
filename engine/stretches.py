"""Long text cut into few stretches of like length, without reading all of it: where counting tokens would take minutes.

Cuts fall where sentences end. How many tokens there are is told by a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from engine.chunking import Chunk, sentence_end
from engine.documents import Document

# So many places of the text, of so many characters each, stand for all of it.
_PLACES, _PLACE = 32, 1000


def density(documents: Sequence[Document], count_tokens: Callable[[str], int]) -> float:
    """Return about how many tokens a character of the documents has; 0 for documents without any text."""
    total = sum(len(document.text) for document in documents)
    step, begin, sample = max(_PLACE, total // _PLACES), 0, list[str]()
    for document in documents:
        # Places are evenly spaced in the corpus, so that a document counts by its length.
        sample += [document.text[at : at + _PLACE] for at in range(-begin % step, len(document.text), step)]
        begin += len(document.text)
    return sum(map(count_tokens, sample)) / max(1, sum(map(len, sample)))


def even_stretches(documents: Sequence[Document], count: int, tokens_per_character: float) -> list[Chunk]:
    """Cut documents into ``count`` stretches, or fewer, of like length; each document has one at least.

    Together they cover the documents. Their ``tokens`` are an estimate.
    """
    total, spare = sum(len(document.text) for document in documents), max(0, count - len(documents))
    stretches: list[Chunk] = []
    for number, document in enumerate(documents):
        text, parts = document.text, 1 + len(document.text) * spare // max(1, total)
        cuts = {sentence_end(text, len(text) * part // parts) for part in range(1, parts)}
        for start, end in pairwise(sorted({0, *cuts, len(text)})):
            stretches.append(Chunk(number, start, end, int((end - start) * tokens_per_character) + 1))
    return stretches
