"""The parts of an Office file, read from its ZIP archive: sizes are checked before anything is unpacked.

A part is XML, read as a stream, so that no more of it than an element is held. Document types are refused: Office
files have none, and entities are what bombs and the reading of other files are made of.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import struct
import zipfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO

from engine.errors import DocumentError
from engine.readers import Limits, megabytes

Element = Any  # an lxml element; names of its parts are compared without their namespaces, of which there are two sets

_END = struct.Struct("<4s4H2LH")  # the end of a ZIP archive's directory
_LARGEST_DIRECTORY = 8 * 2**20  # bytes; a document of 10,000 pictures needs 1 MB
_LARGEST_RELATIONS = 16 * 2**20


class Archive:
    """An Office file that was found small enough to be unpacked. Close it, or use it in a ``with``."""

    def __init__(self, file: BinaryIO, name: str, limits: Limits) -> None:
        """Look at the sizes.

        Raises:
            DocumentError: it would unpack to more than ``limits`` allow.
            ValueError, zipfile.BadZipFile: it is no archive, or has too many entries.
        """
        self._zip = open_zip(file)
        entries = self._zip.infolist()
        packed = file.seek(0, 2)
        expanded = sum(entry.file_size for entry in entries)
        # What compresses well is markup, and markup takes several times its size in memory; pictures do not.
        markup = sum(entry.file_size for entry in entries if entry.file_size > 2 * entry.compress_size)
        bomb = expanded > 50 * 2**20 and expanded > 200 * packed
        if bomb or expanded > limits.max_expanded_bytes or markup > limits.max_expanded_bytes // 4:
            raise DocumentError(
                f'"{name}" unpacks to {megabytes(expanded)}, more than can be read safely. Split it, or save it as TXT.'
            )
        self._names = set(self._zip.namelist())

    def related(self, part: str) -> dict[str, str]:
        """Return the parts that a part (``""`` for the whole file) refers to, by kind: "styles", "footnotes"."""
        folder, base = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", base + ".rels")
        if relations not in self._names or self._zip.getinfo(relations).file_size > _LARGEST_RELATIONS:
            return {}
        with self._zip.open(relations) as stream:
            targets = {
                value(found, "Type").rpartition("/")[2]: posixpath.join("/", folder, value(found, "Target"))
                for found in elements(stream, "Relationship")
                if value(found, "TargetMode") != "External"
            }
        paths = {kind: posixpath.normpath(path).lstrip("/") for kind, path in targets.items()}
        return {kind: path for kind, path in paths.items() if path in self._names}

    def size(self, part: str) -> int:
        """Return what the part unpacks to, in bytes."""
        return self._zip.getinfo(part).file_size

    def open(self, part: str) -> IO[bytes]:
        """Open a part for reading. It ends where its declared size ends, whatever is packed there."""
        return self._zip.open(part)


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open an archive whose directory is small enough to be held.

    Raises:
        ValueError, zipfile.BadZipFile: there is none, or it is too large.
    """
    start = max(0, file.seek(0, 2) - 2**16 - _END.size)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise ValueError("no directory of an archive")
    if _END.unpack_from(tail, at)[5] > _LARGEST_DIRECTORY:
        raise ValueError("too many entries in the archive")
    return zipfile.ZipFile(file)


def is_word(file: BinaryIO) -> bool:
    """Tell whether a file is an archive with the main part of a DOCX in it."""
    file.seek(0)
    if file.read(4) != b"PK\3\4":
        return False
    try:
        return any(re.fullmatch(r"word/document\d*\.xml", entry) for entry in open_zip(file).namelist())
    except Exception:  # zipfile raises a dozen kinds on a broken archive, and each means the same here
        return False


def elements(stream: IO[bytes], *names: str) -> Iterator[Element]:
    """Yield the elements of these names that are not inside one another, each forgotten when the next is asked for.

    Raises:
        ValueError: the part has a document type.
        lxml.etree.XMLSyntaxError: it is no sound XML, or is nested deeper than 256 levels.
    """
    etree = importlib.import_module("lxml.etree")
    wanted = [f"{{*}}{name}" for name in names]
    outer: Element = None
    events = etree.iterparse(stream, events=("start", "end"), tag=wanted, resolve_entities=False, no_network=True)
    for event, element in events:
        if event == "start" and outer is None:
            if element.getroottree().docinfo.doctype:
                raise ValueError("a document type in an Office file")
            outer = element
        elif event == "end" and element is outer:
            yield element
            outer = None
            _forget(element)


def _forget(element: Element) -> None:
    """Free what was read: the element's content and all before it, which keeps its place among its ancestors."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def tag(element: Element) -> str:
    """Return the name of an element without its namespace; comments have names that match nothing."""
    return str(element.tag).rpartition("}")[2]


def value(element: Element, name: str = "val") -> str:
    """Return an attribute whatever its namespace, or ""."""
    return next((found for key, found in element.attrib.items() if key.rpartition("}")[2] == name), "")
