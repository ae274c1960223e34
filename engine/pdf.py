"""PDF: the text of every page, in the order in which pypdf finds it.

pypdf bounds what a hostile file may unpack to or nest; the page tree is bounded here, before it is walked. The file
stays on disk, and what was unpacked for a page is forgotten after it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import DocumentError, PasswordError
from engine.printed import as_text
from engine.readers import Limits, Opened, Piece, clean

if TYPE_CHECKING:
    from pypdf import PdfReader

_REMEMBERED = 32  # pages whose fonts and contents are kept at once


def read_pdf(file: BinaryIO, name: str, limits: Limits, password: str | None) -> Opened:
    """Open a PDF; steps are its pages. A page that cannot be read is left out, and a note says so.

    Raises:
        PasswordError: it asks for a password, and ``password`` is none or a wrong one.
        DocumentError: it has too many pages.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # Its warnings quote bytes of the file, and people's texts never go to logs.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    try:
        reader = PdfReader(file)
        if reader.is_encrypted and not reader.decrypt("") and not (password and reader.decrypt(password)):
            raise _locked(name, bool(password))
        total = _count(reader, name, limits)
        if reader.is_encrypted and total:
            reader.pages[0].get_contents()  # some ciphers are missed only here
    except DependencyError as error:  # a cipher that this installation lacks
        raise _locked(name, False) from error
    notes: list[str] = []
    return Opened(total, _pages(reader, name, total, notes), as_text, notes)


def _count(reader: PdfReader, name: str, limits: Limits) -> int:
    import pypdf
    from pypdf.errors import LimitReachedError

    try:
        # Every inner node of a sound tree has pages below it, so that there are hardly more of them than of pages.
        with pypdf.apply_configuration(page_tree_maximum_entries=2 * limits.max_pages + 100):
            total = len(reader.pages)
    except LimitReachedError as error:
        raise _too_long(name, "endlessly many", limits) from error
    if total > limits.max_pages:
        raise _too_long(name, f"{total:,}", limits)
    return total


def _pages(reader: PdfReader, name: str, total: int, notes: list[str]) -> Iterator[tuple[int, Piece]]:
    failed: list[int] = []
    for number in range(1, total + 1):
        text = ""
        try:
            text = clean(reader.pages[number - 1].extract_text())
        except MemoryError:
            raise
        except Exception:  # whatever a hostile page makes of it, the others may be sound
            failed.append(number)
            if len(failed) == total:
                raise
        if number % _REMEMBERED == 0:
            reader.resolved_objects.clear()
        yield number, Piece(text, page=number)
    if failed:
        shown = ", ".join(map(str, failed[:5])) + ("…" if len(failed) > 5 else "")
        notes.append(
            f'Pages of "{name}" that could not be read and are left out: {shown} ({len(failed):,} of {total:,}).'
        )


def _locked(name: str, tried: bool) -> PasswordError:
    if tried:
        return PasswordError(
            f'The password does not open "{name}". Give another one, or remove the protection and upload it again.'
        )
    return PasswordError(
        f'"{name}" is protected by a password. Give the password, or remove the protection and upload it again.'
    )


def _too_long(name: str, pages: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f'"{name}" has {pages} pages; at most {limits.max_pages:,} are read. Split it and upload the parts.'
    )
