"""From the bytes of a TXT, PDF or DOCX file to pieces of clean text: pages, paragraphs, or the whole.

Sizes are checked before unpacking, and whatever a third-party reader trips over leaves here as one DocumentError.
Names, extensions and the choice of a reader are the business of documents.py.
"""

from __future__ import annotations

import importlib
import logging
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

from engine.errors import DocumentError, MemoRAGError


@dataclass(frozen=True)
class Mark:
    """Where a page or a section begins: a character offset, and the page number (from 1) or the heading."""

    start: int
    page: int | None = None
    section: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a file may cost at most. ``max_expanded_bytes`` is what an archive (DOCX) may unpack to."""

    max_bytes: int = 200 * 2**20
    max_pages: int = 5000
    max_expanded_bytes: int = 2**30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Piece:
    """What a reader yields: a page, a paragraph or a whole text, and what parts it from the piece before."""

    text: str
    page: int | None = None
    section: str | None = None
    gap: str = "\n\n"


# TXT. Encodings that charset_normalizer tells apart well; Latin texts are recognised before it is asked.
_CANDIDATES = ["gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256"]
_CONTROLS = bytes(sorted({*range(32), 127} - set(b"\t\n\v\f\r\x1a\x1b")))


def _read_text(data: bytes, name: str, limits: Limits) -> tuple[int, Iterator[Piece]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data[: len(data) // 2 * 2].decode("utf-16")
    elif b"\0" in data or len(data) - len(data.translate(None, _CONTROLS)) > len(data) // 20:
        raise ValueError("NUL bytes, or too many control characters")
    else:
        text = _decode(data)
    return 1, iter([Piece(clean(text))])


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8-sig", "replace")
    # A few broken characters in much valid UTF-8 are damage, not another encoding.
    if text.count("\ufffd") * 20 < sum(map(len, re.findall(r"[^\x00-\x7f\ufffd]+", text))):
        return text
    return data.decode(_guess(data), "replace")


def _guess(data: bytes) -> str:
    """Guess the legacy encoding of a text that is not UTF-8."""
    first = re.search(rb"[\x80-\xff]", data)
    sample = data[first.start() :][: 2**16] if first else data  # begins where a character begins
    if len(data) > len(sample):
        # and ends where one ends: these bytes are never the second half of another character
        sample = sample[: 1 + max(sample.rfind(end) for end in (b"\n", b" ", b",", b"."))] or sample
    high = re.findall(rb"[\x80-\xff]+", sample)
    # In Western European texts most such bytes stand alone among letters; other scripts make runs of them.
    if sum(len(run) == 1 for run in high) * 2 > sum(map(len, high)):
        return "cp1252"
    try:
        best = importlib.import_module("charset_normalizer").from_bytes(sample, cp_isolation=_CANDIDATES).best()
    except ImportError:
        best = None
    if best is not None:
        return str(best.encoding)
    return "gb18030" if "\ufffd" not in sample.decode("gb18030", "replace") else "cp1252"


def clean(text: str) -> str:
    """Keep one kind of newline and no control characters but tab and newline; a form feed parts paragraphs."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n")
    # Lone surrogates cannot be encoded, so neither tokenizers nor files would take them.
    return re.sub("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]", "", text.replace("\f", "\n\n"))


# PDF. Printed lines become paragraphs again.
_LIST_ITEM = re.compile(r"[-–•▪◦*]\s|\(?\d{1,3}[.)]\s")
_CJK_SEAM = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]{2}")


def _read_pdf(data: bytes, name: str, limits: Limits) -> tuple[int, Iterator[Piece]]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # Its warnings quote bytes of the file, and people's texts never go to logs.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise protected(name)
        if reader.is_encrypted and reader.pages:
            reader.pages[0].get_contents()  # some ciphers are missed only here
    except DependencyError as error:  # a cipher that this installation lacks
        raise protected(name) from error
    total = len(reader.pages)
    if total > limits.max_pages:
        raise DocumentError(
            f'"{name}" has {total} pages; at most {limits.max_pages} are read. Split it and upload the parts.'
        )
    return total, (Piece(_reflow(clean(page.extract_text())), page=n) for n, page in enumerate(reader.pages, 1))


