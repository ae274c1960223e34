"""Drawing a page of a stranger's file, whatever it is like, does no more harm than to fail."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from engine import page_image as page_image_module
from engine.errors import Cancelled, DocumentError
from engine.events import Stop
from engine.page_image import DRAWING_LIMITS, DrawingLimits, page_image
from tests.fuzz import pdfs
from tests.pages import HEIGHT, LINES, WIDTH, lines_at, marked_box, opened, printed, text_of
from tests.scratch import nothing_left  # noqa: F401 - holds for every test here
from tests.uploads import encrypted

DATA = Path(__file__).parents[1] / "data"
MB = 2**20
MOST_PIXELS = 3_000_000


@pytest.fixture
def letter(tmp_path):
    return printed(tmp_path / "letter.pdf", lambda canvas: lines_at(canvas, LINES))


def refused(path: Path, page: int = 1, limits: DrawingLimits = DRAWING_LIMITS, **options: object) -> str:
    with pytest.raises(DocumentError) as caught:
        page_image(path, page, limits=limits, **options)
    message = str(caught.value)
    assert message.startswith(f"Page {page} ")
    assert "letter" not in message
    return message


# What pages and files may be like


@pytest.mark.parametrize("size", [(14_400, 14_400), (1, 1), (14_400, 10), (20, 14_400), (3, 3000), (595, 842)])
def test_a_picture_has_a_bounded_size_whatever_the_page_has(tmp_path, size):
    path = printed(tmp_path / "odd.pdf", lambda canvas: canvas.drawString(0, 0, "odd"), size)
    image = opened(page_image(path, 1, "odd", [(0, 3)]))
    assert image.width * image.height <= MOST_PIXELS
    assert max(image.size) <= 8000
    assert image.width <= 1000


def test_any_page_of_many_is_drawn(tmp_path):
    path = tmp_path / "many.pdf"
    path.write_bytes(pdfs.pages(pdfs.stream(pdfs.TEXT), 5000))
    began = time.monotonic()
    assert opened(page_image(path, 4999)).size == (1000, 1334)
    assert time.monotonic() - began < 5
    assert "not there" in refused(path, 5001)


@pytest.mark.parametrize("page", [0, -1, 2, 10**9])
def test_a_page_that_is_not_there_is_refused(letter, page):
    assert "is not there or cannot be drawn. Look at it in a PDF viewer." in refused(letter, page)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.4 nothing",
        b"PK\x03\x04",
        b"only text",
        (DATA / "lighthouse.pdf").read_bytes()[:500],
        encrypted((DATA / "lighthouse.pdf").read_bytes(), "secret", "owner"),
        pdfs.pages(pdfs.stream(b"x"), 0),
    ],
)
def test_a_file_that_cannot_be_drawn_is_refused(tmp_path, data):
    path = tmp_path / "letter.pdf"
    path.write_bytes(data)
    assert "cannot be drawn" in refused(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "cannot be drawn" in refused(tmp_path / "letter.pdf")


def test_a_file_that_opens_without_its_password_is_drawn(tmp_path):
    path = tmp_path / "open.pdf"
    path.write_bytes(encrypted((DATA / "lighthouse.pdf").read_bytes(), "", "owner"))
    text = text_of(path)
    assert marked_box(opened(page_image(path, 1, text, [(200, 300)]))) is not None


def test_what_was_written_into_a_form_is_shown(tmp_path):
    def form(canvas: Canvas) -> None:
        canvas.acroForm.textfield(value="Hildegard", x=100, y=400, width=200)
        canvas.showPage()

    path = printed(tmp_path / "form.pdf", form)
    image = opened(page_image(path, 1)).convert("L")
    field = image.crop((round(105 * 1000 / WIDTH), round((HEIGHT - 436) * 1000 / WIDTH), 400, 740))
    assert sum(field.histogram()[:60]) > 50, "ink"


# Hostile files


@pytest.fixture
def endless(tmp_path):
    """A small PDF whose one page takes minutes to draw."""
    fill = b"0 0 600 800 re f " * 1000
    path = tmp_path / "endless.pdf"
    path.write_bytes(pdfs.pages(pdfs.stream(b"/F 12 Tf 1 0 0 rg " + fill * 300, deflate=True)))
    return path


def test_a_page_that_takes_too_long_is_given_up(endless):
    began = time.monotonic()
    assert "took longer than 1 s to draw" in refused(endless, limits=DrawingLimits(max_seconds=1))
    assert time.monotonic() - began < 3


def test_a_page_that_takes_too_much_memory_is_given_up(tmp_path):
    path = tmp_path / "bomb.pdf"
    path.write_bytes(pdfs.pages(pdfs.stream(b" " * (300 * MB), deflate=True)))
    assert "cannot be drawn" in refused(path, limits=DrawingLimits(max_memory_bytes=250 * MB))


def test_drawing_stops_when_asked_to(endless):
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(page_image, endless, 1, stop=stop)
        time.sleep(0.3)
        stop.set()
        with pytest.raises(Cancelled):
            drawing.result(3)


def test_the_process_is_confined_before_it_looks_at_the_file(endless, scratch):
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(page_image, endless, 1, stop=stop)
        process = _confined()
        assert process.environ() == {"TMPDIR": process.cwd()}
        assert Path(process.cwd()).parent == scratch
        assert not [word for word in process.cmdline() if "endless" in word]
        rows = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        limits = dict(row.split("  ", 1) for row in rows)
        assert limits["Max address space"].split()[:2] == [str(3 * 2**29)] * 2
        assert limits["Max cpu time"].split()[:2] == ["20", "25"]
        assert limits["Max file size"].split()[:2] == [str(4 * MB)] * 2
        assert limits["Max open files"].split()[:2] == ["64", "64"]
        stop.set()
        with pytest.raises(Cancelled):
            drawing.result(3)
    assert not process.is_running()


def _confined() -> psutil.Process:
    """The process that draws, once it is confined."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for one in psutil.Process().children():
            with suppress(psutil.Error, OSError):
                is_ours = any("engine.page_drawing" in part for part in one.cmdline())
                if is_ours and "NoNewPrivs:\t1" in Path(f"/proc/{one.pid}/status").read_text():
                    return one
        time.sleep(0.01)
    raise AssertionError("nobody draws")


