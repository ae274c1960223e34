"""PDFs become pages of clean text with their numbers; broken and hostile ones are refused in a sentence."""

from __future__ import annotations

import logging
import zlib
from io import BytesIO

import pytest
from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, SimpleDocTemplate
from reportlab.platypus import Paragraph as Flowing

from engine.documents import Limits, Mark, read_document
from engine.errors import DocumentError, PasswordError
from tests.uploads import encrypted, pdf, raw_page, raw_pdf, raw_stream, refused

SENTENCE = "The keeper wrote the wind and the oil into his book every evening before he climbed the stair. "
CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
WORDS = raw_stream(b"BT /F 12 Tf 10 10 Td (Some words.) Tj ET")


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


ALGORITHMS = ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_cipher_is_opened_with_either_password(algorithm):
    data = encrypted(pdf(["Some words."]), "user", "owner", algorithm)
    assert [read_document(data, "a.pdf", password=word).text for word in ("user", "owner")] == ["Some words."] * 2
    assert read_document(encrypted(pdf(["Some words."]), "", "owner", algorithm), "a.pdf").text == "Some words."


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pdf_with_a_user_password_asks_for_it(algorithm):
    data = encrypted(pdf(["Some words."]), "user", "owner", algorithm)
    with pytest.raises(PasswordError, match=r'"secret.pdf" is protected by a password. Give the password, or remove'):
        read_document(data, "secret.pdf")
    with pytest.raises(PasswordError, match=r'password does not open "secret.pdf". Give another'):
        read_document(data, "secret.pdf", password="wrong")


def test_a_password_for_a_file_without_one_is_ignored():
    assert read_document(pdf(["Some words."]), "a.pdf", password="any").text == "Some words."


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
    assert "has 3 pages" in message
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


def pages(*kids: int, count: int = 1) -> bytes:
    return b"<</Type/Pages/Count %d/Kids[%b]>>" % (count, b" ".join(b"%d 0 R" % kid for kid in kids))


@pytest.mark.parametrize("count", [1, -5, 2_000_000_000])
def test_the_number_of_pages_is_counted_not_believed(count):
    data = raw_pdf(CATALOG, pages(3, count=count), raw_page(4), WORDS)
    assert read_document(data, "a.pdf").text == "Some words."


def test_a_page_tree_that_multiplies_is_refused_before_it_is_walked():
    nodes = [pages(*[number + 1] * 10) for number in range(5, 14)]
    data = raw_pdf(CATALOG, pages(*[5] * 10), raw_page(4), WORDS, *nodes, pages(*[3] * 10))
    message = refused(data, "bomb.pdf")
    assert "endlessly many pages" in message
    assert "5,000" in message


@pytest.mark.parametrize("nodes", [[pages(3, 2)], [pages(5), pages(6), pages(5)]])
def test_a_page_tree_that_bites_its_tail_is_refused(nodes):
    data = raw_pdf(CATALOG, nodes[0], raw_page(4), WORDS, *nodes[1:])
    assert "damaged" in refused(data, "a.pdf")


def test_a_page_tree_of_endless_depth_is_refused():
    data = raw_pdf(CATALOG, pages(5), raw_page(4), WORDS, *[pages(number + 1) for number in range(5, 3000)], pages(3))
    assert "pages" in refused(data, "a.pdf")


@pytest.mark.parametrize(
    "broken",
    [raw_stream(b"abc", b"/Nonsense"), raw_stream(zlib.compress(b" " * 80_000_000), b"/FlateDecode")],
    ids=["filter", "bomb"],
)
def test_a_page_that_cannot_be_read_is_left_out_and_told(broken):
    sound, bad = raw_page(4), raw_page(7)
    document = read_document(raw_pdf(CATALOG, pages(3, 5, 6), sound, WORDS, bad, sound, broken), "a.pdf")
    assert document.text == "Some words.\n\nSome words."
    assert [mark.page for mark in document.marks] == [1, 3]
    assert document.notes == ('Pages of "a.pdf" that could not be read and are left out: 2 (1 of 3).',)
    assert read_document(pdf(["Some words."]), "a.pdf").notes == ()


def test_a_pdf_of_which_no_page_can_be_read_is_refused():
    message = refused(raw_pdf(CATALOG, pages(3), raw_page(4), raw_stream(b"abc", b"/Nonsense")), "a.pdf")
    assert "damaged" in message


def test_pages_are_read_only_until_their_text_is_too_long():
    seen = []
    data = pdf(*[["A page of words."]] * 6)
    message = refused(data, "a.pdf", limits=Limits(max_characters=50), on_progress=seen.append)
    assert "more than 50 characters" in message
    assert [event.done for event in seen] == [1, 2]


def test_a_long_pdf_is_read_to_its_end_although_what_was_read_is_forgotten():
    document = read_document(pdf(*[[f"Leaf {number} of the long book."] for number in range(80)]), "a.pdf")
    assert [mark.page for mark in document.marks] == list(range(1, 81))
    assert document.text.endswith("Leaf 79 of the long book.")


def test_a_pdf_is_read_from_where_it_lies(tmp_path, monkeypatch):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["Some words."]))
    monkeypatch.setattr(type(path), "read_bytes", lambda _: pytest.fail("must not be held twice"))
    assert read_document(path).text == "Some words."
    assert [found.name for found in tmp_path.iterdir()] == ["a.pdf"]


def test_running_heads_and_page_numbers_are_left_out():
    words = ["lamp", "storm", "boat", "net", "morning", "keeper"]
    made = pdf(*[["Harbour history", f"The {word}.", f"Page {n} of 6"] for n, word in enumerate(words, 1)])
    assert read_document(made, "a.pdf").text == "\n\n".join(f"The {word}." for word in words)
