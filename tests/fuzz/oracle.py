"""What a reader may do with any bytes at all: return a sound document, or refuse in words meant for a person."""

from __future__ import annotations

import hashlib
import re
import traceback
from itertools import pairwise
from pathlib import Path

from engine.documents import Document, Limits, read_document
from engine.errors import DocumentError

# Small, so that small inputs can break them.
LIMITS = Limits(max_pages=200, max_expanded_bytes=32 * 2**20, max_characters=4 * 2**20)
_ODD = re.compile("[\0-\x08\x0b-\x1f\x7f]")


class Finding(Exception):  # noqa: N818 - what is looked for, not a failure of the search
    """A reader did what none may do. ``signature`` is the same for the same fault, whatever the input."""

    def __init__(self, signature: str, details: str) -> None:
        super().__init__(signature)
        self.signature, self.details = signature, details

    @property
    def name(self) -> str:
        """A short name for files about this."""
        return hashlib.sha256(self.signature.encode()).hexdigest()[:10]


def look(path: Path, suffix: str) -> None:
    """Read a file as one with this suffix.

    Raises:
        Finding: the reader neither read nor refused it as it should.
    """
    try:
        document = read_document(path, f"input{suffix}", LIMITS)
    except DocumentError as refusal:
        if fault := _fault_of_refusal(refusal):
            raise Finding(f"{fault} at {_place(refusal)}", _whole(refusal)) from refusal
        return
    except Exception as error:
        raise Finding(f"{type(error).__name__} at {_place(error)}", _whole(error)) from error
    if fault := _fault_of_document(document):
        raise Finding(fault, f"{document!r}\n{document.marks[:20]!r}\n{document.text[:2000]!r}")


def _fault_of_document(document: Document) -> str | None:
    starts = [mark.start for mark in document.marks]
    checks = {
        "no text": bool(document.text.strip()),
        "more text than allowed": len(document.text) <= LIMITS.max_characters,
        "control characters or odd line ends": _ODD.search(document.text) is None,
        "marks out of order": all(a <= b for a, b in pairwise(starts)),
        "marks outside the text": not starts or 0 <= starts[0] <= starts[-1] < len(document.text),
        "pages that are none": all(mark.page is None or 1 <= mark.page <= LIMITS.max_pages for mark in document.marks),
        "sections that are none": all(mark.section is None or mark.section.strip() for mark in document.marks),
        "words that are none": all(_encodable(word) for word in _words(document)),
    }
    return next((fault for fault, fine in checks.items() if not fine), None)


def _fault_of_refusal(refusal: DocumentError) -> str | None:
    message = str(refusal)
    if not message.startswith('"input') or not message.endswith(".") or not 20 < len(message) < 300:
        return "a refusal in odd words"
    cause: BaseException | None = refusal
    while cause is not None:
        if isinstance(cause, MemoryError):
            return "out of memory"
        cause = cause.__cause__ or cause.__context__
    return None


def _words(document: Document) -> list[str]:
    sections = [mark.section for mark in document.marks if mark.section is not None]
    return [document.name, document.text, *document.notes, *sections]


def _encodable(text: str) -> bool:
    try:
        return isinstance(text.encode("utf-8"), bytes)
    except UnicodeEncodeError:
        return False


def _place(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"


def _whole(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-30))