# A process that a file has taken over


@pytest.fixture
def taken_over(tmp_path, monkeypatch):
    """Lets the process run this code instead of drawing; returns what is made of it."""

    def take(code: str) -> bytes:
        path = tmp_path / "hostile.py"
        path.write_text("import os, sys, time; sys.stdin.readline()\n" + code, "utf-8")
        monkeypatch.setattr(page_image_module, "_START", f"import runpy; runpy.run_path({str(path)!r})")
        return page_image(tmp_path / "letter.pdf", 1, limits=DrawingLimits(max_seconds=1.5))

    return take


def webp(width: int = 10, height: int = 10, **options: object) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", **options)
    return out.getvalue()


def png() -> bytes:
    out = BytesIO()
    Image.new("RGB", (10, 10)).save(out, "PNG")
    return out.getvalue()


def large(width: int, height: int) -> bytes:
    """A WebP image that says it is larger than it is."""
    data = bytearray(webp())
    data[26:28], data[28:30] = width.to_bytes(2, "little"), height.to_bytes(2, "little")
    return bytes(data)


def test_an_image_in_order_is_taken(taken_over):
    assert taken_over(f"open('picture', 'wb').write({webp()!r})") == webp()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<script>alert(1)</script>",
        png(),
        webp()[:-3],
        webp() + b"x",
        webp(lossless=True),
        webp(exif=b"Exif\x00\x00secret"),
        large(9000, 10),
        large(0, 10),
        large(2000, 2000),
        webp()[:20] + b"\x31" + webp()[21:],
    ],
)
def test_anything_else_is_not(taken_over, answer):
    with pytest.raises(DocumentError, match="cannot be drawn"):
        taken_over(f"open('picture', 'wb').write({answer!r})")


@pytest.mark.parametrize(
    "code",
    [
        "open('picture', 'wb').write(b'x' * (64 * 2**20))",
        "os.unlink('picture'); os.symlink('/etc/passwd', 'picture')",
        f"os.unlink('picture'); open('picture', 'wb').write({webp()!r})",
        "os.kill(os.getpid(), 11)",
        "os._exit(0)",
        "time.sleep(60)",
    ],
)
def test_whatever_it_does_instead_there_is_no_picture(taken_over, code):
    with pytest.raises(DocumentError):
        taken_over(code)
