"""What a visitor may upload, case by case: what the file is, how it is made, and what must come of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from engine.documents import Limits

MB = 2**20
# A quick file must be done with in this many seconds, a large one in as many as any file may take.
QUICKLY = 20.0
_SENTENCES = (
    "the keeper trimmed the wick and wrote the height of the tide into his book",
    "a schooner from the north asked for water, for bread and for news of the ice",
    "fog lay over the skerries until noon, and the bell was rung every two minutes",
    "nobody came up the stair but the cat, who slept beside the warm lamp",
)


@dataclass(frozen=True)
class Read:
    """The file is read: its ``text``, and by the words found there the page and the section of places in it.

    Without ``same_lines``, spaces and ends of lines are not compared.
    """

    text: Callable[[], str]
    places: Mapping[str, tuple[int | None, str | None]] = field(default_factory=dict)
    name: str | None = None
    notes: int = 0
    same_lines: bool = True


@dataclass(frozen=True)
class Refused:
    """The file is refused in a sentence that holds these words."""

    words: str
    error: str = "DocumentError"


@dataclass(frozen=True)
class Case:
    """A file that ``make`` writes to the path it is given.

    ``given`` is what the visitor calls the file, where that is not the name it has on disk.
    """

    name: str
    file: str
    make: Callable[[Path], object]
    expected: Read | Refused
    given: str | None = None
    limits: Limits = field(default_factory=Limits)
    password: str | None = None
    large: bool = False

    @property
    def within(self) -> float:
        """The seconds that it may take at most."""
        return self.limits.max_seconds if self.large else QUICKLY


def holding(data: Callable[[], bytes]) -> Callable[[Path], object]:
    """Return what makes a file of bytes that are made only when they are needed."""
    return lambda path: path.write_bytes(data())


def entries() -> Iterator[str]:
    """Yield numbered lines of plain English without an end, no two of them alike."""
    for number, sentence in enumerate(cycle(_SENTENCES), 1):
        yield f"Entry {number} says that {sentence}.\n"


def prose(size: int) -> str:
    """Return numbered lines of this many characters, all of them ASCII."""
    shortest = min(map(len, _SENTENCES))
    return "".join(islice(entries(), size // shortest + 1))[:size]


def noise(size: int, seed: int = 7) -> bytes:
    """Return the same random bytes each time."""
    return random.Random(seed).randbytes(size)
