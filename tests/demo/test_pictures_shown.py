"""Who may see the picture of a page, and how many are drawn at once."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette

from demo import text
from demo.identity import COOKIE, owner_of
from demo.pictures import picture_of
from tests.demo.browsing import (  # noqa: F401 - fixtures
    ANNA,
    BERT,
    LIGHTHOUSE,
    LINES,
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
from tests.fuzz import pdfs
from tests.uploads import pdf

pytestmark = pytest.mark.models


# Who may see them


def test_another_visitors_page_and_one_that_is_not_there_look_the_same(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    address = address_of(service, corpus, STORM)
    assert picture_of(service, owner_of(BERT, None), corpus)(*passage_of(service, corpus, STORM)) is None
    assert get(address).status_code == 200
    assert is_none(get(address, token=BERT))
    assert is_none(get(address, token=None))
    assert is_none(get(address, token="forged"))
    assert is_none(get(address, **{"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}))
    place = f"memorag/page/{corpus}"
    for bad in (
        *("1/0", "1/4", "1/99999999999", "0/1", "2/1", "-1/1", "1/-1", "1/x", "x/1", f"1/{'9' * 5000}", "1/1.5"),
        *(f"1/1?mark={span}" for span in ("5", "a-b", "-5-9", "1-99999999999", "1-2-3", "%3Cscript%3E")),
        "1/1?" + "&".join(["mark=1-2"] * 17),
    ):
        assert is_none(get(f"{place}/{bad}")), bad
    for other in ("tide-mill", "mine-" + "x" * 22, "..", "%2e%2e", "%00", "nothing"):
        assert get(f"memorag/page/{other}/1/1").status_code == 404


def test_spans_beyond_the_page_mark_nothing(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    for span in ("9-5", "5-5", "999999-9999999"):
        answer = get(f"memorag/page/{corpus}/1/1?mark={span}")
        assert answer.status_code == 200
        assert marked_rows(answer) == []


def test_a_visitor_is_told_in_their_language(service, drawing, get):
    told = get("memorag/page/nothing/1/1", **{"accept-language": "zh-CN"})
    assert told.status_code == 404
    with text.speaking(text.CHINESE):
        assert told.text == text.NO_PICTURE


def test_deleting_takes_pictures_away_at_once(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    address = address_of(service, corpus, STORM)
    assert get(address).status_code == 200
    assert drawing._drawn._pictures
    service.delete(OWNER)
    assert is_none(get(address))
    assert not service.shelf.folder(OWNER).exists()
    drawing.forget(corpus)
    assert not drawing._drawn._pictures


def test_pictures_go_when_the_time_of_their_corpus_is_over(service, drawing, get, memorised, monkeypatch):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    address = address_of(service, corpus, STORM)
    monkeypatch.setattr(service, "settings", replace(service.settings, upload_hours=1e-9))
    assert is_none(get(address))
    assert kept(service, corpus) == []


# Drawn once, and few at a time


def test_a_picture_is_drawn_once_and_the_oldest_make_room(service, drawing, get, memorised, monkeypatch):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    first, second = address_of(service, corpus, STORM), address_of(service, corpus, "Delacourt and Sons")
    answers = get(first, first, second)
    assert answers[0].content == answers[1].content != answers[2].content
    kept(service, corpus)[0].unlink()
    assert get(first).content == answers[0].content
    monkeypatch.setattr("demo.pictures._HELD_BYTES", len(answers[0].content) + len(answers[2].content) - 1)
    wanted, picture = next(iter(drawing._drawn._pictures.items()))
    drawing._drawn.put(wanted, picture)
    assert [len(data) for data in drawing._drawn._pictures.values()] == [len(picture)]
    drawing.forget(corpus)
    assert is_none(get(first)), "its file is gone"


def test_a_visitor_who_asks_for_too_many_at_once_is_told_to_wait(service, drawing, get, memorised):
    corpus = memorised(service, OWNER, LIGHTHOUSE)
    answers = get(*(f"memorag/page/{corpus}/1/1?mark={at}-{at + 50}" for at in range(0, 100, 10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [503] * 2
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.text == text.PICTURES_BUSY
    assert refused.headers["retry-after"] == "5"
    assert get(f"memorag/page/{corpus}/1/1?mark=0-50").status_code == 200


def test_a_page_that_takes_long_holds_up_neither_the_server_nor_another_visitor(service, drawing, memorised):
    fill = pdfs.stream(b"1 0 0 rg " + b"0 0 600 800 re f " * 300_000, deflate=True)
    slow, quick = memorised(service, OWNER, LIGHTHOUSE), memorised(service, owner_of(BERT, None), LIGHTHOUSE)
    kept(service, slow)[0].write_bytes(pdfs.pages(fill))
    site = Starlette(routes=[drawing.route()])

    async def both():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://page/") as client:
            first = asyncio.create_task(client.get(f"memorag/page/{slow}/1/1", headers={"cookie": f"{COOKIE}={ANNA}"}))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            second = await client.get(f"memorag/page/{quick}/1/1", headers={"cookie": f"{COOKIE}={BERT}"})
            seconds = time.monotonic() - began
            is_slow = not first.done()
            drawing.close()
            return await first, second, seconds, is_slow

    first, second, seconds, is_slow = asyncio.run(both())
    assert second.status_code == 200
    assert seconds < 5
    assert is_slow
    assert is_none(first)


# Ready-made corpora


@pytest.fixture
def ready(service):
    """A ready-made corpus of a PDF."""
    mill = service.entries["tide-mill"]

    def make(slug, name="ledger.pdf"):
        folder = mill.folder.parent / slug
        folder.mkdir(exist_ok=True)
        data = pdf(LINES)
        (folder / name).write_bytes(data)
        facts = {"slug": slug, "documents": (name,), "sha256": {name: hashlib.sha256(data).hexdigest()}}
        (folder / "manifest.json").write_text(mill.manifest.model_copy(update=facts).model_dump_json(), "utf-8")
        assert service.open(slug).wait(60)
        return slug

    yield make
    service.let_go("ledger")
    shutil.rmtree(mill.folder.parent / "ledger")


def test_the_pages_of_a_ready_made_corpus_are_shown_to_everyone(service, drawing, get, ready):
    address = address_of(service, ready("ledger"), LINES[10])
    for token in (ANNA, BERT, None):
        rows = marked_rows(get(address, token=token))
        assert 350 < rows[0] < rows[-1] < 390
    assert is_none(get("memorag/page/ledger/2/1"))
    assert is_none(get("memorag/page/tide-mill/1/1")), "a TXT file"


def test_texts_that_took_the_place_of_a_ready_made_corpus_have_no_pages(service, drawing, get, ready):
    slug = ready("ledger")
    address = address_of(service, slug, LINES[10])
    entry = service.entries[slug]
    added = service.ready_made.places.added / slug
    added.mkdir(parents=True)
    facts = {"documents": ("other.pdf",), "sha256": {"other.pdf": "0" * 64}}
    (added / "manifest.json").write_text(entry.manifest.model_copy(update=facts).model_dump_json(), "utf-8")
    try:
        assert is_none(get(address))
    finally:
        shutil.rmtree(added)
