"""Evidence: one hard budget, passages in the order of the text, neighbours joined, pages right."""

from __future__ import annotations

from itertools import pairwise

import pytest

from engine import MemoRAGLite
from engine.documents import Document, Mark
from engine.errors import InputError
from engine.evidence import EVIDENCE_TOKENS, chunk_size, find, overview, passages
from engine.ranking import Hit
from engine.strategy import Strategy
from tests.pipelines import QUESTION, filler

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def held(tiny_model, encoder, lighthouse):
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize([Document("mills", filler(0, 30)), Document("light", lighthouse)])
    return pipeline.memorized


def tokens(hits, held) -> int:
    return sum(held.chunks[hit.number].tokens for hit in hits)


@pytest.mark.parametrize("budget", [0, 150, 300, EVIDENCE_TOKENS])
def test_the_budget_is_kept_by_questions_and_summaries(held, budget):
    for search in (find, overview):
        hits = search(QUESTION, ["a keeper"], held, Strategy(clue_weight=0.4, rerank=5), 3, budget=budget)
        assert tokens(hits, held) <= budget
        assert bool(hits) == (budget > 0)
        assert len({hit.number for hit in hits}) == len(hits)


def test_the_answer_is_among_the_evidence(held):
    found = passages(find(QUESTION, [], held, Strategy(rerank=5), 3), held, 512)
    assert any("Isolde Marrick" in passage.text for passage in found)
    assert [passage.number for passage in found] == list(range(1, len(found) + 1))
    assert all(passage.score and passage.found_by for passage in found)


def test_passages_are_verbatim_and_in_order(held):
    found = passages(find(QUESTION, [], held, Strategy(), 3), held, 512)
    texts = {document.name: document.text for document in held.documents}
    assert all(texts[p.document][p.start : p.end] == p.text for p in found)
    places = [(p.document == "light", p.start) for p in found]
    assert places == sorted(places)


@pytest.mark.parametrize("most", [16, 96, 200, 640])
def test_chunks_that_follow_each_other_become_one_passage(held, most):
    every = [Hit(number, 1.0, (f"query {number % 2}",)) for number in range(len(held.chunks))]
    found = passages(every, held, most)
    sizes = [chunk.tokens for chunk in held.chunks]
    assert (len(found) == len(every)) == (most < min(a + b for a, b in pairwise(sizes)))
    assert max(held.dense.encoder.token_spans([passage.text])[0].__len__() for passage in found) <= max(most, *sizes)
    joined = "".join("".join(passage.text.split()) for passage in found)
    assert joined == "".join("".join(document.text.split()) for document in held.documents), "not a word is lost"


def test_a_passage_never_goes_over_two_pages(tiny_model, encoder):
    text = "The keeper lit the lamp at dusk. " * 6 + "The horn was sounded in fog. " * 6
    second = text.index("The horn")
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(Document("log.pdf", text, (Mark(0, 1, None), Mark(second, 2, None))))
    found = passages([Hit(n, 1.0) for n in range(len(pipeline.memorized.chunks))], pipeline.memorized, 640)
    assert [passage.page for passage in found] == [1, 2]
    assert found[1].text.startswith("The horn")


def test_a_summary_covers_the_text(held):
    hits = overview("", [gist.text for gist in held.gists], held, Strategy(), 3)
    parts = {10 * hit.number // len(held.chunks) for hit in hits}
    assert len(parts) >= 8, "of ten parts of the text"
    documents = {held.chunks[hit.number].document for hit in hits}
    assert documents == {0, 1}


def test_the_size_of_chunks(encoder):
    assert chunk_size(512, encoder) == 96
    assert chunk_size(64, encoder) == 64


def test_a_pipeline_can_search_other_chunks_with_the_same_memory(tiny_model, encoder, lighthouse):
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(lighthouse)
    larger = pipeline.rechunked(200)
    assert larger.memorized.memory is pipeline.memorized.memory
    assert len(larger.memorized.chunks) < len(pipeline.memorized.chunks)
    assert max(chunk.tokens for chunk in larger.memorized.chunks) > 96
    assert pipeline.memorized.chunk_size == 96
    with pytest.raises(InputError, match="16 or more"):
        pipeline.rechunked(8)
