"""Files become one clean text with places; everything else is refused in a sentence that says what to do."""

from __future__ import annotations

import hashlib
import logging
import re
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import docx
import pytest
from docx.oxml.ns import nsdecls
from hypothesis import assume, given
from hypothesis import strategies as st
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.errors import DependencyError
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, SimpleDocTemplate
from reportlab.platypus import Paragraph as Flowing

from engine.documents import ACCEPTED, Document, Limits, Mark, as_documents, read_document
from engine.errors import Cancelled, DocumentError
from engine.events import Stop

DATA = Path(__file__).parents[1] / "data"
CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
SENTENCE = "The keeper wrote the wind and the oil into his book every evening before he climbed the stair. "


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


def encrypted(data: bytes, user: str, owner: str) -> bytes:
    writer = PdfWriter(clone_from=BytesIO(data))
    writer.encrypt(user, owner, algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def saved(document: docx.document.Document) -> bytes:
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def with_body(xml: str, doctype: str = "") -> bytes:
    """A DOCX whose main part has this body."""
    out = BytesIO()
    with (
        zipfile.ZipFile(BytesIO(saved(docx.Document()))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.namelist():
            body = f"{doctype}<w:document {nsdecls('w')}><w:body>{xml}</w:body></w:document>".encode()
            new.writestr(entry, body if entry == "word/document.xml" else old.read(entry))
    return out.getvalue()


def refused(source: str | Path | bytes, name: str | None = None, **options: object) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document(source, name, **options)
    message = str(caught.value)
    assert message.count(". ") <= 1, "one or two sentences"
    assert message.endswith(".")
    return message


# Text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_text_is_read_in_its_encodings(encoding):
    assert read_document(CHINESE.encode(encoding), "灯塔.txt").text == CHINESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_read_with_either_byte_order_mark(encoding):
    assert read_document("\ufeffone\r\ntwo".encode(encoding)).text == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L’été, le gardien – très âgé – répétait “déjà vu”.", "cp1252"),
        ("Café", "cp1252"),
        ("El señor Muñoz caminaba todos los días. ¿Quién lo sabía?", "cp1252"),
        ("Маяк был построен в 1874 году на острове. Смотритель любил гулять.", "cp1251"),
        ("燈塔建於一八七四年。守塔人名叫馬格努斯，他喜歡在海邊散步。", "big5"),
        ("灯台は1874年に建てられました。海の見える丘の上にあります。", "cp932"),
    ],
)
def test_legacy_encodings_are_told_apart(text, encoding):
    assert read_document(text.encode(encoding)).text == text


@pytest.mark.parametrize(("text", "encoding"), [(CHINESE, "gb18030"), ("Très bien, déjà vu.", "cp1252")])
def test_common_legacy_encodings_need_no_detector(monkeypatch, text, encoding):
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert read_document(text.encode(encoding)).text == text


def test_bytes_that_fit_no_encoding_still_become_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert read_document(b"abc \xff\xff\xff\xff def").text == "abc ÿÿÿÿ def"


@pytest.mark.parametrize("newline", ["\n", ""])
@pytest.mark.parametrize("preface", ["", "An English preface. " * 5000])
def test_a_long_text_is_recognised_by_its_first_foreign_stretch(preface, newline):
    text = preface + (CHINESE + newline) * 1500 + ("a, " + CHINESE + newline) * 3000
    assert read_document(text.encode("gb18030")).text == text


def test_a_broken_character_does_not_change_the_encoding():
    text = read_document((CHINESE * 20).encode() + b"\xe7\x81").text
    assert text == CHINESE * 20 + "\ufffd"


def test_newlines_form_feeds_and_controls_are_normalised():
    text = "one\r\ntwo\rthree\ffour\vfive\tsix\x1b\x7f" + " and much more text" * 5
    assert read_document(text.encode()).text == "one\ntwo\nthree\n\nfour\nfive\tsix" + " and much more text" * 5


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\r\t\f\v")))
def test_any_text_survives_utf8_and_equals_plain_context(text):
    assume(text.removeprefix("\ufeff").strip() and "%PDF-" not in text)
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n")
    document = read_document(text.encode(), "any.txt")
    assert document.text == expected.replace("\f", "\n\n")
    assert document.text == as_documents(text)[0].text


@given(
    st.binary(max_size=400),
    st.sampled_from(["", ".txt", ".pdf", ".docx"]),
    st.sampled_from([b"", b"%PDF-1.7\n", b"PK\x03\x04"]),
)
def test_any_bytes_are_read_or_refused(data, suffix, magic):
    try:
        document = read_document(magic + data, "any" + suffix)
    except DocumentError:
        return
    assert document.text.strip()
    document.text.encode()  # no lone surrogates


# PDF


def test_pdf_pages_and_their_places():
    document = read_document(pdf(["The first page speaks."], [], ["The third page speaks."]), "three.pdf")
    assert document.text == "The first page speaks.\n\nThe third page speaks."
    assert document.marks == (Mark(0, page=1), Mark(24, page=3))
    assert [document.locate(n)[0] for n in (0, 23, 24, 10_000)] == [1, 1, 3, 3]


def test_pdf_lines_become_paragraphs_and_broken_words_whole():
    first = [
        "The keeper of the tower was known in the har-",
        "bour for his patience, and he never lost a lamp",
        "to a storm.",
    ]
    second = ["In the second paragraph the weather is better", "and nobody is wet.", "1. one", "2. two"]
    text = read_document(pdf(first + second), "a.pdf").text
    assert text == (
        "The keeper of the tower was known in the harbour for his patience, and he never lost a lamp to a storm.\n"
        "In the second paragraph the weather is better and nobody is wet.\n1. one\n2. two"
    )


def test_flowing_pdf_keeps_each_paragraph_whole():
    out = BytesIO()
    style = getSampleStyleSheet()["BodyText"]
    paragraphs = [SENTENCE * 3 + "It was calm.", SENTENCE * 2 + "It was not.", SENTENCE * 2 + "The end."]
    one, two, three = (Flowing(text, style) for text in paragraphs)
    SimpleDocTemplate(out).build([one, two, PageBreak(), three])
    document = read_document(out.getvalue(), "a.pdf")
    assert document.text == "{}\n{}\n\n{}".format(*paragraphs)
    assert document.locate(document.text.index("The end")) == (2, None)


def test_pdf_behind_mail_headers_is_found():
    assert read_document(b"Content-Type: x\r\n\r\n" + pdf(["Some words."]), "a.PDF").text == "Some words."


def test_a_text_about_pdf_is_a_text():
    assert read_document(b"Every PDF begins with %PDF-1.7 or so.", "a.txt").text.startswith("Every")


def test_pdf_named_txt_is_read_as_what_it_is():
    assert read_document(pdf(["Some words."]), "a.txt").marks == (Mark(0, page=1),)


def test_pdf_with_an_owner_password_only_is_read():
    assert read_document(encrypted(pdf(["Some words."]), "", "owner"), "a.pdf").text == "Some words."


def test_pdf_with_a_user_password_is_refused():
    message = refused(encrypted(pdf(["Some words."]), "user", "owner"), "secret.pdf")
    assert "secret.pdf" in message
    assert "password" in message
    assert "Remove" in message


@pytest.mark.parametrize(("holder", "method"), [(PdfReader, "decrypt"), (PageObject, "get_contents")])
def test_pdf_with_an_unknown_cipher_is_refused_as_protected(monkeypatch, holder, method):
    def fail(*_):
        raise DependencyError("no cipher")

    monkeypatch.setattr(holder, method, fail)
    assert "password" in refused(encrypted(pdf(["Some words."]), "", "owner"), "a.pdf")


def test_pdf_without_text_layer_is_refused():
    message = refused(pdf([], []), "scan.pdf")
    assert "OCR" in message
    assert "scanned" in message


def test_pdf_with_too_many_pages_is_refused():
    message = refused(pdf(["a"], ["b"], ["c"]), "long.pdf", limits=Limits(max_pages=2))
    assert "3 pages" in message
    assert "at most 2" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_damaged_pdf_is_read_or_refused_with_its_cause(share, caplog):
    data = pdf(["Some words."], ["More words."])
    try:
        assert "words" in read_document(data[: int(len(data) * share)], "half.pdf").text
    except DocumentError as error:
        assert "half.pdf" in str(error)
        assert error.__cause__ is not None or "no text layer" in str(error)
    assert not [record for record in caplog.records if record.levelno < logging.CRITICAL]


def test_pdf_of_noise_is_refused_with_its_cause():
    with pytest.raises(DocumentError, match="not a complete PDF") as caught:
        read_document(b"%PDF-1.7\n" + b"noise " * 50, "a.pdf")
    assert caught.value.__cause__ is not None


# DOCX


def test_docx_headings_lists_and_tables_in_order():
    source = docx.Document()
    source.add_heading("The Report", 0)
    source.add_paragraph("An opening.")
    source.add_heading("First part", 1)
    source.add_paragraph("salt", style="List Bullet")
    source.add_paragraph("pepper", style="List Number")
    table = source.add_table(rows=2, cols=2)
    for cell, text in zip(
        (c for row in table.rows for c in row.cells), ["year", "ships", "1893", "one\ntwo"], strict=True
    ):
        cell.text = text
    source.add_heading("Second part", 2)
    source.add_paragraph("The end.")
    document = read_document(saved(source), "report.docx")
    assert document.text == (
        "The Report\n\nAn opening.\n\nFirst part\n\n- salt\n- pepper\n\nyear | ships\n1893 | one two\n\n"
        "Second part\n\nThe end."
    )
    places = {
        text: document.locate(document.text.index(text)) for text in ("opening", "First", "pepper", "1893", "end.")
    }
    assert places == {
        "opening": (None, "The Report"),
        "First": (None, "First part"),
        "pepper": (None, "First part"),
        "1893": (None, "First part"),
        "end.": (None, "Second part"),
    }


def test_docx_text_that_python_docx_skips_is_kept_and_deleted_text_is_not():
    def run(text: str) -> str:
        return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'

    data = with_body(
        f"<w:sdt><w:sdtContent><w:p>{run('In a content control.')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p>{run('The door is ')}<w:del><w:r><w:delText>red</w:delText></w:r></w:del><w:ins>{run('green')}</w:ins>"
        "<w:r><w:t>.</w:t><w:tab/><w:t>A</w:t><w:noBreakHyphen/><w:t>B</w:t><w:br/><w:t>C</w:t></w:r></w:p>"
        f"<!-- note --><w:p>{run('Anchor.')}<w:r><w:pict><w:txbxContent><w:p>{run('In a box.')}</w:p></w:txbxContent>"
        "</w:pict></w:r></w:p>"
    )
    text = read_document(data, "a.docx").text
    assert text == "In a content control.\n\nThe door is green.\tA-B\nC\n\nAnchor.\nIn a box."


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


def test_damaged_docx_is_refused_with_its_cause():
    with pytest.raises(DocumentError, match="damaged Word document") as caught:
        read_document(with_body("<w:p>"), "a.docx")
    assert caught.value.__cause__ is not None


def test_docx_cut_short_is_refused():
    data = saved(docx.Document())
    assert "not a Word (DOCX) file, or is damaged" in refused(data[: len(data) // 2], "a.docx")


def test_docx_without_text_is_refused():
    assert "no text" in refused(saved(docx.Document()), "empty.docx")


def test_old_and_protected_word_files_are_named_as_such():
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert "Save it as .docx" in refused(ole, "a.docx")
    assert "Save it as .docx" in refused(b"whatever", "a.DOC")
    assert "password" in refused(ole + "EncryptedPackage".encode("utf-16-le"), "a.docx")


# What is refused, whatever the type


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.docx", None])
def test_empty_files_are_refused(name):
    assert "empty (0 bytes)" in refused(b"", name)


def test_white_space_is_refused():
    assert "white space" in refused(b"\xef\xbb\xbf \r\n\t\x0c", "a.txt")


@pytest.mark.parametrize(("name", "what"), [("page.pdf", "PDF"), ("page.docx", "Word (DOCX)")])
def test_html_renamed_is_refused(name, what):
    message = refused(b"<!doctype html><html><body>Sign in to download</body></html>", name)
    assert f"is not a {what} file" in message
    assert "upload the original" in message


def test_a_name_may_not_promise_another_type():
    assert "not a PDF file" in refused(saved(docx.Document()), "a.pdf")
    assert "not a Word (DOCX) file" in refused(pdf(["Some words."]), "a.docx")


@pytest.mark.parametrize("name", ["a.exe", "a.md", "a.xlsx", "a.pdf.zip"])
def test_other_extensions_are_refused(name):
    message = refused(b"some text", name)
    assert f"is a {Path(name).suffix} file" in message
    assert "TXT, PDF and DOCX" in message


def test_accepted_extensions_have_no_case_and_may_be_missing():
    assert ACCEPTED == (".txt", ".pdf", ".docx")
    for name in ("a.TXT", "notes", "Dr. Marrick, notes"):
        assert read_document(b"some text", name).text == "some text"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(50),
        b"text\0text",
        b"\xff\xfe\x00\xd8\x00\xd8",
        bytes(range(1, 256)) * 4,
    ],
)
def test_binary_content_is_refused(data):
    assert "binary" in refused(data, "a.txt")


def test_too_large_files_are_refused_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    path.write_bytes(b"x" * (3 * 2**20))
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("must not be read"))
    limits = Limits(max_bytes=2 * 2**20)
    for source in (path, str(path), b"x" * (3 * 2**20)):
        message = refused(source, "large.txt", limits=limits)
        assert "3.0 MB" in message
        assert "2.0 MB" in message


