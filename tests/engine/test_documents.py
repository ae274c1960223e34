"""Files become one clean text with places; everything else is refused in a sentence that says what to do."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents import ACCEPTED, Document, Limits, Mark, as_documents, read_document
from engine.errors import Cancelled, DocumentError
from engine.events import Stop
from engine.readers import refusing
from tests.uploads import pdf, refused, saved

DATA = Path(__file__).parents[1] / "data"


# What is refused, whatever the type


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


def test_too_large_files_are_refused_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "large.txt"
    path.write_bytes(b"x" * (3 * 2**20))
    monkeypatch.setattr("engine.documents._kind", lambda *_: pytest.fail("must not be read"))
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

    def locked(self, *_):
        raise PermissionError(str(self))

    monkeypatch.setattr(Path, "open", locked)
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


def test_the_fingerprint_of_a_long_text_is_that_of_the_whole():
    text = "naïve 灯塔 " * 400_000
    assert Document("a.txt", text, notes=("a note",)).sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_lack_of_memory_is_told_as_such():
    def on_disk(*_):
        raise MemoryError

    with pytest.raises(DocumentError, match="more memory to be read than there is"), refusing("a.pdf", "is damaged."):
        on_disk()


def test_the_reader_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for kind in ACCEPTED:
        read_document(DATA / f"lighthouse{kind}")
    assert not list(tmp_path.iterdir())


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
    code = "import sys, engine.documents; print({'pypdf', 'docx', 'torch', 'lxml', 'lxml.etree'} & set(sys.modules))"
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
