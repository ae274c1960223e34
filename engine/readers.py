"""What the readers of TXT, PDF and DOCX share: limits, pieces of text, the cleaning of text, and refusals.

A reader takes an open file and gives pieces one by one, so that whoever reads can show progress, stop, and refuse a
text that grows too long while it is read. Nothing is ever written to disk. Names, extensions and the choice of a
reader are the business of documents.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from engine.errors import DocumentError, MemoRAGError

# Everything below a space but tab and newline; halves of surrogate pairs, which neither tokenizers nor files take.
CONTROLS = re.compile("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Mark:
    """Where a page or a section begins: a character offset, and the page number (from 1) or the heading."""

    start: int
    page: int | None = None
    section: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a file may cost at most.

    Attributes:
        max_bytes: size of the file.
        max_pages: pages of a PDF.
        max_expanded_bytes: what an archive (DOCX) says it unpacks to; its markup may take a quarter of that.
        max_characters: text that may come out of a file, looked at after every page, paragraph or block.
        max_seconds: wall time of a reader that runs in a process of its own.
        max_memory_bytes: address space of such a process.
    """

    max_bytes: int = 200 * 2**20
    max_pages: int = 5000
    max_expanded_bytes: int = 2**30
    max_characters: int = 256 * 2**20
    max_seconds: float = 300.0
    max_memory_bytes: int = 3 * 2**30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reader yields: a page, a paragraph or a block of text, and what parts it from the piece before.

    An empty ``gap`` means that the text just goes on; then white space counts.
    """

    text: str
    page: int | None = None
    section: str | None = None
    gap: str = "\n\n"


@dataclass(frozen=True)
class Opened:
    """A file about to be read.

    Attributes:
        total: how far reading goes, in the reader's own units (bytes or pages).
        steps: how far it has come, and the piece found there.
        finish: what is done to all pieces at the end, for what cannot be seen on one page alone.
        notes: sentences for the visitor about what could not be read; complete when ``steps`` are over.
    """

    total: int
    steps: Iterator[tuple[int, Piece]]
    finish: Callable[[list[Piece]], list[Piece]] = list
    notes: list[str] = field(default_factory=list)


Reader = Callable[[BinaryIO, str, Limits, str | None], Opened]


def clean(text: str) -> str:
    """Keep one kind of newline and no control characters but tab and newline; a form feed parts paragraphs."""
    return tidy(text.removeprefix("\ufeff"))


def tidy(text: str) -> str:
    """Do the same to a part of a text that does not end in half a newline."""
    for old, new in (("\r\n", "\n"), ("\r", "\n"), ("\v", "\n"), ("\f", "\n\n")):
        text = text.replace(old, new)
    return CONTROLS.sub("", text) if CONTROLS.search(text) else text


@contextmanager
def refusing(name: str, reason: str) -> Iterator[None]:
    """Turn whatever a third-party reader raises into one sentence about the file, with the cause kept.

    Raises:
        DocumentError: something failed; a lack of memory has a sentence of its own.
    """
    try:
        yield
    except MemoRAGError:
        raise
    except MemoryError as error:
        raise DocumentError(
            f'"{name}" needs more memory to be read than there is. Split it and upload the parts.'
        ) from error
    except Exception as error:
        raise DocumentError(f'"{name}" {reason}') from error


def megabytes(size: int) -> str:
    """Return a size for people to read."""
    return f"{size / 2**20:,.1f} MB"
