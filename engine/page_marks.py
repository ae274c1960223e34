"""Where text that was read from a page stands among the characters that are drawn there.

What was read has lost hyphens and running heads, and its lines were joined; another reader may put other spaces between
words and other characters for accents and ligatures. So letters and digits alone are compared. Both texts are aligned
as a whole, so that of two places with the same words the right one is found, and a different order does no harm.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

# Letters in a row that are looked for: where they stand once on both sides, they are the same place.
_SEED = 8
# Letters in a row that are no chance, unless they are all there is.
_LEAST_RUN = 12
# Letters between two found ones that belong to what was found.
_BRIDGED = 12


def drawn_places(read: str, spans: Sequence[tuple[int, int]], drawn: Sequence[str]) -> list[list[int]]:
    """Return for each span of ``read`` the indices of its characters in ``drawn``, in order; none where it is missing.

    A span is (start, end) in characters; ``drawn`` holds single characters.
    """
    here, here_places = _letters(read)
    there, there_places = _letters(drawn)
    breaks = [place for place, character in enumerate(drawn) if character in "\r\n"]
    ends = sorted({bisect_left(there_places, place) for place in breaks} | {len(there)})
    aligned = _aligned(here, there, ends)
    found = []
    for start, end in spans:
        begin, behind = bisect_left(here_places, start), bisect_left(here_places, end)
        letters = sorted(at for at in aligned[begin:behind] if at is not None)
        letters = letters or _same_turn(here, begin, behind, there)
        found.append(sorted({there_places[at] for at in _bridged(letters)}))
    return found


def _letters(characters: Iterable[str]) -> tuple[str, list[int]]:
    """Return the letters and digits, alike in all spellings, and for each of them the index of its character."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(characters):
        folded = _folded(character)
        letters += folded
        places += [place] * len(folded)
    return "".join(letters), places


@lru_cache(4096)
def _folded(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character).casefold()  # a ligature becomes letters, an accent a sign apart
    return "".join(part for part in parts if part.isalnum())


def _aligned(here: str, there: str, ends: Sequence[int]) -> list[int | None]:
    """Return for each letter here its place there, None where that is not known; lines there end at ``ends``.

    Lines often begin alike, and may come in another order: so a line that holds a seed is surer than one that only
    goes on from the line before.
    """
    first = there.find(here)
    if first >= 0 and there.find(here, first + 1) < 0:
        return list(range(first, first + len(here)))
    aligned: list[int | None] = [None] * len(here)
    runs, seeds = _runs(here, there)
    parts = [part for run in runs for part in _by_line(run, ends, seeds)]
    for at, other, length, _ in sorted(parts, key=lambda part: (not part[3], -part[2])):
        for step in range(length):
            if aligned[at + step] is None:
                aligned[at + step] = other + step
    return aligned


def _runs(here: str, there: str) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Return (place here, place there, length) of stretches that are the same, grown from seeds, and the seeds there.

    Seeds stand once on both sides.
    """
    known = _unique(there)
    common = [(place, known[seed]) for seed, place in _unique(here).items() if seed in known]
    runs: list[tuple[int, int, int]] = []
    at = other = length = 0
    for place, twin in common:
        if place - at == twin - other and place < at + length:
            continue
        at, other = place, twin
        while at and other and here[at - 1] == there[other - 1]:
            at, other = at - 1, other - 1
        length = place - at + _SEED
        while here[at + length : at + length + 1] == there[other + length : other + length + 1] != "":
            length += 1
        if length >= min(_LEAST_RUN, len(here)):
            runs.append((at, other, length))
    return runs, sorted(twin for _, twin in common)


def _by_line(
    run: tuple[int, int, int], ends: Sequence[int], seeds: Sequence[int]
) -> Iterator[tuple[int, int, int, bool]]:
    """Cut a stretch where lines end there; yield each part with whether a whole seed is in it."""
    at, begin, length = run
    behind = begin + length
    while begin < behind:
        end = min(behind, ends[bisect_right(ends, begin)])
        seed = bisect_left(seeds, begin)
        has_seed = seed < len(seeds) and seeds[seed] + _SEED <= end
        yield at, begin, end - begin, has_seed
        at, begin = at + end - begin, end


def _unique(letters: str) -> dict[str, int]:
    """Return the seeds that stand once in a text, in order, with their places."""
    places: dict[str, int] = {}
    for place in range(len(letters) - _SEED + 1):
        seed = letters[place : place + _SEED]
        places[seed] = -1 if seed in places else place
    return {seed: place for seed, place in places.items() if place >= 0}


def _same_turn(here: str, begin: int, behind: int, there: str) -> list[int]:
    """Find letters that stand in several places: when it is their third time here, take the third time there."""
    wanted = here[begin:behind]
    at = there.find(wanted) if wanted else -1
    for _ in range(here.count(wanted, 0, begin) if at >= 0 else 0):
        following = there.find(wanted, at + len(wanted))
        at = at if following < 0 else following
    return list(range(at, at + len(wanted))) if at >= 0 else []


def _bridged(places: Sequence[int]) -> list[int]:
    """Fill short gaps."""
    filled = list(places[:1])
    for before, place in pairwise(places):
        filled += range(before + 1, place) if place - before <= _BRIDGED + 1 else ()
        filled.append(place)
    return filled
