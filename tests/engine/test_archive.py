"""Archives are measured before they are unpacked, and XML is read without entities and without deep recursion."""

from __future__ import annotations

import copy
import struct
import time
import zipfile
from io import BytesIO

import pytest
from docx.oxml.ns import nsdecls

from engine.documents import Limits, read_document
from engine.errors import DocumentError
from tests.uploads import RELATIONS, main_part, paragraph, refused, with_body, with_part

LAUGHS = '<!DOCTYPE x [<!ENTITY a0 "lol">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
) + "]>"  # fmt: skip


def test_docx_entities_are_not_expanded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("TOPSECRET")
    lol = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    for doctype, entity in [
        (f"<!DOCTYPE x [{lol}]>", "&a9;"),
        (f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>', "&e;"),
    ]:
        began = time.perf_counter()
        data = with_body(f"<w:p><w:r><w:t>kept {entity}</w:t></w:r></w:p>", doctype)
        try:
            text = read_document(data, "a.docx").text
        except DocumentError:
            text = ""
        assert "TOPSECRET" not in text
        assert "lol" not in text
        assert time.perf_counter() - began < 5


def test_docx_that_unpacks_to_too_much_is_refused_before_unpacking(monkeypatch):
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (60 * 2**20))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("nothing may be unpacked"))
    assert "unpacks to 60.0 MB" in refused(out.getvalue(), "bomb.docx")


@pytest.mark.parametrize("size", [3000, 1500])  # over the limit, and over the quarter of it that markup may take
def test_docx_unpacked_size_has_a_limit(size):
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * size)
    assert "unpacks to" in refused(out.getvalue(), "big.docx", limits=Limits(max_expanded_bytes=2000))


@pytest.mark.parametrize("part", ["footnotes", "endnotes", "styles"])
@pytest.mark.parametrize("external", [True, False])
def test_entities_of_other_parts_are_not_expanded_either(part, external, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("TOPSECRET")
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>' if external else LAUGHS
    entity = "&e;" if external else "&a9;"
    element = {"styles": "style"}.get(part, part.removesuffix("s"))
    xml = f'{doctype}<w:{part} {nsdecls("w")}><w:{element} w:id="2">{paragraph(entity)}</w:{element}></w:{part}>'
    relation = f'<Relationship Id="rX" Type="{RELATIONS}{part}" Target="{part}.xml"/>'
    began = time.perf_counter()
    data = with_part({"word/document.xml": main_part(paragraph("kept")), f"word/{part}.xml": xml.encode()}, relation)
    assert "damaged" in refused(data, "a.docx")
    assert time.perf_counter() - began < 5


def test_a_million_nested_elements_are_refused():
    deep = "<w:sdt>" * 1_000_000 + "</w:sdt>" * 1_000_000
    assert "damaged" in refused(with_body(deep), "a.docx")


def test_elements_may_be_nested_as_deep_as_word_does():
    body = "<w:tbl><w:tr><w:tc>" * 40 + paragraph("deep") + "</w:tc></w:tr></w:tbl>" * 40
    assert read_document(with_body(body), "a.docx").text == "deep"
    assert read_document(with_body("<w:p>" + "<w:r>" * 240 + "<w:t>x</w:t>" + "</w:r>" * 240 + "</w:p>")).text == "x"


def zipped(**parts: bytes) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/") + ".xml", data)
    return out.getvalue()


def test_entries_that_share_their_bytes_are_counted_one_by_one():
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(2**20))
        for number in range(2000):
            entry = copy.copy(archive.filelist[0])
            entry.filename = f"word/{number}.xml"
            archive.filelist.append(entry)
    assert "unpacks to 2,001.0 MB" in refused(out.getvalue(), "a.docx")


def test_an_entry_larger_than_it_says_is_refused():
    body = main_part(paragraph("y" * 1000) * 20_000)
    size = struct.pack("<L", len(body))
    data = zipped(word__document=body)
    assert data.count(size) == 2
    assert "damaged" in refused(data.replace(size, struct.pack("<L", 5000)), "a.docx")


def test_an_archive_in_an_archive_is_not_opened():
    inner = zipped(bomb=bytes(2**20))
    data = with_part({"word/document.xml": main_part(paragraph("Some words.")), "word/inner.zip": inner})
    assert read_document(data, "a.docx").text == "Some words."


def test_a_directory_of_countless_entries_is_not_read(monkeypatch):
    data = bytearray(with_body(paragraph("Some words.")))
    end = data.rfind(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<L", 2**30)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("must not be read"))
    assert "damaged" in refused(bytes(data), "a.docx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_archive_cut_short_is_refused(share):
    data = with_body(paragraph("Some words."))
    assert "damaged" in refused(data[: int(len(data) * share)], "a.docx")


def test_an_archive_with_broken_data_is_refused_with_its_cause():
    data = bytearray(with_body(paragraph("Some words. " * 100)))
    at = data.find(b"word/document.xml") + 40
    data[at : at + 20] = b"\xaa" * 20
    with pytest.raises(DocumentError, match="damaged Word document") as caught:
        read_document(bytes(data), "a.docx")
    assert caught.value.__cause__ is not None


def test_another_archive_is_no_word_document():
    data = zipped(xl__workbook=b"<x/>")
    assert "not a Word (DOCX) file" in refused(data, "a.docx")
    assert "binary" in refused(data, "a.txt")


def test_a_word_document_without_its_main_part_is_refused():
    assert "damaged" in refused(zipped(word__document1=b"<x/>"), "a.docx")
