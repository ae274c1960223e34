"""Files and plain text -> Document: one clean text, and where its pages or sections begin.

TXT, PDF and DOCX are read; what a file *is* decides how it is read, its name only has to agree. Uploads are hostile
until shown otherwise: sizes are checked before reading, archives before unpacking, the text while it grows, and
whatever a reader trips over leaves here as one DocumentError that says what to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO

from engine.archive import is_word
from engine.errors import DocumentError
from engine.events import Meter, OnProgress, Stop
from engine.pdf import read_pdf
from engine.plain import read_text
from engine.readers import DEFAULT_LIMITS, Limits, Mark, Opened, Piece, Reader, clean, megabytes, refusing
from engine.word import read_docx

__all__ = ["ACCEPTED", "DEFAULT_LIMITS", "Document", "Limits", "Mark", "as_documents", "read_document"]

ACCEPTED = (".txt", ".pdf", ".docx")
# By kind: the reader, what to say when it fails, and when it finds no text.
_READERS: dict[str, tuple[Reader, str, str]] = {
    ".txt": (
        read_text,
        "is not a text: it looks like a binary file. Upload a TXT, PDF or DOCX file.",
        "holds only white space. Upload a file with text in it.",
    ),
    ".pdf": (
        read_pdf,
        "is damaged or not a complete PDF. Open it in a PDF viewer, save it again and upload the copy.",
        "has no text layer: its pages seem to be scanned images, and text recognition (OCR) is not done here. "
        "Upload a PDF with a text layer.",
    ),
    ".docx": (
        read_docx,
        "is a damaged Word document. Open it in a word processor, save it again as DOCX and upload that.",
        "holds no text that can be read. Upload a document with text in it.",
    ),
}
_UNOPENED = "cannot be opened. Check that the file is still there and may be read."
_HASHED = 2**20  # characters that are encoded at once


@dataclass(frozen=True)
class Document:
    """A text with a name to show. ``marks`` are in text order; the text stays out of the repr, and so out of logs.

    ``notes`` are sentences for the visitor about what could not be read; they are no part of the fingerprint.
    """

    name: str
    text: str = field(repr=False)
    marks: tuple[Mark, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of the text, in hex."""
        found = hashlib.sha256()
        for start in range(0, len(self.text), _HASHED):
            found.update(self.text[start : start + _HASHED].encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def locate(self, offset: int) -> tuple[int | None, str | None]:
        """Tell the page and the section in force at a character offset, None where there is no such thing."""
        index = bisect_right(self.marks, offset, key=lambda mark: mark.start)
        return self._places[index - 1] if index else (None, None)

    @cached_property
    def _places(self) -> tuple[tuple[int | None, str | None], ...]:
        places: list[tuple[int | None, str | None]] = []
        page, section = None, None
        for mark in self.marks:
            page = page if mark.page is None else mark.page
            section = section if mark.section is None else mark.section
            places.append((page, section))
        return tuple(places)


def read_document(
    source: str | os.PathLike[str] | bytes,
    name: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    password: str | None = None,
) -> Document:
    """Read a file, or the bytes of one. ``name`` is what the visitor calls it; by default the path's last part.

    Raises:
        PasswordError: a PDF that asks for a password; ``password`` is none, or a wrong one.
        DocumentError: anything else that cannot be read, or is larger than ``limits`` allow.
        Cancelled: ``stop`` was set.
    """
    shown = display_name(name or ("document" if isinstance(source, bytes) else os.fspath(source)))
    suffix = _accepted_suffix(shown)
    with _open(source, shown, limits) as file:
        if stop is not None:
            stop.check()
        with refusing(shown, _UNOPENED):
            reader, damaged, nothing = _READERS[_kind(file, suffix, shown)]
        file.seek(0)
        with refusing(shown, damaged):
            opened = reader(file, shown, limits, password)
        pieces = []
        meter = Meter("reading", opened.total, on_progress)
        # What callbacks raise is not the file's fault, so only the reader's own steps are guarded.
        for done, piece in _steps(opened, shown, damaged, limits):
            if piece.text or piece.page is not None:  # blank pages count as pages
                pieces.append(piece)
            meter.step(done)
            if stop is not None:
                stop.check()
        with refusing(shown, damaged):
            pieces = [piece for piece in opened.finish(pieces) if not (piece.gap and _is_blank(piece))]
            if all(_is_blank(piece) for piece in pieces):
                raise DocumentError(f'"{shown}" {nothing}')
            return _joined(shown, pieces, tuple(opened.notes))


def _steps(opened: Opened, name: str, damaged: str, limits: Limits) -> Iterator[tuple[int, Piece]]:
    length = 0
    while True:
        with refusing(name, damaged):
            step = next(opened.steps, None)
        if step is None:
            return
        length += len(step[1].text)
        if length > limits.max_characters:
            raise DocumentError(
                f'"{name}" holds more than {limits.max_characters:,} characters, and no more are read. '
                "Split it and upload the parts."
            )
        yield step


def _is_blank(piece: Piece) -> bool:
    return not piece.text or piece.text.isspace()


def _joined(name: str, pieces: Sequence[Piece], notes: tuple[str, ...]) -> Document:
    marks: list[Mark] = []
    parts: list[str] = []
    length = 0
    for piece in pieces:
        gap = piece.gap if parts else ""
        if piece.page is not None or piece.section is not None:
            marks.append(Mark(length + len(gap), piece.page, piece.section))
        parts += (gap, piece.text)
        length += len(gap) + len(piece.text)
    return Document(name, "".join(parts), tuple(marks), notes)


def as_documents(
    context: str | Document | Sequence[Document | str], beside: Sequence[Document] = ()
) -> tuple[Document, ...]:
    """Take whatever a caller may hand over as context; several plain texts are told apart by number.

    Raises:
        DocumentError: there is no text in it, or it has the name of a document ``beside`` it.
    """
    items = [context] if isinstance(context, str | Document) else context
    if isinstance(items, bytes) or not isinstance(items, Sequence) or not items:
        raise DocumentError(
            f"A context is a text, a document, or a list of at least one of these, not {type(context).__name__} "
            "or an empty list. Files become documents through read_document."
        )
    documents: list[Document] = []
    held = {document.name for document in beside}
    taken = set(held)
    for item in items:
        if isinstance(item, str):
            first = "text" if len(items) + len(beside) == 1 else f"text {len(beside) + len(documents) + 1}"
            item = Document(_unlike(first, taken), clean(item))
        if not isinstance(item, Document):
            raise DocumentError(f"A context holds texts and documents, not {type(item).__name__}. Convert it first.")
        if not item.text.strip():
            raise DocumentError(f'"{item.name}" holds no text. Give a text with at least one word.')
        name = encodable(item.name)
        if name in held:
            raise DocumentError(f'A document "{name}" is there already. Remove it first, or choose another name.')
        name = _unlike(name, taken)
        taken.add(name)
        documents.append(replace(item, name=name, text=encodable(item.text)))
    return tuple(documents)


def _unlike(name: str, others: Collection[str]) -> str:
    """Return the name, numbered where another document has it: names are what citations show."""
    return next(new for n in count(1) if (new := name if n == 1 else f"{name} ({n})") not in others)


def encodable(text: str) -> str:
    """Return text that files and tokenizers take: halves of surrogate pairs become replacement characters."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def display_name(given: str, longest: int = 120) -> str:
    """Keep the base name alone, without the invisible characters that make one name look like another."""
    base = unicodedata.normalize("NFC", re.split(r"[/\\]", given.rstrip("/\\"))[-1])
    base = "".join(character for character in base if character.isprintable()).strip()
    if not base.strip("."):
        return "document"
    return base if len(base) <= longest else base[: longest - 13] + "…" + base[-12:]


def _accepted_suffix(name: str) -> str:
    """Return the name's extension, or "" for none; refuse one that nothing here can read."""
    found = re.search(r"\.\w{1,10}$", name)
    suffix = found[0].lower() if found else ""
    if suffix == ".doc":
        raise _old_word(name)
    if suffix and suffix not in ACCEPTED:
        raise DocumentError(f'"{name}" is a {suffix} file; only TXT, PDF and DOCX are read. Save it as one of these.')
    return suffix


@contextmanager
def _open(source: str | os.PathLike[str] | bytes, name: str, limits: Limits) -> Iterator[BinaryIO]:
    """Open a file for reading where it lies; bytes are not copied either."""
    with refusing(name, _UNOPENED):
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise DocumentError(f'"{name}" is not there, or is not a file. Give the path of a TXT, PDF or DOCX file.')
        opened: BinaryIO = BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115
    with opened as file:
        size = file.seek(0, 2)
        if size > limits.max_bytes:
            raise DocumentError(
                f'"{name}" has {megabytes(size)}; at most {megabytes(limits.max_bytes)} are read. '
                "Split it and upload the parts."
            )
        if not size:
            raise DocumentError(f'"{name}" is empty (0 bytes). Upload a TXT, PDF or DOCX file with text in it.')
        yield file


def _kind(file: BinaryIO, suffix: str, name: str) -> str:
    """Tell what the content is. A name may promise less than that (.txt), never something else."""
    file.seek(0)
    head = file.read(1024)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        # The container of the old Word format is also the envelope of a DOCX that has a password.
        raise _encrypted_word(name) if _holds(file, "EncryptedPackage".encode("utf-16-le")) else _old_word(name)
    # Mail systems put bytes before the header of a PDF; a text may quote such a header further down.
    if head.lstrip().startswith(b"%PDF-") or (suffix == ".pdf" and b"%PDF-" in head):
        kind = ".pdf"
    else:
        kind = ".docx" if is_word(file) else ".txt"
    if suffix in (".pdf", ".docx") and suffix != kind:
        label = "PDF" if suffix == ".pdf" else "Word (DOCX)"
        raise DocumentError(
            f'"{name}" is named {suffix} but is not a {label} file, or is damaged. '
            f"Export it again as {suffix[1:].upper()}, or upload the original TXT, PDF or DOCX."
        )
    return kind


def _holds(file: BinaryIO, wanted: bytes) -> bool:
    file.seek(0)
    before = b""
    while block := file.read(2**20):
        if wanted in before + block:
            return True
        before = block[-len(wanted) :]
    return False


def _encrypted_word(name: str) -> DocumentError:
    return DocumentError(
        f'"{name}" is protected by a password, and Word files are not unlocked here. '
        "Remove the protection in a word processor and upload it again."
    )


def _old_word(name: str) -> DocumentError:
    return DocumentError(f'"{name}" is in the old Word format (.doc). Save it as .docx and upload that.')
