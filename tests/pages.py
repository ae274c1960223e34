"""Printed pages and pictures of them: what tests of marked pages share."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from engine.documents import read_document

WIDTH, HEIGHT = A4
LINES = [f"This is line {number} of the page, and it speaks of goat number {number * 37}." for number in range(30)]
Spans = list[tuple[int, int]]


def printed(path: Path, draw: Callable[[Canvas], None], size: tuple[float, float] = A4) -> Path:
    canvas = Canvas(str(path), pagesize=size)
    draw(canvas)
    canvas.save()
    return path


def lines_at(canvas: Canvas, lines: list[str], left: float = 72, top: float = 770) -> None:
    """Print lines; line n stands 20 n points below ``top``."""
    for row, line in enumerate(lines):
        canvas.drawString(left, top - 20 * row, line)


def text_of(path: Path, page: int = 1) -> str:
    """The text of one page as the engine reads it."""
    document = read_document(path)
    begins = [mark.start for mark in document.marks if mark.page is not None] + [len(document.text)]
    return document.text[begins[page - 1] : begins[page]]


def spans_of(text: str, *quotes: str) -> Spans:
    return [(text.index(quote), text.index(quote) + len(quote)) for quote in quotes]


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    assert image.format == "WEBP"
    return image.convert("RGB")


def marked_box(image: Image.Image, size: tuple[float, float] = A4) -> tuple[float, float, float, float] | None:
    """The left, bottom, right and top of all that is marked clearly, in points of the page."""
    red, green, blue = image.split()
    mask = Image.new("L", image.size, 255)
    for wanted in (
        red.point(lambda value: 255 * (value > 200)),
        green.point(lambda value: 255 * (value > 190)),
        blue.point(lambda value: 255 * (value < 135)),
    ):
        mask = ImageChops.multiply(mask, wanted)
    box = mask.getbbox()
    if box is None:
        return None
    across, down = size[0] / image.width, size[1] / image.height
    return box[0] * across, size[1] - box[3] * down, box[2] * across, size[1] - box[1] * down


def is_near(box: tuple[float, ...] | None, *expected: float, by: float = 5) -> bool:
    assert box is not None
    return all(abs(one - other) <= by for one, other in zip(box, expected, strict=True))
