"""What the engine says in English is shown in Chinese: whatever real errors say, and what threads put into words."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import docx
import pytest

from demo import text
from demo.chinese_errors import ERRORS
from engine.apart import read_apart
from engine.api_errors import FAILURE_KINDS, SERVICES, Failure
from engine.documents import Limits, as_documents, read_document
from engine.errors import DocumentError
from tests.demo.test_text import NAMES, bare, fields, is_chinese
from tests.uploads import encrypted, pdf, raw_page, raw_pdf, raw_stream, refused, saved, with_part

ROOT = Path(__file__).parents[2]


def in_chinese(sentence):
    with text.speaking("zh"):
        return text.translated(sentence)


@pytest.mark.parametrize("sentence", ERRORS, ids=range(len(ERRORS)))
def test_a_sentence_of_the_engine_keeps_what_tells_a_visitor_what_to_do(sentence):
    assert set(fields(ERRORS[sentence])) <= set(fields(sentence))
    assert set(re.findall("[A-Za-z]+", bare(ERRORS[sentence]))) <= NAMES
    assert is_chinese(ERRORS[sentence])


def old_word(wanted):
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + wanted.encode("utf-16-le")


CATALOG, WORDS = b"<</Type/Catalog/Pages 2 0 R>>", raw_stream(b"BT /F 9 Tf 9 50 Td (Some words.) Tj ET")
LOCKED = encrypted(pdf(["Some words."]), "secret", "owner")
BAD_FILES = {
    "empty": (b"", "a.txt", {}),
    "blank": (b" \n", "a.txt", {}),
    "binary": (bytes(range(256)) * 9, "a.txt", {}),
    "another type": (b"words", "a.odt", {}),
    "no pdf": (b"<html>words</html>", "a.pdf", {}),
    "no docx": (b"<html>words</html>", "a.docx", {}),
    "not there": (Path("nowhere.txt"), None, {}),
    "large": (b"words " * 9, "a.txt", {"limits": Limits(max_bytes=20)}),
    "long": (b"words " * 9, "a.txt", {"limits": Limits(max_characters=20)}),
    "broken pdf": (b"%PDF-1.4 words", "a.pdf", {}),
    "scan": (pdf([]), "a.pdf", {}),
    "locked": (LOCKED, "a.pdf", {}),
    "wrong password": (LOCKED, "a.pdf", {"password": "guess"}),
    "many pages": (pdf(["One."], ["Two."]), "a.pdf", {"limits": Limits(max_pages=1)}),
    "broken docx": (with_part({"word/document.xml": b"<w:document"}), "a.docx", {}),
    "empty docx": (saved(docx.Document()), "a.docx", {}),
    "locked docx": (old_word("EncryptedPackage"), "a.docx", {}),
    "old word": (old_word("WordDocument"), "a.docx", {}),
    "bomb": (saved(docx.Document()), "a.docx", {"limits": Limits(max_expanded_bytes=100)}),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_refused_file_is_refused_in_chinese(case):
    source, name, options = BAD_FILES[case]
    sentence = in_chinese(refused(source, name, **options))
    assert is_chinese(sentence)
    assert (name or source.name) in sentence
    assert set(re.findall("[A-Za-z]{2,}", sentence)) <= NAMES | {"nowhere", "odt", "pdf", "txt"}


def test_what_could_not_be_read_of_a_file_is_told_in_chinese():
    broken = read_document("Löschen und lösen, für größere Wörter. ".encode() * 9 + b"\xff ", "a.txt")
    assert [in_chinese(note) for note in broken.notes] == ["“a.txt”中有 1 个损坏的字符，均显示为 \ufffd。"]
    pages = b"<</Type/Pages/Kids[3 0 R 5 0 R]/Count 2>>"
    document = raw_pdf(CATALOG, pages, raw_page(4), WORDS, raw_page(6), raw_stream(b"abc", b"/Nonsense"))
    notes = [in_chinese(note) for note in read_document(document, "a.pdf").notes]
    assert notes == ["“a.pdf”中有几页无法读取，已略去：第 2 页（共 2 页，略去 1 页）。"]


def test_a_file_that_takes_too_long_is_refused_in_chinese(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(DocumentError) as caught:
        read_apart(tmp_path / "a.txt", limits=Limits(max_seconds=0))
    assert in_chinese(str(caught.value)) == "读取“a.txt”超过了 0 秒。请拆分，或另存为 TXT 后上传。"


@pytest.mark.parametrize("kind", FAILURE_KINDS)
@pytest.mark.parametrize("source", SERVICES)
@pytest.mark.parametrize("status", [None, 500])
def test_a_failure_of_a_service_is_told_in_chinese(kind, source, status):
    error = Failure(kind, source, "HOST", "MODEL", 3.0, status).error
    sentence = in_chinese(str(error))
    assert is_chinese(sentence)
    named = re.sub(r"https?://\S+|v1|None|HOST|MODEL", "", sentence)
    assert set(re.findall("[A-Za-z]+", named)) <= NAMES


def test_every_sentence_of_the_table_is_one_that_the_engine_says():
    said = [pattern for path in (ROOT / "engine").glob("*.py") for pattern in spoken(path)]
    unknown = [s for s in ERRORS if not any(p.fullmatch(t) for p in said for t in (s, s.removeprefix('"{name}" ')))]
    assert not unknown


def spoken(path):
    """Patterns of the texts in a file that say something, whatever is filled in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = re.split(r"\{[a-z_:]+\}", node.value)
            parts = [part for both in zip(parts, [None] * len(parts), strict=True) for part in both][:-1]
        else:
            continue
        if sum(map(len, filter(None, parts))) >= 10:
            yield re.compile("".join(".*" if part is None else re.escape(part) for part in parts), re.DOTALL)


def test_what_threads_put_into_words_is_translated_when_it_is_shown():
    reason = text.MODELS_FAILED.format(reason=text.UNEXPECTED)
    with text.speaking("zh"):
        assert text.translated(reason) == text.MODELS_FAILED.format(reason=text.UNEXPECTED)
        full = text.VISITOR_FULL_LATER.format(needed="3 MB", used="2 MB", limit="4 MB")
    assert in_chinese(text.VISITOR_FULL_LATER.format(needed="3 MB", used="2 MB", limit="4 MB")) == full


def test_a_sentence_that_is_not_known_stays_as_it_is():
    with pytest.raises(DocumentError) as caught:
        as_documents([])
    sentence = str(caught.value)
    assert in_chinese(sentence) == sentence
    assert text.translated("The question is empty; write a question.").startswith("The question")
    assert in_chinese("") == ""


def test_a_text_made_to_take_long_to_compare_is_not_compared():
    began = time.monotonic()
    for made in (
        " was made with the retriever x (y), but z (y) is",
        '" is named .txt but is not a ',
        " What was done: ",
    ):
        for count in (10, 5000):
            text_of_it = ("The bundle" + made * count)[:100_000]
            assert in_chinese(text_of_it) == text_of_it
    assert time.monotonic() - began < 2
