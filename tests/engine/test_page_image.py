"""The picture of a page: the marked text stands on it where it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import RectangleObject
from reportlab.pdfgen.canvas import Canvas

from engine.documents import read_document
from engine.page_image import page_image
from tests.pages import HEIGHT, LINES, WIDTH, is_near, lines_at, marked_box, opened, printed, spans_of, text_of
from tests.scratch import nothing_left  # noqa: F401 - holds for every test here


@pytest.fixture
def letter(tmp_path):
    """A page of thirty lines; line n stands 770 - 20 n points above the lower edge."""
    return printed(tmp_path / "letter.pdf", lambda canvas: lines_at(canvas, LINES))


def drawn(path: Path, *quotes: str, page: int = 1) -> Image.Image:
    text = text_of(path, page)
    return opened(page_image(path, page, text, spans_of(text, *quotes)))


@pytest.mark.parametrize("row", [0, 7, 29])
def test_the_mark_is_on_the_line_of_the_sentence_and_nowhere_else(letter, row):
    image = drawn(letter, LINES[row])
    assert image.size == (1000, 1415)
    width = Canvas("").stringWidth(LINES[row])
    assert is_near(marked_box(image), 72, 770 - 20 * row - 3, 72 + width, 770 - 20 * row + 9)
    assert marked_box(drawn(letter)) is None


def test_a_sentence_over_several_lines_is_marked_line_by_line(tmp_path):
    lines = ["Before it. The keeper lit the lamp every even-", "ing at dusk, and put it out at dawn. After it."]
    path = printed(tmp_path / "two.pdf", lambda canvas: lines_at(canvas, lines))
    text = text_of(path)
    (span,) = spans_of(text, "The keeper lit the lamp every evening at dusk, and put it out at dawn.")
    image = opened(page_image(path, 1, text, [span]))
    start, end = (Canvas("").stringWidth(part) for part in ("Before it. ", lines[1][: -len(" After it.")]))
    upper, lower = image.crop((0, 0, 1000, 134)), image.crop((0, 134, 1000, 1415))
    split = HEIGHT * 134 / 1415
    first = 72 + start, split - (HEIGHT - 767), 72 + Canvas("").stringWidth(lines[0]), split - (HEIGHT - 779)
    assert is_near(marked_box(upper, (WIDTH, split)), *first, by=6)
    assert is_near(marked_box(lower, (WIDTH, HEIGHT - split)), 72, 747, 72 + end, 759, by=6)


def test_what_is_around_a_sentence_is_marked_faintly(letter):
    text = text_of(letter)
    spans, around = spans_of(text, LINES[5]), [(text.index(LINES[3]), text.index(LINES[8]))]
    image = opened(page_image(letter, 1, text, spans, around))
    assert is_near(marked_box(image), 72, 667, 400, 679, by=20), "only the sentence is marked clearly"
    below = image.getpixel((130, round((HEIGHT - 770 + 20 * 6 - 7) * 1000 / WIDTH) - 3))
    assert below[2] < 250, "and the next line a little"
    assert marked_box(opened(page_image(letter, 1, text, (), around))) is None


def test_in_two_columns_the_mark_stays_in_its_own(tmp_path):
    left, right = [f"Left {line}"[:38] for line in LINES], [f"Right {line}"[:38] for line in LINES]

    def columns(canvas: Canvas) -> None:
        lines_at(canvas, left, 50)
        lines_at(canvas, right, 310)

    box = marked_box(drawn(printed(tmp_path / "columns.pdf", columns), right[4]))
    assert is_near(box, 310, 770 - 80 - 3, 310 + Canvas("").stringWidth(right[4]), 770 - 80 + 9)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_the_mark_turns_with_the_page(letter, tmp_path, angle):
    writer = PdfWriter()
    writer.add_page(PdfReader(letter).pages[0].rotate(angle))
    turned = tmp_path / "turned.pdf"
    writer.write(turned)
    text = text_of(letter)
    image = opened(page_image(turned, 1, text, spans_of(text, LINES[9])))
    upright = image.rotate(angle, expand=True)  # Pillow turns the other way round
    assert is_near(marked_box(upright), 72, 587, 72 + Canvas("").stringWidth(LINES[9]), 599)


def test_the_mark_is_right_on_a_page_that_was_cropped(letter, tmp_path):
    writer = PdfWriter()
    page = PdfReader(letter).pages[0]
    page.cropbox = RectangleObject((60, 400, 460, 800))
    writer.add_page(page)
    cropped = tmp_path / "cropped.pdf"
    writer.write(cropped)
    text = text_of(letter)
    image = opened(page_image(cropped, 1, text, spans_of(text, LINES[9], LINES[25])))
    assert image.size == (1000, 1000)
    assert is_near(marked_box(image, (400, 400)), 12, 187, 12 + Canvas("").stringWidth(LINES[9]), 199)


def test_text_that_runs_down_the_page_is_marked(tmp_path):
    def down(canvas: Canvas) -> None:
        canvas.translate(300, 700)
        canvas.rotate(-90)
        lines_at(canvas, LINES[:3], 0, 0)

    path = printed(tmp_path / "down.pdf", down)
    width = Canvas("").stringWidth(LINES[1])
    assert is_near(marked_box(drawn(path, LINES[1])), 300 - 20 - 3, 700 - width, 300 - 20 + 9, 700)


def test_what_is_marked_stays_legible_and_shows_on_a_dark_page(tmp_path):
    def dark(canvas: Canvas) -> None:
        canvas.rect(0, 0, WIDTH, HEIGHT, fill=1)
        canvas.setFillGray(1)
        lines_at(canvas, LINES[:3])

    image = drawn(printed(tmp_path / "dark.pdf", dark), LINES[1])
    below = round((HEIGHT - 750 + 3) * 1000 / WIDTH)
    line = [image.getpixel((200, row)) for row in range(below - 2, below + 3)]
    assert any(red > 110 and red > blue + 40 for red, _, blue in line), "a line below it"
    assert max(max(image.getpixel((200, row))) for row in range(below - 40, below - 28)) < 40, "but not above it"


def test_a_sentence_that_runs_over_from_another_page_is_marked_on_both(tmp_path):
    def two(canvas: Canvas) -> None:
        lines_at(canvas, [*LINES[:29], "At the end of the page begins a sentence"])
        canvas.showPage()
        lines_at(canvas, ["that goes on at the top of the next one.", *LINES[1:]])

    path = printed(tmp_path / "two.pdf", two)
    whole = read_document(path).text
    start, end = whole.index("At the end"), whole.index("next one.") + len("next one.")
    first, second = (opened(page_image(path, page, whole, [(start, end)])) for page in (1, 2))
    assert is_near(
        marked_box(first), 72, 187, 72 + Canvas("").stringWidth("At the end of the page begins a sentence"), 199
    )
    assert is_near(
        marked_box(second), 72, 767, 72 + Canvas("").stringWidth("that goes on at the top of the next one."), 779
    )


@pytest.mark.parametrize("text", ["", "Nothing of this stands on the page, not a word of it, nor a letter."])
def test_a_page_without_the_text_is_shown_without_a_mark(letter, text):
    assert marked_box(opened(page_image(letter, 1, text, [(0, len(text))], [(0, 5)]))) is None
