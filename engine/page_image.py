"""A picture of one page of a PDF with the text marked that an answer rests on.

pdfium is C++ and the files are strangers', so it draws in a process of its own, confined as those that read files
(``apart.py``). A hostile file may have taken that process over: what comes from it is taken for a picture only if it is
one plain WebP image of bounded size, and is never decoded here.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.apart import child, looks
from engine.errors import DocumentError
from engine.events import Stop
from engine.page_drawing import MOST_BYTES, MOST_PIXELS, MOST_SIDE, PICTURE

MEDIA_TYPE = "image/webp"
_START = "import sys; sys.path[:] = sys.argv[1:]; from engine.page_drawing import main; main()"
_HEAD = 30  # bytes before the first pixel of a WebP image


@dataclass(frozen=True)
class DrawingLimits:
    """What a drawing may cost at most: seconds of wall time, and bytes of address space where the system can hold it.

    A scanned page of 600 dpi in colours takes some 500 MB while it is unpacked.
    """

    max_seconds: float = 15.0
    max_memory_bytes: int = 3 * 2**29


DRAWING_LIMITS = DrawingLimits()


def page_image(
    path: str | os.PathLike[str],
    page: int,
    text: str = "",
    spans: Sequence[tuple[int, int]] = (),
    around: Sequence[tuple[int, int]] = (),
    limits: DrawingLimits = DRAWING_LIMITS,
    stop: Stop | None = None,
) -> bytes:
    """Return a page (from 1) of a PDF without a password as a WebP image, 1000 pixels wide unless it is very long.

    ``text`` is the page's text as ``read_document`` gave it, or any part of that. Of it, ``spans`` (start and end in
    characters) are marked on the page, and those ``around`` them faintly; what cannot be found there is not marked.
    Blocks the calling thread.

    Raises:
        DocumentError: there is no such page, or it cannot be drawn, or not within the limits.
        Cancelled: ``stop`` was set.
    """
    request = {
        "path": str(Path(path).absolute()),
        "page": page,
        "text": text,
        "spans": list(spans),
        "around": list(around),
        "seconds": limits.max_seconds,
        "memory": limits.max_memory_bytes,
    }
    with (
        tempfile.TemporaryDirectory(prefix="memorag-reading-", ignore_cleanup_errors=True) as folder,
        # Made and opened here, so that nothing put in its place is ever followed.
        Path(folder, PICTURE).open("x+b") as picture,
    ):
        with child(folder, json.dumps(request), _START) as process:
            try:
                for _ in looks(process, limits.max_seconds, stop):
                    pass
            except subprocess.TimeoutExpired as error:
                raise DocumentError(
                    f"Page {page} took longer than {limits.max_seconds:g} s to draw. Look at it in a PDF viewer."
                ) from error
        return _checked(picture, page)


def _checked(file: BinaryIO, page: int) -> bytes:
    data = file.read(MOST_BYTES + 1)
    if not _is_picture(data):
        raise DocumentError(f"Page {page} is not there or cannot be drawn. Look at it in a PDF viewer.")
    return data


def _is_picture(data: bytes) -> bool:
    """Whether these bytes are one WebP image with loss and nothing besides, of bounded size (RFC 9649, 2.5)."""
    if not _HEAD < len(data) <= MOST_BYTES:
        return False
    whole, part = int.from_bytes(data[4:8], "little"), int.from_bytes(data[16:20], "little")
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (26, 28))
    is_whole = whole == len(data) - 8 and part + part % 2 == len(data) - 20
    is_webp = data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8 " and data[23:26] == b"\x9d\x01\x2a"
    is_bounded = 0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PIXELS
    return is_whole and is_webp and is_bounded and not data[20] & 1