def _reflow(raw: str) -> str:
    """Join lines into paragraphs: a line well short of the page's width ends one, a full line goes on."""
    raw = re.sub("[\ufb00-\ufb06]", lambda ligature: unicodedata.normalize("NFKC", ligature[0]), raw)
    lines = [" ".join(line.split()) for line in raw.split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    parts = lines[:1]
    for before, line in pairwise(lines):
        if re.search(r"[^\W\d_][-\u2010\u00ad]$", before) and line[:1].islower():
            parts[-1] = before[:-1]  # a word broken at the line's end
        else:
            parts.append(_between(before, line, width))
        parts.append(line)
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _between(before: str, line: str, width: int) -> str:
    """Choose what stands between two printed lines once they are text again."""
    short = len(before) < width * (0.85 if before.endswith(tuple('.!?:…。！？”"')) else 0.6)
    if not before or not line or short or _LIST_ITEM.match(line):
        return "\n"
    return "" if _CJK_SEAM.match(before[-1] + line[0]) else " "  # Chinese and Japanese have no spaces


# DOCX. The body's XML is walked here: python-docx skips content controls, tracked insertions and text boxes.
_Element = Any  # an lxml element
_WRAPPERS = {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"}
_UNSEEN = {"pPr", "rPr", "del", "moveFrom", "Fallback"}  # properties, deleted text, copies for old programs
_GLYPHS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def _read_docx(data: bytes, name: str, limits: Limits) -> tuple[int, Iterator[Piece]]:
    import docx

    with zipfile.ZipFile(BytesIO(data)) as archive:
        entries = archive.infolist()
    expanded = sum(entry.file_size for entry in entries)
    # What compresses well is markup, and markup takes several times its size in memory; pictures do not.
    markup = sum(entry.file_size for entry in entries if entry.file_size > 2 * entry.compress_size)
    bomb = expanded > 50 * 2**20 and expanded > 200 * len(data)
    if bomb or expanded > limits.max_expanded_bytes or markup > limits.max_expanded_bytes // 4:
        raise DocumentError(
            f'"{name}" unpacks to {megabytes(expanded)}, more than can be read safely. Split it, or save it as TXT.'
        )
    opened = docx.Document(BytesIO(data))
    blocks = list(_children(opened.element.body, "p", "tbl"))
    return len(blocks), _blocks(blocks, {style.style_id: style.name or "" for style in opened.styles})


def _blocks(blocks: Sequence[_Element], styles: dict[str, str]) -> Iterator[Piece]:
    in_list = False
    for block in blocks:
        if _tag(block) == "tbl":
            yield Piece(clean(_table(block)))
            in_list = False
            continue
        text = re.sub(r"\n{2,}", "\n", clean("".join(_inline(block)))).strip()
        style = styles.get(block.style, "")
        heading = re.match(r"heading \d|title$", style, re.IGNORECASE)
        numbered = block.pPr is not None and block.pPr.numPr is not None
        is_item = bool(text) and not heading and (numbered or style.startswith("List"))
        section = " ".join(text.split()) if heading else None
        yield Piece("- " + text if is_item else text, section=section, gap="\n" if in_list and is_item else "\n\n")
        in_list = is_item


def _table(table: _Element) -> str:
    rows = []
    for row in _children(table, "tr"):
        cells = []
        for cell in _children(row, "tc"):
            texts = (_table(b) if _tag(b) == "tbl" else "".join(_inline(b)) for b in _children(cell, "p", "tbl"))
            cells.append(" ".join(" ".join(texts).split()))
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _children(element: _Element, *tags: str) -> Iterator[_Element]:
    for child in element:
        if _tag(child) in tags:
            yield child
        elif _tag(child) in _WRAPPERS:
            yield from _children(child, *tags)


def _inline(element: _Element) -> Iterator[str]:
    """Yield the visible text of a paragraph, text boxes on lines of their own."""
    for child in element:
        tag = _tag(child)
        if tag == "t":
            yield child.text or ""
        elif tag not in _UNSEEN:
            edge = "\n" if tag == "p" else _GLYPHS.get(tag, "")
            yield edge
            yield from _inline(child)
            yield edge if tag == "p" else ""


def _tag(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2]


@contextmanager
def refusing(message: str) -> Iterator[None]:
    """Turn whatever a third-party reader raises into this one message, with the cause kept."""
    try:
        yield
    except MemoRAGError:
        raise
    except Exception as error:
        raise DocumentError(message) from error


def protected(name: str) -> DocumentError:
    """Return the refusal of a file that asks for a password."""
    return DocumentError(f'"{name}" is protected by a password. Remove the protection and upload it again.')


def megabytes(size: int) -> str:
    """Return a size for people to read."""
    return f"{size / 2**20:,.1f} MB"


# By kind: the reader, what to say when it fails, and when it finds no text.
Reader = Callable[[bytes, str, Limits], tuple[int, Iterator[Piece]]]
READERS: dict[str, tuple[Reader, str, str]] = {
    ".txt": (
        _read_text,
        "is not a text: it looks like a binary file. Upload a TXT, PDF or DOCX file.",
        "holds only white space. Upload a file with text in it.",
    ),
    ".pdf": (
        _read_pdf,
        "is damaged or not a complete PDF. Open it in a PDF viewer, save it again and upload the copy.",
        "has no text layer: its pages seem to be scanned images, and text recognition (OCR) is not done here. "
        "Upload a PDF with a text layer.",
    ),
    ".docx": (
        _read_docx,
        "is a damaged Word document. Open it in a word processor, save it again as DOCX and upload that.",
        "holds no text that can be read. Upload a document with text in it.",
    ),
}
