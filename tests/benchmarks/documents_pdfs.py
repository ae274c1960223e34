"""PDFs, sound, damaged and hostile."""

from __future__ import annotations

import io
import zlib
from functools import partial
from itertools import islice

from PIL import Image
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

from engine.documents import Limits
from tests.benchmarks.documents_cases import MB, Case, Read, Refused, entries, holding, noise
from tests.fuzz import pdfs
from tests.uploads import encrypted, pdf, raw_page, raw_pdf, raw_stream

_THREE = (["The lamp is lit at dusk."], ["The fog bell rings at noon."], ["The boats are home by night."])
_TEXT = "The lamp is lit at dusk.\n\nThe fog bell rings at noon.\n\nThe boats are home by night."
_PLACES = {"lamp": (1, None), "bell": (2, None), "boats": (3, None)}
_LINE = b"(The same line again and again) Tj 0 -14 Td "
_LINES, _IMAGE = 40, MB // 2  # what a page of the large file has: lines of text, and bytes of a picture
_DAMAGED = "is damaged or not a complete PDF"


def _columns(texts: list[str]) -> bytes:
    """Return one page with two columns, filled from the left one on."""
    out = io.BytesIO()
    frames = [Frame(left, 72, 216, 300, id=str(left)) for left in (72, 312)]
    document = BaseDocTemplate(out)
    document.addPageTemplates(PageTemplate(frames=frames))
    style = getSampleStyleSheet()["BodyText"]
    document.build([Paragraph(text, style) for text in texts])
    return out.getvalue()


def _two_columns() -> Case:
    texts = ["".join(islice(entries(), first, first + 5)).replace("\n", " ").strip() for first in (0, 5, 10, 15)]
    return Case("PDF, two columns", "columns.pdf", holding(lambda: _columns(texts)), Read(lambda: "\n".join(texts)))


def _book() -> Case:
    """Pages with a head, a foot and words that are broken at the ends of lines."""
    words = ("harbour", "weather", "lantern", "captain", "morning")
    lines = [
        [
            "The Book of the Light",
            f"Nobody who lived on the island spoke of the {word[:3]}-",
            f"{word[3:]} before the lamp was lit, and when it was",
            f"lit, they spoke of nothing but the {word}.",
            f"Page {number} of {len(words)}",
        ]
        for number, word in enumerate(words, 1)
    ]
    start = "Nobody who lived on the island spoke of the"
    end = "before the lamp was lit, and when it was lit, they spoke of nothing but the"
    expected = Read(
        lambda: "\n\n".join(f"{start} {word} {end} {word}." for word in words),
        {word: (number, None) for number, word in enumerate(words, 1)},
    )
    return Case("PDF, hyphenation, running heads and feet", "book.pdf", holding(lambda: pdf(*lines)), expected)


def _locked(name: str, expected: Read | Refused, password: str | None, cipher: str = "RC4-128") -> Case:
    make = holding(lambda: encrypted(pdf(*_THREE), "rising tide", "owner", cipher))
    return Case(f"PDF, {name}", "locked.pdf", make, expected, password=password)


def _scan() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for seed in range(3):
        picture = Image.frombytes("L", (200, 260), noise(200 * 260, seed))
        canvas.drawImage(ImageReader(picture), 40, 40, 500, 650)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _cut() -> bytes:
    whole = pdf(*_THREE)
    return whole[: len(whole) // 2]


def _tree(counts: int = 10) -> bytes:
    """Return a file of 10 ** 10 pages: every node of the tree has the next one for all its ten children."""
    kids = [b" ".join([b"%d 0 R" % kid] * 10) for kid in (*range(5, 5 + counts - 1), 3)]
    nodes = [b"<</Type/Pages/Count %d/Kids[%b]>>" % (10**10, kid) for kid in kids]
    words = raw_stream(b"BT /F 12 Tf 10 10 Td (Some words.) Tj ET")
    return raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", nodes[0], raw_page(4), words, *nodes[1:])


def _deflate_bomb() -> bytes:
    """Return a page whose contents are 1 GB of spaces."""
    packer, block = zlib.compressobj(1), b" " * (16 * MB)
    packed = b"".join(packer.compress(block) for _ in range(64)) + packer.flush()
    return pdfs.pages(raw_stream(packed, b"/FlateDecode"))


def _broken_page() -> bytes:
    """Return three pages, the second of which has contents that nobody can decode."""
    words = raw_stream(b"BT /F 12 Tf 10 10 Td (The lamp is lit.) Tj ET")
    tree = b"<</Type/Pages/Count 3/Kids[3 0 R 5 0 R 3 0 R]>>"
    return raw_pdf(
        b"<</Type/Catalog/Pages 2 0 R>>", tree, raw_page(4), words, raw_page(6), raw_stream(b"lamp", b"/Nonsense")
    )


def _endless() -> bytes:
    """Return 5,000 pages, each of a thousand lines: many minutes of work in 30 KB."""
    return pdfs.pages(pdfs.stream(b"BT /F 12 Tf 72 700 Td " + _LINE * 1000 + b"ET", deflate=True), 5000)


def _illustrated(count: int) -> bytes:
    """Return pages of text, each with a picture of its own that does not compress."""
    numbers = range(4, 4 + 3 * count, 3)
    lines = (line.rstrip().encode() for line in entries())
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, b" ".join(b"%d 0 R" % number for number in numbers)),
        pdfs.FONT,
    ]
    for number in numbers:
        resources = b"<</Font<</F 3 0 R>>/XObject<</I %d 0 R>>>>" % (number + 2)
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources%b/Contents %d 0 R>>"
        shown = b" ".join(b"(%b) Tj 0 -14 Td" % line for line in islice(lines, _LINES))
        contents = b"q 500 0 0 200 50 10 cm /I Do Q BT /F 12 Tf 50 780 Td %b ET" % shown
        picture = b"/Type/XObject/Subtype/Image/Width 1024/Height 512/BitsPerComponent 8/ColorSpace/DeviceGray"
        objects += [page % (resources, number + 1), pdfs.stream(contents), pdfs.stream(noise(_IMAGE, number), picture)]
    return pdfs.write(objects)


