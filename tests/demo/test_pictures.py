"""Pictures of cited pages: the PDFs that are kept for them, and what they show."""

from __future__ import annotations

import json
import stat
import time
from dataclasses import asdict, replace

import pytest

from demo import folders, memorising
from demo.pictures import picture_of
from demo.service import Service
from demo.shelf import Facts, Shelf
from demo.uploads import Uploads
from demo.visitors import Visitors
from engine import memorizer
from engine.events import Passage, Source
from tests.demo.browsing import (  # noqa: F401 - fixtures
    DATA,
    LIGHTHOUSE,
    LINES,
    OTHER,
    OWNER,
    STORM,
    a_browser,
    address_of,
    is_none,
    kept,
    marked_rows,
    passage_of,
    some_pictures,
)
from tests.uploads import encrypted, pdf

# Own documents


@pytest.mark.models
def test_the_cited_page_is_shown_with_the_sentence_marked(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    answer = get(address_of(service, corpus, STORM))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"].startswith("private, max-age=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "cookie"
    assert "set-cookie" not in answer.headers
    rows = marked_rows(answer)
    assert 170 < rows[0] < rows[-1] < 200, "the first line of the second page's first paragraph"


@pytest.mark.models
def test_without_a_sentence_that_stands_out_the_passage_is_marked(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    passage, _ = passage_of(service, corpus, STORM)
    for sources in ([], [Source(1, 0, 0, passage.page)]):
        rows = marked_rows(get(picture_of(service, OWNER, corpus)(passage, sources)))
        assert rows[-1] - rows[0] > 60, "several lines"


@pytest.mark.models
def test_the_page_is_the_one_of_the_sentence_where_a_passage_goes_over_two(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, ("ledger.pdf", pdf(LINES, OTHER)))
    document = service.pipeline(corpus, OWNER).memorized.documents[0]
    start, at = document.text.index("Line 28"), document.text.index("Row 1 of")
    passage = Passage(1, document.text[start : at + 60], document.name, start, at + 60, 1)
    source = Source(1, at - start, at - start + 40, 2)
    address = picture_of(service, OWNER, corpus)
    assert "/1?" in address(passage, [])
    assert "/2?" in address(passage, [source])
    rows = marked_rows(get(address(passage, [source])))
    assert 140 < rows[0] < rows[-1] < 180, "the second line of the second page"


@pytest.mark.models
def test_only_pdfs_are_kept_for_this_user_alone_and_count_as_the_visitors(service, drawing, memorised):
    corpus = memorised(service, OWNER, *(DATA / f"lighthouse.{kind}" for kind in ("docx", "pdf", "txt")))
    (path,) = kept(service, corpus)
    assert path.read_bytes() == LIGHTHOUSE.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "lighthouse" not in path.name
    assert service.uploads.of(OWNER) == []
    assert folders.size_of(service.shelf.folder(OWNER)) > LIGHTHOUSE.stat().st_size
    assert [bool(name) for name in service.shelf.get(OWNER, corpus).pdfs] == [False, True, False]
    passage, sources = passage_of(service, corpus, STORM)
    address = picture_of(service, OWNER, corpus)
    assert passage.document == "lighthouse.docx"
    assert address(passage, sources) is None
    assert address(replace(passage, document="lighthouse.pdf", page=2), ()).startswith(f"memorag/page/{corpus}/2/2?")


@pytest.mark.models
def test_two_documents_of_one_name_are_not_mixed_up(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, ("ledger.pdf", pdf(LINES)), ("ledger.pdf", pdf(OTHER)))
    first, second = address_of(service, corpus, LINES[4]), address_of(service, corpus, OTHER[20])
    assert f"{corpus}/1/1?" in first
    assert f"{corpus}/2/1?" in second
    one, other = get(first, second)
    assert marked_rows(one)[0] < 260 < 540 < marked_rows(other)[0]


@pytest.mark.models
def test_a_pdf_that_its_owner_locked_is_not_kept(service, drawing, get, send):
    ids = send(service, OWNER, ("sealed.pdf", encrypted(LIGHTHOUSE.read_bytes(), "secret", "owner")))
    corpus, job = service.memorize(OWNER, ids, "secret")
    assert job.wait(60)
    assert service.pipeline(corpus, OWNER).is_memorized
    assert kept(service, corpus) == []
    assert address_of(service, corpus, STORM) is None
    assert is_none(get(f"memorag/page/{corpus}/1/1"))


@pytest.mark.models
def test_what_a_program_uploads_is_kept_too(service, drawing, get, send):
    steps = list(memorising.memorize(service, Visitors().get("page", OWNER), send(service, OWNER, LIGHTHOUSE)))
    assert get(address_of(service, steps[-1].corpus, STORM)).status_code == 200


@pytest.mark.models
def test_pictures_are_there_while_the_rest_is_made_and_after_going_on(service, drawing, get, send, until, monkeypatch):
    monkeypatch.setattr(memorizer, "_LONG", 8)
    monkeypatch.setattr(memorizer, "_BLOCK", 8)
    corpus, job = service.memorize(OWNER, send(service, OWNER, LIGHTHOUSE))
    until(lambda: service.is_open(corpus), 30)
    job.stop()
    assert job.wait(20)
    assert get(address_of(service, corpus, STORM)).status_code == 200
    again = service.resume(OWNER, corpus)
    assert again.wait(60)
    assert again.snapshot().state == "done"
    assert get(address_of(service, corpus, "Delacourt and Sons")).status_code == 200


@pytest.mark.models
def test_a_corpus_that_is_not_in_memory_any_more_is_opened_for_its_pictures(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    passage, sources = passage_of(service, corpus, STORM)
    service.let_go(corpus)
    assert service.pipeline(corpus, OWNER) is None
    address = picture_of(service, OWNER, corpus)(passage, sources)
    assert marked_rows(get(address))
    assert service.is_open(corpus)


# On the shelf


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path / "visitors")
    yield made
    made.close()


@pytest.mark.parametrize("name", ["", "..", "../x", "a" * 31, "A" * 32, "a" * 32 + "/..", "a" * 32 + "\n"])
def test_a_name_of_a_pdf_that_is_none_leads_nowhere(shelf, name):
    corpus = shelf.add(OWNER, Facts("a", ("a",), 1.0))
    with pytest.raises(ValueError, match="no name of a PDF"):
        shelf.pdf(OWNER, corpus, name)


@pytest.mark.parametrize("changed", [{}, {"pdfs": ["../x"]}, {"pdfs": ["A" * 32]}, {"pdfs": 5}])
def test_facts_that_do_not_name_pdfs_are_refused(tmp_path, shelf, changed):
    good = shelf.add(OWNER, Facts("a", ("a", "b"), 1.0, pdfs=("", "a" * 32)))
    bad = shelf.add(OWNER, Facts("a", ("a",), 1.0))
    facts = {name: value for name, value in asdict(shelf.get(OWNER, bad)).items() if name != "pdfs"}
    (shelf.folder(OWNER) / bad / "facts.json").write_text(json.dumps(facts | changed))
    shelf.close()
    again = Shelf(tmp_path / "visitors")
    assert again.corpora(OWNER) == {good: Facts("a", ("a", "b"), 1.0, pdfs=("", "a" * 32))}
    again.close()


def test_files_are_moved_to_their_corpus_once_and_stay_over_a_sweep(shelf, tmp_path, idle_service: Service):
    uploads = Uploads(shelf)

    def send(owner):
        source = tmp_path / "incoming"
        source.write_bytes(b"%PDF-1.4")
        return uploads.take(owner, source, "a.pdf", idle_service.settings)

    mine, theirs, corpus = send(OWNER), send("b" * 64), shelf.add(OWNER, Facts("a", ("a",), time.time()))
    for _ in range(2):  # a server that ended in the middle of it does it again
        uploads.keep(OWNER, corpus, ("", mine.id, theirs.id))
    assert uploads.of(OWNER) == []
    assert uploads.of("b" * 64) == [theirs]
    shelf.sweep(())
    uploads.sweep(0.0)
    assert shelf.pdf(OWNER, corpus, mine.id).read_bytes() == b"%PDF-1.4"
    assert shelf.pdf(OWNER, corpus, mine.id).stat().st_mode & 0o777 == 0o600
    shelf.remove(OWNER, corpus)
    assert not shelf.pdf(OWNER, corpus, mine.id).exists()
