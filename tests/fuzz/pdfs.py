"""PDF files written by hand: any objects, sound or not."""

from __future__ import annotations

import random
import re
import zlib
from functools import cache
from io import BytesIO

from hypothesis import strategies as st
from pypdf import PdfWriter

from tests.fuzz.texts import DATA, damaged

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
TEXT = b"BT /F 12 Tf 72 700 Td (The lamp burned from dusk to dawn.) Tj 0 -14 Td (It was lit every ev-) Tj ET"


def write(objects: list[bytes], trailer: bytes = b"/Root 1 0 R", at: int | None = None) -> bytes:
    """Return a file of these objects, numbered from 1; ``at`` lies about where the table of objects is."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        table if at is None else at,
    )
    return bytes(out)


def stream(data: bytes, entries: bytes = b"", deflate: bool = False) -> bytes:
    """Return the body of a stream object."""
    if deflate:
        data, entries = zlib.compress(data, 9), entries + b"/Filter/FlateDecode"
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def pages(contents: bytes, count: int = 1) -> bytes:
    """Return a file of so many pages, all of them the same one; ``contents`` is the body of its stream object."""
    return write(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, b"4 0 R " * count),
            FONT,
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>/Contents 5 0 R>>",
            contents,
        ]
    )


def sealed(password: str) -> bytes:
    """Return a file of three pages that opens with this password."""
    writer, out = PdfWriter(clone_from=BytesIO(pages(stream(TEXT), 3))), BytesIO()
    writer.encrypt(password, "owner", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


@cache
def seeds() -> tuple[bytes, ...]:
    return (
        (DATA / "lighthouse.pdf").read_bytes(),
        sealed(""),
        pages(stream(TEXT)),
        pages(stream(TEXT, deflate=True), 3),
        pages(stream(TEXT.hex().encode() + b">", b"/Filter/ASCIIHexDecode")),
        re.sub(rb"startxref\n\d+", rb"startxref\n7", pages(stream(TEXT), 2)),
    )


NAMES = (
    *(b"Type", b"Page", b"Pages", b"Kids", b"Count", b"Parent", b"Contents", b"Resources", b"Font", b"F", b"XObject"),
    *(b"Subtype", b"Form", b"Image", b"Type0", b"Type1", b"Type3", b"TrueType", b"BaseFont", b"Helvetica", b"Encoding"),
    *(b"ToUnicode", b"DescendantFonts", b"W", b"DW", b"Widths", b"FirstChar", b"LastChar", b"FontDescriptor", b"N"),
    *(b"Differences", b"MediaBox", b"Rotate", b"Filter", b"FlateDecode", b"LZWDecode", b"ASCII85Decode", b"First"),
    *(b"ASCIIHexDecode", b"RunLengthDecode", b"DecodeParms", b"Predictor", b"Columns", b"Colors", b"Length", b"Size"),
    *(b"Root", b"Prev", b"XRefStm", b"Encrypt", b"Standard", b"V", b"R", b"O", b"U", b"P", b"CF", b"ID", b"ObjStm"),
    *(b"XRef", b"Index", b"Extends", b"Outlines", b"Identity-H", b"GBK-EUC-H", b"CharProcs", b"FontMatrix"),
)
OPERATORS = tuple(b"BT ET Tf Td TD Tm T* Tj TJ ' \" Tc Tw Tz TL Ts Tr cm q Q Do BI ID EI BDC EMC gs".split())
_names = st.sampled_from(NAMES).map(lambda name: b"/" + name)
_numbers = st.sampled_from(
    (b"0", b"1", b"-1", b"2", b"12", b"0.5", b"4294967296", b"99999999999999999999", b"1e9", b"--3")
)
_references = st.integers(0, 12).map(lambda number: b"%d 0 R" % number)
_strings = st.binary(max_size=12).map(lambda data: b"<" + data.hex().encode() + b">") | st.sampled_from(
    (b"(words)", b"()", b"(\\", b"(\\777\\)", b"<FEFFD800>", b"<0")
)
_atoms = _names | _numbers | _references | _strings | st.sampled_from((b"null", b"true", b"[", b">>", b"stream"))
values = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=5).map(lambda items: b"[" + b" ".join(items) + b"]")
        | st.lists(st.tuples(_names, inner), max_size=5).map(
            lambda pairs: b"<<" + b"".join(b"%s %s" % pair for pair in pairs) + b">>"
        )
    ),
    max_leaves=12,
)
_operations = st.lists(
    st.tuples(st.lists(_atoms, max_size=3), st.sampled_from(OPERATORS)).map(
        lambda operation: b" ".join((*operation[0], operation[1]))
    ),
    max_size=15,
).map(lambda operations: TEXT[:-2] + b" ".join(operations) + b" (after all) Tj ET")
CMAP = b"""begincmap 1 begincodespacerange <00> <FF> endcodespacerange
1 beginbfrange <00> <FF> <0041> endbfrange 1 beginbfchar <20> <D83DDE00> endbfchar endcmap"""


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from((TEXT, CMAP)) | _operations | damaged((TEXT, CMAP)) | st.binary(max_size=60))
    pairs = st.tuples(_names, values).map(lambda pair: b"%s %s" % pair)
    entries = b"".join(draw(st.lists(pairs, max_size=2))) if draw(st.booleans()) else b""
    return stream(data, entries, draw(st.booleans()))


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A skeleton of one page, with some of its objects and entries replaced, and more objects after it."""

    def mostly(sound: bytes) -> bytes:
        return sound if draw(st.sampled_from(range(12))) else draw(values)

    def entries(most: int) -> bytes:
        pairs = st.tuples(_names, values).map(lambda pair: b"%s %s" % pair)
        return b"".join(draw(st.lists(pairs, max_size=most)))

    resources = b"<</Font<</F 3 0 R/G 6 0 R>>/XObject<</X 7 0 R>>>>"
    page = b"/Resources %s/Contents %s" % (mostly(resources), mostly(b"5 0 R"))
    page += b"/MediaBox %s/Parent %s" % (mostly(b"[0 0 600 800]"), mostly(b"2 0 R"))
    objects = [
        mostly(b"<</Type/Catalog/Pages 2 0 R>>"),
        b"<</Type/Pages/Count %s/Kids %s>>" % (mostly(b"1"), mostly(b"[4 0 R]")),
        b"<</Type/Font/Subtype/Type0/ToUnicode 6 0 R%s>>" % entries(6),
        b"<</Type/Page%s>>" % page,
        draw(streams()),
        draw(streams()),
        *draw(st.lists(values | streams(), max_size=4)),
    ]
    trailer = b"/Root 1 0 R" + (b"" if draw(st.sampled_from(range(4))) else entries(2))
    table = None if draw(st.sampled_from(range(4))) else draw(st.integers(-5, 2000))
    return write(objects, trailer, table)


@st.composite
def exchanged(draw: st.DrawFn) -> bytes:
    """A sound file with some of its words exchanged; the table of objects no longer fits then, as in damaged files."""
    words = re.split(rb"(/\w+|\b\d+\b)", draw(st.sampled_from(seeds())))
    chance = random.Random(draw(st.integers(0, 2**32)))
    for at in chance.choices(range(1, len(words), 2), k=chance.randint(1, 6)):
        name = words[at].startswith(b"/")
        words[at] = b"/" + chance.choice(NAMES) if name else chance.choice((b"0", b"1", b"4", b"7", b"65536", b"-9"))
    return b"".join(words)


def files() -> st.SearchStrategy[bytes]:
    return built() | built() | exchanged() | damaged(seeds())
