"""The inside of a process that draws one page of a PDF and nothing else; ``page_image.py`` is the outside.

The request comes through standard input as one line of JSON. The answer is the picture alone, in a file of the working
folder; without it, nothing could be drawn.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from engine.alone import confine, leave_with_parent
from engine.page_marks import drawn_places

PICTURE = "picture"
# Bytes, pixels, and pixels on a side that a picture has at most; a page of A4 has 1.4 million pixels and 100 KB.
MOST_BYTES, MOST_PIXELS, MOST_SIDE = 4 * 2**20, 3_000_000, 8_000
_WIDTH = 1000
_MOST_CHARACTERS = 200_000
_QUALITY = 80
# What the page's colours are multiplied with, so that text stays black: around, and the marked text. A line below it
# shows it also where the page is dark, or to whom yellow is pale.
_FAINT, _STRONG, _LINE = (255, 248, 208), (255, 230, 110), (176, 106, 0)

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


def main() -> None:
    """Draw what standard input asks for, leave the picture in the working folder, and end."""
    request = json.loads(sys.stdin.buffer.readline())
    leave_with_parent((PICTURE,))
    confine(request["seconds"], request["memory"], MOST_BYTES)
    picture = draw(request["path"], request["page"], request["text"], request["around"], request["spans"])
    with Path(PICTURE).open("ab") as file:
        file.write(picture)
    os._exit(0)  # at once: taking the file apart again may take longer than drawing it


def draw(
    path: str, number: int, text: str, around: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> bytes:
    """Return a page as WebP, with spans of its text marked, those ``around`` them faintly.

    Raises:
        Exception: whatever the file makes of it.
    """
    import pypdfium2 as pdfium  # type: ignore[import-untyped]
    from PIL import Image, ImageChops, ImageDraw

    pdf = pdfium.PdfDocument(path)
    pdf.init_forms()  # so that what was written into a form is shown
    page = pdf[number - 1]
    bitmap = page.render(scale=_scale(*page.get_size()))
    image = bitmap.to_pil().convert("RGB")
    layer = Image.new("RGB", image.size, "white")
    brush = ImageDraw.Draw(layer)
    faint, strong = _places(page, bitmap, text, around, spans)
    for boxes, colour in ((faint, _FAINT), (strong, _STRONG)):
        for box in boxes:
            brush.rectangle(box, colour)
    image = ImageChops.multiply(image, layer)
    brush = ImageDraw.Draw(image)
    for left, _, right, bottom in strong:
        brush.line((left, bottom, right, bottom), _LINE, 2)
    out = BytesIO()
    image.save(out, "WEBP", quality=_QUALITY)
    return out.getvalue()


def _scale(width: float, height: float) -> float:
    """Return how many pixels a point gets."""
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise ValueError("a page of no size")
    scale = min(_WIDTH / width, math.sqrt(0.99 * MOST_PIXELS / (width * height)), 0.99 * MOST_SIDE / max(width, height))
    if math.ceil(width * scale) * math.ceil(height * scale) > MOST_PIXELS:
        raise ValueError("a page that is hardly more than a line")
    return scale


def _places(
    page: Any,  # noqa: ANN401 - pdfium's objects
    bitmap: Any,  # noqa: ANN401
    text: str,
    around: Sequence[tuple[int, int]],
    spans: Sequence[tuple[int, int]],
) -> tuple[list[Box], list[Box]]:
    """Return what to mark faintly and what clearly, one box for each line of it."""
    if not spans and not around:
        return [], []
    from pypdfium2 import raw

    drawn = page.get_textpage()
    count = min(drawn.count_chars(), _MOST_CHARACTERS)
    characters = [chr(min(raw.FPDFText_GetUnicode(drawn, index), sys.maxunicode)) for index in range(count)]
    position = bitmap.get_posconv(page)
    groups = []
    for found in (drawn_places(text, around, characters), drawn_places(text, spans, characters)):
        lines: list[Box] = []
        for places in found:
            boxes = ((_box(drawn, position, index), _is_level(drawn, index)) for index in places)
            lines += _lines(((box, level) for box, level in boxes if box is not None), bitmap.width, bitmap.height)
        groups.append(lines)
    return groups[0], groups[1]


def _box(drawn: Any, position: Any, index: int) -> Box | None:  # noqa: ANN401 - pdfium's objects
    """Return where a character stands in the picture, with its line's whole height; None where that makes no sense."""
    tight = drawn.get_charbox(index)
    loose = drawn.get_charbox(index, loose=True)
    # Some fonts say that their characters are as tall as the page.
    is_sound = all(map(math.isfinite, loose)) and loose[3] - loose[1] <= 4 * max(tight[3] - tight[1], 2.0)
    left, bottom, right, top = loose if is_sound else tight
    if not all(abs(value) < 1e6 for value in (left, bottom, right, top)):
        return None
    (x, y), (other_x, other_y) = position.to_bitmap(left, bottom), position.to_bitmap(right, top)
    return min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y)


def _is_level(drawn: Any, index: int) -> bool:  # noqa: ANN401 - pdfium's object
    """Whether a character stands on a line that runs along a side of the page."""
    from pypdfium2 import raw

    return abs(math.sin(2 * raw.FPDFText_GetCharAngle(drawn, index))) < 0.1


def _lines(boxes: Iterable[tuple[Box, bool]], width: int, height: int) -> list[Box]:
    """Merge characters that follow each other on one line; clip to the picture."""
    lines: list[Box] = []
    last: Box | None = None
    for box, is_level in boxes:
        if last is not None and is_level and _is_beside(last, box):
            line = lines[-1]
            lines[-1] = (min(line[0], box[0]), min(line[1], box[1]), max(line[2], box[2]), max(line[3], box[3]))
        else:
            lines.append(box)
        last = box if is_level else None
    clipped = ((max(x, 0), max(y, 0), min(right, width - 1), min(end, height - 1)) for x, y, right, end in lines)
    return [line for line in clipped if line[0] < line[2] and line[1] < line[3]]


def _is_beside(one: Box, other: Box) -> bool:
    """Whether two characters stand on one line, which may run across or down."""
    across = _shared(one[1], one[3], other[1], other[3]), _gap(one[0], one[2], other[0], other[2])
    down = _shared(one[0], one[2], other[0], other[2]), _gap(one[1], one[3], other[1], other[3])
    tall, wide = max(one[3] - one[1], other[3] - other[1]), max(one[2] - one[0], other[2] - other[0])
    return (across[0] >= 0.5 and across[1] <= 2 * tall) or (down[0] >= 0.5 and down[1] <= wide)


def _shared(start: int, end: int, other_start: int, other_end: int) -> float:
    """Return the share of the shorter of two stretches that lies in the other."""
    common = min(end, other_end) - max(start, other_start)
    return common / max(1, min(end - start, other_end - other_start))


def _gap(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(start, other_start) - min(end, other_end)
