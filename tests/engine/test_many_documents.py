"""Many documents in one corpus, added and removed; only what is new is read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.documents import Document
from engine.errors import Cancelled, DocumentError, InputError, NotMemorizedError
from engine.events import Answer, Stop
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from tests.pipelines import OTHER, QUESTION, SHORT, events_of, evidence_of, filler

pytestmark = pytest.mark.models


# Several documents, one after the other


MILL = Document("mill.txt", OTHER)
LIGHT = Document("light.txt", SHORT)
HALL = Document("hall.txt", "The hall of Brook was built of oak in 1702. Its steward was Tom Pell. It has nine doors.")


@pytest.fixture(scope="module", params=[MemoRAGLite, MemoRAG])
def any_pipeline(request, tiny_model, encoder):
    return request.param(tiny_model, encoder)


def facts_of(pipeline) -> tuple:
    held = pipeline.memorized
    return held.documents, held.chunks, held.gists, held.digest, held.memory.ids


def test_adding_and_removing_gives_what_memorising_gives(any_pipeline):
    grown, fresh = any_pipeline.fork(), any_pipeline.fork()
    grown.add(LIGHT)
    grown.add([MILL, HALL])
    fresh.memorize([LIGHT, MILL, HALL])
    assert facts_of(grown) == facts_of(fresh)
    asked = {"query": QUESTION, "max_new_tokens": 8}
    assert [e.text for e in grown.stream(**asked) if isinstance(e, Answer)] == [fresh(**asked)]
    grown.remove("mill.txt")
    fresh.memorize([LIGHT, HALL])
    assert facts_of(grown) == facts_of(fresh)
    assert [p.document for p in evidence_of(grown, QUESTION).passages] == ["light.txt", "hall.txt"]
    grown.remove(["light.txt", "hall.txt"])
    assert not grown.is_memorized


def test_adding_a_document_reads_only_that_document(any_pipeline, monkeypatch):
    pipeline, embedded, read = any_pipeline.fork(), [], []
    pipeline.memorize([LIGHT, MILL])
    encode = type(pipeline.encoder).encode

    def spied(self, texts, **options):
        embedded.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(type(pipeline.encoder), "encode", spied)
    before = pipeline.memorized
    pipeline.add(HALL, on_progress=lambda event: read.append(event) if event.stage == "memorising" else None)
    assert embedded, "the new document is embedded"
    assert not [text for text in embedded if "Marrick" in text or "Pettigrew" in text]
    assert read[-1].total < before.memory.tokens / 2, "the memory goes on from where it was"
    assert before.memory.tokens < pipeline.memorized.memory.tokens
    assert len(before.documents) == 2, "what was held before is as it was"
    assert len(before.dense.index) == len(before.chunks)


def test_a_corpus_that_grows_stays_within_the_memory(tiny, monkeypatch):
    pipeline = tiny.fork()
    monkeypatch.setattr(type(pipeline.memorizer), "budget", 400)
    for n in range(6):
        pipeline.add(Document(f"{n}.txt", filler(10 * n, 10)))
        gists = pipeline.memorized.gists
        assert sum(map(pipeline.model.count_tokens, (gist.text for gist in gists))) <= 400
    assert {gist.document for gist in gists} == set(range(6)), "every document keeps a place in the memory"
    assert len(pipeline.memorized.chunks) == len(pipeline.memorized.dense.index)
    found = evidence_of(pipeline, "Which ledger was lost in the fire of 1755?").passages
    assert any("fire of 1755" in passage.text and passage.document == "5.txt" for passage in found)


def test_changes_at_once_lose_nothing_and_bring_nothing_back(tiny):
    pipeline = tiny.fork()
    pipeline.memorize([LIGHT, MILL])
    with ThreadPoolExecutor(4) as pool:
        added = [pool.submit(pipeline.add, Document(f"{n}.txt", f"{OTHER} Number {n}.")) for n in range(3)]
        removed = pool.submit(pipeline.remove, "mill.txt")
        for change in (*added, removed):
            change.result()
    assert {document.name for document in pipeline.memorized.documents} == {"light.txt", "0.txt", "1.txt", "2.txt"}
    assert len(pipeline.memorized.chunks) == len(pipeline.memorized.dense)


def test_texts_can_be_added_after_others_were_removed(tiny):
    pipeline = tiny.fork()
    pipeline.memorize([SHORT, OTHER])
    pipeline.remove("text 1")
    pipeline.add("The hall has nine doors.")
    names = [document.name for document in pipeline.memorized.documents]
    assert names[0] == "text 2"
    assert len(set(names)) == 2
    pipeline.add([Document("a", SHORT), Document("a", OTHER), Document("a (2)", SHORT)])
    assert len({document.name for document in pipeline.memorized.documents}) == 5


def test_texts_without_a_name_are_numbered_on(tiny):
    pipeline = tiny.fork()
    pipeline.memorize(SHORT)
    pipeline.add(OTHER)
    assert [document.name for document in pipeline.memorized.documents] == ["text", "text 2"]


def test_what_cannot_be_added_or_removed_is_refused_and_nothing_is_lost(tiny):
    pipeline = tiny.fork()
    pipeline.memorize([LIGHT, MILL])
    before = pipeline.memorized
    with pytest.raises(DocumentError, match=r'"mill.txt" is there already'):
        pipeline.add(Document("mill.txt", "Another text."))
    with pytest.raises(InputError, match=r"no document 'barn.txt'; memorised are: light.txt, mill.txt"):
        pipeline.remove(["mill.txt", "barn.txt"])
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        pipeline.add(HALL, stop=stop)
    assert pipeline.memorized is before
    with pytest.raises(NotMemorizedError):
        tiny.fork().remove("mill.txt")


def test_documents_of_one_name_are_told_apart(tiny):
    pipeline = tiny.fork()
    pipeline.memorize([LIGHT, Document("light.txt", OTHER)])
    assert [document.name for document in pipeline.memorized.documents] == ["light.txt", "light.txt (2)"]


def test_halves_of_characters_are_no_problem(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(Document("odd \ud800.txt", f"{SHORT} \udfff"), save_dir=tmp_path / "odd")
    pipeline.load(tmp_path / "odd")
    assert pipeline.memorized.documents[0].name == "odd \ufffd.txt"
    assert events_of(pipeline, f"{QUESTION} \ud800")[-1].evidence
