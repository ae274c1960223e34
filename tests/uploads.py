"""Files to upload, made on the spot: PDFs and Word documents, sound and hostile, and what a refusal must look like."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import docx
import pytest
from docx.oxml.ns import nsdecls
from pypdf import PdfWriter
from reportlab.pdfgen.canvas import Canvas

from engine.documents import read_document
from engine.errors import DocumentError

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def pdf(*pages: list[str]) -> bytes:
    """A PDF with these printed lines on its pages; an empty list leaves a page without text."""
    out = BytesIO()
    canvas = Canvas(out)
    for lines in pages:
        canvas.rect(100, 100, 200, 200, fill=1)
        for row, line in enumerate(lines):
            canvas.drawString(72, 760 - 14 * row, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted(data: bytes, user: str, owner: str, algorithm: str = "RC4-128") -> bytes:
    writer = PdfWriter(clone_from=BytesIO(data))
    writer.encrypt(user, owner, algorithm=algorithm)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def saved(document: docx.document.Document) -> bytes:
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def raw_pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1, the first of which is its root; it has no table of them."""
    numbered = b"".join(b"%d 0 obj\n%b\nendobj\n" % numbered for numbered in enumerate(objects, 1))
    return b"%PDF-1.4\n" + numbered + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n0\n%%%%EOF" % (len(objects) + 1)


def raw_page(content: int) -> bytes:
    """A page whose contents are the object of that number."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</Font<</F %b>>>>/Contents %d 0 R>>"
    return page % (font, content)


def raw_stream(data: bytes, filters: bytes = b"[]") -> bytes:
    return b"<</Length %d/Filter %b>>stream\n%b\nendstream" % (len(data), filters, data)


def with_part(changed: dict[str, bytes], relations: str = "") -> bytes:
    """A DOCX with these parts in place of its own or beside them, and more relations of its main part."""
    out = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(saved(docx.Document()))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        parts = {entry: old.read(entry) for entry in old.namelist()} | changed
        related = "word/_rels/document.xml.rels"
        parts[related] = parts[related].replace(b"</Relationships>", relations.encode() + b"</Relationships>")
        for entry, data in parts.items():
            new.writestr(entry, data)
    return out.getvalue()


def main_part(body: str, doctype: str = "") -> bytes:
    return f"{doctype}<w:document {nsdecls('w')}><w:body>{body}</w:body></w:document>".encode()


def with_body(xml: str, doctype: str = "") -> bytes:
    """A DOCX whose main part has this body."""
    return with_part({"word/document.xml": main_part(xml, doctype)})


def paragraph(text: str, properties: str = "") -> str:
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def refused(source: str | Path | bytes, name: str | None = None, **options: object) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document(source, name, **options)
    message = str(caught.value)
    assert message.count(". ") <= 1, "one or two sentences"
    assert message.endswith(".")
    return message
