"""Word documents, sound, damaged and hostile."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import partial
from itertools import islice

from docx.oxml.ns import nsdecls

from tests.benchmarks.documents_cases import MB, Case, Read, Refused, entries, holding
from tests.uploads import RELATIONS, main_part, paragraph, with_body, with_part

_ROWS = (("year", "ships"), ("1893", "twelve"))
_CELLS = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in _ROWS)
_ITEM = '<w:numPr><w:numId w:val="1"/></w:numPr>'
# Each kind of content: how it is written, and how it is read.
_LAMP = (
    paragraph("Of the Lamp", '<w:outlineLvl w:val="0"/>') + paragraph("It is lit at dusk."),
    "Of the Lamp\n\nIt is lit at dusk.",
)
_TABLE = (
    f"<w:tbl>{''.join(f'<w:tr>{cells}</w:tr>' for cells in _CELLS)}</w:tbl>",
    "year | ships\n1893 | twelve",
)
_NOTED = (
    paragraph("The oil was dear.").replace("</w:p>", '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>'),
    "The oil was dear.\n[1: Twelve crowns a barrel.]",
)
_BOX = (
    "<w:p><w:r><w:t>Beside a box.</w:t></w:r><w:r><w:pict><w:txbxContent>"
    f"{paragraph('No boats today.')}</w:txbxContent></w:pict></w:r></w:p>",
    "Beside a box.\nNo boats today.",
)
_LIST = (paragraph("wick", _ITEM) + paragraph("oil", _ITEM) + paragraph("rope", _ITEM), "- wick\n- oil\n- rope")
_BELL = (
    paragraph("Of the Bell", '<w:outlineLvl w:val="1"/>') + paragraph("It rings in fog."),
    "Of the Bell\n\nIt rings in fog.",
)
_SECTIONS = {"dusk": "Of the Lamp", "twelve": "Of the Lamp", "fog": "Of the Bell"}
_FOOTNOTE = f'<w:footnote w:id="2">{paragraph("Twelve crowns a barrel.")}</w:footnote>'
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096)
_DAMAGED, _OTHER = "is a damaged Word document", "is not a Word (DOCX) file, or is damaged"


def _document(body: str) -> bytes:
    """Return a file with this body and one footnote, number 2."""
    notes = f"<w:footnotes {nsdecls('w')}>{_FOOTNOTE}</w:footnotes>".encode()
    relation = f'<Relationship Id="rNotes" Type="{RELATIONS}footnotes" Target="footnotes.xml"/>'
    return with_part({"word/document.xml": main_part(body), "word/footnotes.xml": notes}, relation)


def _sound(name: str, *contents: tuple[str, str]) -> Case:
    body, text = "".join(written for written, _ in contents), "\n\n".join(read for _, read in contents)
    headed = contents[0] == _LAMP
    places = {word: (None, section) for word, section in _SECTIONS.items() if headed and word in text}
    return Case(f"DOCX, {name}", "report.docx", holding(partial(_document, body)), Read(lambda: text, places))


def _letter() -> bytes:
    return _document("".join(map(paragraph, islice(entries(), 2000))))


def _cut() -> bytes:
    whole = _letter()
    return whole[: len(whole) // 2]


def _corrupt() -> bytes:
    """Return a file with a hole in the middle of its packed main part."""
    data = bytearray(_letter())
    middle = data.find(b"word/document.xml") + 5000
    data[middle : middle + 64] = bytes(64)
    return bytes(data)


def _bomb() -> bytes:
    """Return a file whose main part unpacks to 1 GB."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("word/document.xml", "w") as part,
    ):
        for _ in range(64):
            part.write(b" " * (16 * MB))
    return out.getvalue()


def _lying_bomb() -> bytes:
    """Return a file whose main part says that it unpacks to 5,000 bytes, and unpacks to many times that."""
    out, body = io.BytesIO(), main_part(paragraph("y" * 1000) * 20_000)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", body)
    return out.getvalue().replace(struct.pack("<L", len(body)), struct.pack("<L", 5000))


def _laughing() -> bytes:
    """Return a file with entities that stand for 10 ** 9 words."""
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return with_body(paragraph("&a9;"), f'<!DOCTYPE x [<!ENTITY a0 "lol">{laughs}]>')


def _nested() -> bytes:
    return with_body("<w:sdt>" * 1_000_000 + "</w:sdt>" * 1_000_000)


def _lines(size: int) -> list[str]:
    """Return the texts of paragraphs whose markup takes about so many bytes."""
    count = size // len(paragraph(next(entries())))
    return [line.rstrip() for line in islice(entries(), count)]


def _large(size: int) -> Case:
    make = holding(lambda: with_body("".join(map(paragraph, _lines(size)))))
    return Case("DOCX, 100 MB of markup", "long.docx", make, Read(lambda: "\n\n".join(_lines(size))), large=True)


def cases() -> list[Case]:
    sealed = _OLE + "EncryptedPackage".encode("utf-16-le") + bytes(4096)
    return [
        _sound("headings are sections", _LAMP, _BELL),
        _sound("tables", _TABLE),
        _sound("footnotes", _NOTED),
        _sound("text boxes", _BOX),
        _sound("lists", _LIST),
        _sound("all of these in order", _LAMP, _TABLE, _BOX, _NOTED, _LIST, _BELL),
        Case("DOCX, blank", "blank.docx", holding(lambda: with_body(paragraph(" "))), Refused("holds no text")),
        Case("DOCX, truncated", "cut.docx", holding(_cut), Refused(_OTHER)),
        Case("DOCX, corrupt", "hole.docx", holding(_corrupt), Refused(_DAMAGED)),
        Case("DOCX, encrypted", "sealed.docx", holding(lambda: sealed), Refused("is protected by a password")),
        Case("DOCX, unpacks to 1 GB", "bomb.docx", holding(_bomb), Refused("unpacks to 1,024.0 MB")),
        Case("DOCX, unpacks to more than it says", "lie.docx", holding(_lying_bomb), Refused(_DAMAGED)),
        Case("DOCX, entity bomb", "laughs.docx", holding(_laughing), Refused(_DAMAGED)),
        Case("DOCX, a million nested elements", "deep.docx", holding(_nested), Refused(_DAMAGED)),
        Case("DOC renamed .docx", "old.docx", holding(lambda: _OLE), Refused("Save it as .docx")),
        Case("DOC", "old.doc", holding(lambda: _OLE), Refused("Save it as .docx")),
        _large(100 * MB),
    ]