def _large(count: int) -> Case:
    def text() -> str:
        return "".join(islice(entries(), count * _LINES))

    expected = Read(
        text,
        {f"Entry {page * _LINES + 20} says": (page + 1, None) for page in (0, count // 2, count - 1)},
        same_lines=False,
    )
    make = holding(partial(_illustrated, count))
    return Case("PDF, 200 MB of images and text", "illustrated.pdf", make, expected, large=True)


def cases() -> list[Case]:
    sound = Read(lambda: _TEXT, _PLACES)
    owner = holding(lambda: encrypted(pdf(*_THREE), "", "owner"))
    gaps = holding(lambda: pdf(_THREE[0], [], [], _THREE[1], []))
    spaced = Read(lambda: _TEXT.rpartition("\n\n")[0], {"lamp": (1, None), "bell": (4, None)})
    one_left_out = Read(lambda: "The lamp is lit.\n\nThe lamp is lit.", {"lamp": (1, None)}, notes=1)
    ocr, slow, small = "text recognition (OCR) is not done here", Limits(max_seconds=1.5), 150 * MB
    return [
        Case("PDF, text on three pages", "three.pdf", holding(lambda: pdf(*_THREE)), sound),
        Case("PDF renamed .txt", "three.txt", holding(lambda: pdf(*_THREE)), sound),
        _two_columns(),
        _book(),
        Case("PDF, owner password only", "owned.pdf", owner, sound),
        _locked("user password, none given", Refused("Give the password, or remove", "PasswordError"), None),
        _locked("user password, a wrong one given", Refused("does not open", "PasswordError"), "falling tide"),
        _locked("user password, the right one given", sound, "rising tide"),
        _locked(
            "AES-256, no password given", Refused("Give the password, or remove", "PasswordError"), None, "AES-256"
        ),
        _locked("AES-256, the right password given", sound, "rising tide", "AES-256"),
        Case("PDF, images only", "scan.pdf", holding(_scan), Refused(ocr)),
        Case("PDF, truncated", "cut.pdf", holding(_cut), Refused(_DAMAGED)),
        Case("PDF, corrupt: noise", "noise.pdf", holding(lambda: b"%PDF-1.7\n" + noise(MB)), Refused(_DAMAGED)),
        Case("PDF, corrupt: one page of three", "page.pdf", holding(_broken_page), one_left_out),
        Case("PDF, some pages empty", "gaps.pdf", gaps, spaced),
        Case("PDF, all pages empty", "bare.pdf", holding(lambda: pdf([], [], [])), Refused(ocr)),
        Case(
            "PDF, too many pages",
            "long.pdf",
            holding(lambda: pdfs.pages(pdfs.stream(pdfs.TEXT), 5001)),
            Refused("has 5,001 pages; at most 5,000 are read"),
        ),
        Case("PDF, page tree of 10^10 pages", "tree.pdf", holding(_tree), Refused("endlessly many pages")),
        Case("PDF, a page that unpacks to 1 GB", "bomb.pdf", holding(_deflate_bomb), Refused(_DAMAGED)),
        Case(
            "PDF, endless work (1.5 s allowed)",
            "endless.pdf",
            holding(_endless),
            Refused("took longer than 1.5 s to read"),
            limits=slow,
        ),
        Case(
            "PDF, more memory than allowed (150 MB)",
            "greedy.pdf",
            holding(lambda: pdfs.pages(pdfs.stream(b" " * (60 * MB), deflate=True))),
            Refused("takes more than 150.0 MB of memory"),
            limits=Limits(max_memory_bytes=small),
        ),
        _large(396),
    ]