def test_missing_and_unreadable_files_are_refused(tmp_path, monkeypatch):
    assert "gone.txt" in refused(tmp_path / "gone.txt")
    assert "not a file" in refused(tmp_path)
    assert str(tmp_path) not in refused(tmp_path / "gone.txt")
    assert "cannot be opened" in refused("x" * 5000, "a.txt")
    path = tmp_path / "locked.txt"
    path.write_text("some text")

    def read_bytes(self):
        raise PermissionError(str(self))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert "cannot be opened" in refused(path)


# Names, progress, context


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("/home/someone/My report.txt", "My report.txt"),
        ("C:\\Users\\someone\\报告.txt", "报告.txt"),
        ("../../etc/notes.txt", "notes.txt"),
        ("a\n\x00b\u202etxt.txt", "abtxt.txt"),
        ("..", "document"),
        ("", "document"),
        ("x" * 500 + ".txt", "x" * 107 + "…" + "x" * 8 + ".txt"),
    ],
)
def test_names_are_safe_to_show(given_name, shown):
    document = read_document(b"some text", given_name)
    assert document.name == shown
    assert len(document.name) <= 120


def test_the_default_name_is_the_paths_last_part(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some text")
    assert read_document(path).name == read_document(str(path)).name == "notes.txt"
    assert read_document(b"some text").name == "document"


def test_progress_counts_pages():
    seen = []
    read_document(pdf(["a"], [], ["c"]), "a.pdf", on_progress=seen.append)
    assert [(event.stage, event.done, event.total) for event in seen] == [("reading", n, 3) for n in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["pdf", "docx"])
def test_stop_ends_reading_between_pages_or_paragraphs(kind):
    stop, seen = Stop(), []

    def on_progress(event):
        seen.append(event)
        stop.set()

    with pytest.raises(Cancelled):
        read_document(DATA / f"lighthouse.{kind}", on_progress=on_progress, stop=stop)
    assert len(seen) == 1


def test_an_error_in_the_callers_own_callback_is_not_a_damaged_file():
    def on_progress(event):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        read_document(pdf(["a"]), "a.pdf", on_progress=on_progress)


def test_locate_carries_pages_and_sections_forward():
    document = Document("a", "x" * 50, (Mark(5, page=1), Mark(10, section="One"), Mark(20, page=2), Mark(30, 3, "Two")))
    assert [document.locate(n) for n in (0, 5, 12, 20, 29, 30, 99)] == [
        (None, None),
        (1, None),
        (1, "One"),
        (2, "One"),
        (2, "One"),
        (3, "Two"),
        (3, "Two"),
    ]
    assert Document("a", "text").locate(2) == (None, None)


def test_fingerprint_is_of_the_text_and_the_repr_hides_it():
    document = Document("a.txt", "café")
    assert document.sha256 == hashlib.sha256("café".encode()).hexdigest() == Document("b.txt", "café").sha256
    assert "café" not in repr(document)


def test_plain_texts_and_documents_are_context():
    document = Document("a.txt", "one")
    assert as_documents("two\r\n") == (Document("text", "two\n"),)
    assert as_documents(document) == (document,)
    assert as_documents([document, "two"]) == (document, Document("text 2", "two"))
    assert as_documents(["two"]) == (Document("text", "two"),)


@pytest.mark.parametrize(
    "context", ["", " \n", [], ["one", " "], Document("a", "\t"), b"bytes", [3], None, Path("a.txt")]
)
def test_context_without_text_is_refused(context):
    with pytest.raises(DocumentError):
        as_documents(context)


def test_importing_loads_no_reader():
    code = "import sys, engine.documents; print({'pypdf', 'docx', 'torch', 'charset_normalizer'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


# The fixture that other tests ask questions about


def test_the_lighthouse_reads_the_same_from_every_type():
    documents = [read_document(DATA / f"lighthouse.{kind}") for kind in ("txt", "pdf", "docx")]
    assert len({re.sub(r"\s+", " ", document.text).strip() for document in documents}) == 1


@pytest.mark.parametrize(
    ("fact", "page", "section"),
    [
        ("214 steps", 1, "The Island and Its Tower"),
        ("saffron yellow", 1, "The Island and Its Tower"),
        ("Admiral Pudding", 1, "The First Keeper"),
        ("seventeen panes", 2, "The Storm of the Cormorant Anna"),
        ("3,800 kilograms", 2, "The Lens"),
        ("Henrik Vass", 3, "The Logbooks"),
        ("Pell Oduya", 3, "The Light Today"),
    ],
)
def test_the_lighthouse_facts_stand_where_they_should(fact, page, section):
    as_pdf, as_docx = (read_document(DATA / f"lighthouse.{kind}") for kind in ("pdf", "docx"))
    assert as_pdf.locate(as_pdf.text.index(fact)) == (page, None)
    assert as_docx.locate(as_docx.text.index(fact)) == (None, section)
