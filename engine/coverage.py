"""What a summary rests on: short passages from all over the text, or from all over the parts that a question is about.

The text is divided, in its own order, into stretches of equal weight, and each stretch gives one passage: one that is
central to it, near to a key point, and no repetition of what was chosen before (maximal marginal relevance, Carbonell &
Goldstein 1998). A question weighs the text by how near each chunk is to it, so that stretches become short where it is
about, and first has chunks of its own, the more the fewer places it asks about: "Summarise the novel" hardly any,
"Summarise the quarrel of the two" all of them, which makes it retrieval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# How much a chunk loses for repeating what is chosen, and gains for being near to the question.
_REDUNDANCY, _RELEVANCE = 0.5, 3.0
# How many more places are tried than chunks of the usual size fit: the shortest may be chosen.
_MORE = 2
# Cosines differ in size and spread from encoder to encoder, so they are measured in those of chunks with each other.
_SAMPLE = 64
# A chunk's weight falls e-fold when it is by this part of that spread less near to a question about one place.
_FALL = 0.5
# The weight of a document's best chunk from which on the document must not be missing.
_MUST = 0.25
# The part of the budget that a question has at least; and how far its best place must stand out among the best of so
# many stretches of the text for it to be about a place of its own at all, and about nothing else.
_LEAST_PART, _STRETCHES, _BROAD, _NARROW = 0.2, 20, 0.4, 0.7


@dataclass(frozen=True)
class Place:
    """A chunk chosen for its stretch: its number, its score, and the number of the key point nearest to it, if any."""

    number: int
    score: float
    point: int | None


def part_of(cosines: np.ndarray, vectors: np.ndarray) -> float:
    """Return which part of the budget, 0.2 to 1, a question should have for the chunks that it finds itself.

    Cosines [n] of the question to unit vectors [n, dimension] of chunks in the order of the text. A question about one
    place has a stretch that stands out from the others; to one about everything, or nothing, all are alike.
    """
    mean, spread = _between(vectors)
    if not spread or not mean > 0:
        return _LEAST_PART
    best = np.array([stretch.max() for stretch in np.array_split(cosines, min(_STRETCHES, len(cosines)))])
    # What is near to nothing at all is no question about the text, whichever stretch it happens to be least far from.
    nearness = min(1.0, max(0.0, float(best.max())) / mean)
    standing_out = float(best.max() - np.median(best)) / spread * nearness
    return float(np.clip((standing_out - _BROAD) / (_NARROW - _BROAD), _LEAST_PART, 1.0))


def interest_of(cosines: np.ndarray, vectors: np.ndarray, part: float) -> np.ndarray:
    """Return how much of interest chunks are, 0 to 1 [n], to a question with these cosines and part of the budget."""
    fall = _FALL * _between(vectors)[1]
    return np.exp(part * (cosines - cosines.max()) / fall) if fall else np.ones(len(cosines))


def cover(
    vectors: np.ndarray,
    documents: np.ndarray,
    sizes: np.ndarray,
    budget: int,
    points: np.ndarray | None = None,
    interest: np.ndarray | None = None,
    relevance: np.ndarray | None = None,
) -> list[Place]:
    """Choose as many chunks as ``spread`` can within ``budget`` tokens; arguments as there.

    Coarse before fine: the first few are spread over the whole text too, so that any number may be left out at the end.
    """
    count = len(sizes)
    if sizes.sum() > budget:
        count = int(budget // float(np.median(sizes[sizes > 0]))) + _MORE
    while count > 0:
        places = spread(vectors, documents, sizes, count, points, interest, relevance)
        if sizes[[place.number for place in places]].sum() <= budget:
            return [places[number] for number in _coarse_first(len(places))]
        count = min(count, len(places)) - 1
    return []


def _coarse_first(count: int) -> list[int]:
    """Return 0 to ``count`` - 1 in an order whose every beginning is spread evenly (van der Corput's sequence)."""
    bits = max(1, (count - 1).bit_length())
    return [number for i in range(1 << bits) if (number := int(f"{i:0{bits}b}"[::-1], 2)) < count]


def spread(
    vectors: np.ndarray,
    documents: np.ndarray,
    sizes: np.ndarray,
    count: int,
    points: np.ndarray | None = None,
    interest: np.ndarray | None = None,
    relevance: np.ndarray | None = None,
) -> list[Place]:
    """Choose at most ``count`` chunks from all over the text, in its order.

    Every document has one, unless they are more than ``count``, or it is of little interest.

    Args:
        vectors: unit vectors [n, dimension] of the chunks, in the order of the text.
        documents: the number of each chunk's document [n], ascending.
        sizes: tokens of each chunk [n]; one without any is passed over.
        count: how many.
        points: vectors [m, dimension] of the key points, if there are any.
        interest: how much of interest each chunk is, 0 to 1 [n]; one of none is passed over. All alike if left out.
        relevance: the cosine of each chunk [n] to the question, if there is one.
    """
    has_points = points is not None and len(points) > 0
    nearness = vectors @ points.T if points is not None and has_points else np.zeros((len(vectors), 1))
    gain = nearness.max(axis=1) + (_RELEVANCE * relevance if relevance is not None else 0.0)
    chosen: list[Place] = []
    for stretch in _stretches(documents, sizes, np.ones(len(vectors)) if interest is None else interest, count):
        here = vectors[stretch]
        centre = here.mean(axis=0)
        known = here @ vectors[[place.number for place in chosen]].T if chosen else np.zeros((len(here), 1))
        scores = here @ (centre / (np.linalg.norm(centre) + 1e-9)) + gain[stretch] - _REDUNDANCY * known.max(axis=1)
        best = int(scores.argmax())
        number = int(stretch[best])
        chosen.append(Place(number, float(scores[best]), int(nearness[number].argmax()) if has_points else None))
    return chosen


def _between(vectors: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of the cosines of chunks with each other, from an even sample of them."""
    some = vectors[:: -(-len(vectors) // _SAMPLE)]
    cosines = (some @ some.T)[~np.eye(len(some), dtype=bool)]
    return (float(cosines.mean()), float(cosines.std())) if len(cosines) else (0.0, 0.0)


def _stretches(documents: np.ndarray, sizes: np.ndarray, interest: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the numbers of the chunks of each of at most ``count`` stretches of like weight: size times interest.

    A stretch lies in one document where there are enough for all that must not be missing.
    """
    there = np.flatnonzero((interest > 0) & (sizes > 0))
    if not len(there) or count < 1:
        return []
    weights = sizes[there] * interest[there]
    _, begins = np.unique(documents[there], return_index=True)
    parts = np.split(np.arange(len(there)), begins[1:])
    seats = np.array([interest[there[part]].max() >= _MUST for part in parts], dtype=np.int64)
    if seats.sum() > count:
        parts, seats = [np.arange(len(there))], np.array([count])
    totals, most = np.array([weights[part].sum() for part in parts]), np.array([len(part) for part in parts])
    # What is left goes, one by one, to whom has least for its weight (Sainte-Laguë).
    for _ in range(count - int(seats.sum())):
        seats[int(np.where(seats < most, totals / (2 * seats + 1), -1.0).argmax())] += 1
    found: list[np.ndarray] = []
    for part, number in zip(parts, np.minimum(seats, most), strict=True):
        if number:
            found += [there[stretch] for stretch in _alike(part, weights[part], int(number))]
    return found


def _alike(part: np.ndarray, weights: np.ndarray, count: int) -> list[np.ndarray]:
    """Divide ``part`` into at most ``count`` stretches of like weight; one that is heavy may stand for several."""
    if count >= len(part):
        return list(part[:, None])
    middles = np.cumsum(weights) - weights / 2
    labels = np.minimum(middles / weights.sum() * count, count - 1).astype(np.int64)
    return [part[labels == label] for label in np.unique(labels)]
