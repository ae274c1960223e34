"""DOCX: paragraphs, headings, lists, tables, notes and text boxes, in document order.

The XML is walked here as it streams in: text in content controls, tracked insertions and text boxes counts, text that
was deleted or hidden does not. Footnotes and endnotes follow the paragraph or the table that refers to them, as
"[1: text]"; a note is given once, however often it is referred to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, BinaryIO

from engine.archive import Archive, Element, elements, tag, value
from engine.readers import Limits, Opened, Piece, clean

_WRAPPERS = {"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"}
# Properties, deleted text, copies for old programs, how Chinese characters are pronounced.
_UNSEEN = {"pPr", "rPr", "del", "moveFrom", "Fallback", "rt"}
_GLYPHS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_HEADING = re.compile(r"heading ?\d|title$", re.IGNORECASE)
_LONGEST_HEADING = 200  # characters; longer paragraphs were only made to look like one
_MOST_ANCESTORS = 20  # styles that a style may be based on, one on the other

Notes = dict[tuple[str, str], str]


@dataclass
class _Style:
    """What matters of a paragraph style; None where it says nothing itself."""

    base: str
    heading: bool | None
    listed: bool | None


def read_docx(file: BinaryIO, name: str, limits: Limits, password: str | None) -> Opened:
    """Open a Word document; steps are bytes of its main part.

    Raises:
        DocumentError: it would unpack to too much.
    """
    archive = Archive(file, name, limits)
    main = archive.related("").get("officeDocument", "word/document.xml")
    parts = archive.related(main)
    styles = _styles(archive, parts.get("styles"))
    notes: Notes = {}
    for kind in ("footnote", "endnote"):
        notes |= _notes(archive, parts.get(f"{kind}s"), kind)
    return Opened(archive.size(main), _steps(archive.open(main), _Blocks(styles, notes)))


def _steps(stream: IO[bytes], blocks: _Blocks) -> Iterator[tuple[int, Piece]]:
    for block in elements(stream, "p", "tbl"):
        yield stream.tell(), blocks.piece(block)


def _styles(archive: Archive, part: str | None) -> dict[str, _Style]:
    if part is None:
        return {}
    styles = {}
    with archive.open(part) as stream:
        for style in elements(stream, "style"):
            name, properties = value(_child(style, "name")), _child(style, "pPr")
            heading = True if _HEADING.match(name) else _outlined(properties)
            listed = True if name.startswith("List") else _numbered(properties)
            styles[value(style, "styleId")] = _Style(value(_child(style, "basedOn")), heading, listed)
    return styles


def _notes(archive: Archive, part: str | None, kind: str) -> Notes:
    if part is None:
        return {}
    with archive.open(part) as stream:
        return {
            (kind, value(note, "id")): " ".join(clean("".join(_inline(note, []))).split())
            for note in elements(stream, kind)
            if value(note, "type") in ("", "normal")  # the others are lines that part notes from text
        }


@dataclass
class _Blocks:
    """Turns paragraphs and tables into pieces, remembering what stands before."""

    styles: dict[str, _Style]
    notes: Notes
    _in_list: bool = False
    _numbers: int = 0
    _references: list[tuple[str, str]] = field(default_factory=list)

    def piece(self, block: Element) -> Piece:
        """Return a paragraph or a table, with the notes it refers to."""
        self._references.clear()
        return self._table(block) if tag(block) == "tbl" else self._paragraph(block)

    def _paragraph(self, block: Element) -> Piece:
        text = re.sub(r"\n{2,}", "\n", clean("".join(_inline(block, self._references)))).strip()
        properties = _child(block, "pPr")
        style = value(_child(properties, "pStyle"))
        outlined, numbered = _outlined(properties), _numbered(properties)
        heading = bool(text) and len(text) <= _LONGEST_HEADING
        heading &= self._is_heading(style) if outlined is None else outlined
        listed = bool(text) and not heading and (self._is_listed(style) if numbered is None else numbered)
        gap = "\n" if self._in_list and listed else "\n\n"
        self._in_list = listed
        section = " ".join(text.split()) if heading else None
        return Piece(("- " if listed else "") + text + self._noted(), section=section, gap=gap)

    def _table(self, block: Element) -> Piece:
        self._in_list = False
        return Piece(clean(_rows(block, self._references)) + self._noted())

    def _noted(self) -> str:
        lines = []
        for reference in self._references:
            if text := self.notes.pop(reference, ""):
                self._numbers += 1
                lines.append(f"\n[{self._numbers}: {text}]")
        return "".join(lines)

    def _is_heading(self, style: str) -> bool:
        said = [ancestor.heading for ancestor in self._ancestors(style) if ancestor.heading is not None]
        return bool(said) and said[0]

    def _is_listed(self, style: str) -> bool:
        said = [ancestor.listed for ancestor in self._ancestors(style) if ancestor.listed is not None]
        return bool(said) and said[0]

    def _ancestors(self, style: str) -> Iterator[_Style]:
        for _ in range(_MOST_ANCESTORS):
            if style not in self.styles:
                return
            yield self.styles[style]
            style = self.styles[style].base


def _outlined(properties: Element) -> bool | None:
    """Tell whether paragraph properties give a level of the outline; level 10 (written 9) is body text."""
    level = value(_child(properties, "outlineLvl"))
    return level in "012345678" if level else None


def _numbered(properties: Element) -> bool | None:
    """Tell whether paragraph properties put it into a list; list 0 takes it out of one."""
    numbering = _child(properties, "numPr")
    return value(_child(numbering, "numId")) != "0" if len(numbering) else None


def _rows(table: Element, references: list[tuple[str, str]]) -> str:
    rows = []
    for row in _children(table, "tr"):
        cells = []
        for cell in _children(row, "tc"):
            blocks = _children(cell, "p", "tbl")
            texts = (_rows(b, references) if tag(b) == "tbl" else "".join(_inline(b, references)) for b in blocks)
            cells.append(" ".join(" ".join(texts).split()))
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _child(element: Element, name: str) -> Element:
    """Return the child of that name, or something without children and attributes."""
    return next((child for child in element if tag(child) == name), _Nothing())


class _Nothing(tuple[()]):
    """What stands for an element that is not there."""

    attrib: dict[str, str] = {}  # noqa: RUF012 - never written to


def _children(element: Element, *tags: str) -> Iterator[Element]:
    for child in element:
        if tag(child) in tags:
            yield child
        elif tag(child) in _WRAPPERS:
            yield from _children(child, *tags)


def _inline(element: Element, references: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the visible text of a paragraph, text boxes on lines of their own, and note what it refers to."""
    for child in element:
        name = tag(child)
        if name == "t":
            yield child.text or ""
        elif name in ("footnoteReference", "endnoteReference"):
            references.append((name.removesuffix("Reference"), value(child, "id")))
        elif name not in _UNSEEN and not (name == "r" and _hidden(child)):
            edge = "\n" if name == "p" else _GLYPHS.get(name, "")
            yield edge
            yield from _inline(child, references)
            yield edge if name == "p" else ""


def _hidden(run: Element) -> bool:
    vanish = _child(_child(run, "rPr"), "vanish")
    return not isinstance(vanish, _Nothing) and value(vanish) not in ("0", "false", "off")
