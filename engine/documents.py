"""Files and plain text -> Document: one clean text, and where its pages or sections begin.

TXT, PDF and DOCX are read; what a file *is* decides how it is read, its name only has to agree. Uploads are hostile
until shown otherwise: sizes are checked before reading, archives before unpacking, and whatever a reader trips over
leaves here as one DocumentError that says what to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
import zipfile
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from itertools import count
from pathlib import Path

from engine.errors import DocumentError
from engine.events import Meter, OnProgress, Stop
from engine.readers import DEFAULT_LIMITS, READERS, Limits, Mark, clean, megabytes, protected, refusing

__all__ = ["ACCEPTED", "DEFAULT_LIMITS", "Document", "Limits", "Mark", "as_documents", "read_document"]

ACCEPTED = (".txt", ".pdf", ".docx")


@dataclass(frozen=True)
class Document:
    """A text with a name to show. ``marks`` are in text order; the text stays out of the repr, and so out of logs."""

    name: str
    text: str = field(repr=False)
    marks: tuple[Mark, ...] = field(default=(), repr=False)

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of the text, in hex."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

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
) -> Document:
    """Read a file, or the bytes of one. ``name`` is what the visitor calls it; by default the path's last part."""
    shown = _display_name(name or ("document" if isinstance(source, bytes) else os.fspath(source)))
    suffix = _accepted_suffix(shown)
    data = _load(source, shown, limits)
    kind = _kind(data, suffix, shown)
    reader, damaged, nothing = READERS[kind]
    with refusing(f'"{shown}" {damaged}'):
        total, pieces = reader(data, shown, limits)
    meter = Meter("reading", total, on_progress)
    parts: list[str] = []
    marks, length = [], 0
    for done in range(1, total + 1):
        if stop is not None:
            stop.check()
        with refusing(f'"{shown}" {damaged}'):
            piece = next(pieces)
        if piece.text.strip():
            gap = piece.gap if parts else ""
            if piece.page is not None or piece.section is not None:
                marks.append(Mark(length + len(gap), piece.page, piece.section))
            parts += (gap, piece.text)
            length += len(gap) + len(piece.text)
        meter.step(done)
    if not parts:
        raise DocumentError(f'"{shown}" {nothing}')
    return Document(shown, "".join(parts), tuple(marks))


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


def _display_name(given: str, longest: int = 120) -> str:
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


def _load(source: str | os.PathLike[str] | bytes, name: str, limits: Limits) -> bytes:
    with refusing(f'"{name}" cannot be opened. Check that the file is still there and may be read.'):
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise DocumentError(f'"{name}" is not there, or is not a file. Give the path of a TXT, PDF or DOCX file.')
        size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        if size > limits.max_bytes:
            raise DocumentError(
                f'"{name}" has {megabytes(size)}; at most {megabytes(limits.max_bytes)} are read. '
                "Split it and upload the parts."
            )
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not data:
        raise DocumentError(f'"{name}" is empty (0 bytes). Upload a TXT, PDF or DOCX file with text in it.')
    return data


def _kind(data: bytes, suffix: str, name: str) -> str:
    """Tell what the content is. A name may promise less than that (.txt), never something else."""
    head = data[:1024]
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        # The container of the old Word format is also the envelope of a DOCX that has a password.
        raise protected(name) if "EncryptedPackage".encode("utf-16-le") in data else _old_word(name)
    # Mail systems put bytes before the header of a PDF; a text may quote such a header further down.
    if head.lstrip().startswith(b"%PDF-") or (suffix == ".pdf" and b"%PDF-" in head):
        kind = ".pdf"
    else:
        kind = ".docx" if _is_docx(data) else ".txt"
    if suffix in (".pdf", ".docx") and suffix != kind:
        label = "PDF" if suffix == ".pdf" else "Word (DOCX)"
        raise DocumentError(
            f'"{name}" is named {suffix} but is not a {label} file, or is damaged. '
            f"Export it again as {suffix[1:].upper()}, or upload the original TXT, PDF or DOCX."
        )
    return kind


def _is_docx(data: bytes) -> bool:
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return any(re.fullmatch(r"word/document\d*\.xml", entry) for entry in archive.namelist())
    except Exception:  # zipfile raises a dozen kinds on a broken archive, and each means the same here
        return False


def _old_word(name: str) -> DocumentError:
    return DocumentError(f'"{name}" is in the old Word format (.doc). Save it as .docx and upload that.')
