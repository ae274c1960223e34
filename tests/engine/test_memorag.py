"""The pipeline with the real models: memorise, find the facts, answer from them; and in Chinese."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from engine.citation import cited
from engine.documents import Document
from engine.errors import ContextLengthError
from engine.events import Answer, Clues, Evidence, Token
from engine.evidence import EVIDENCE_TOKENS
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from engine.strategy import Strategy
from tests.pipelines import FACTS, QUESTION, Scripted, events_of, evidence_of, filler

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def real(engine_models, lighthouse, tmp_path_factory):
    """The real pipeline over the lighthouse among other texts, and the bundle it was saved to."""
    pipeline = MemoRAGLite(*engine_models)
    folder = tmp_path_factory.mktemp("bundles") / "lighthouse"
    documents = [Document("a.txt", filler(0, 22)), Document("lighthouse.txt", lighthouse), filler(22, 22)]
    pipeline.memorize(documents, save_dir=folder)
    return pipeline, folder


# The real models


def test_the_text_does_not_fit_the_evidence_budget_as_a_whole(real):
    assert real[0].stats["context_tokens"] > 3 * EVIDENCE_TOKENS, "or finding facts would show nothing"


@pytest.mark.parametrize(("question", "facts"), FACTS)
def test_the_passages_with_the_facts_are_found(real, question, facts):
    evidence = " ".join(passage.text for passage in evidence_of(real[0], question).passages)
    assert [fact for fact in facts if fact not in evidence] == []


def test_a_question_is_answered_in_order_from_true_passages(real):
    pipeline, _ = real
    events = events_of(pipeline, max_new_tokens=12)
    kinds = [type(event) for event in events]
    assert kinds[:2] == [Clues, Evidence]
    assert kinds[-1] is Answer
    assert kinds[2:-1] == [Token] * (len(kinds) - 3)
    assert len(kinds) > 3
    clues, evidence, answer = events[0], events[1], events[-1]
    assert "".join(event.text for event in events[2:-1]) == answer.text
    assert answer.text.strip()
    assert answer.evidence == evidence.passages
    assert answer.clues == clues.clues
    assert cited(answer.text) <= {passage.number for passage in evidence.passages}
    found = " ".join(passage.text for passage in evidence.passages)
    assert "Isolde Marrick" in found, "clues do not push out what the question finds"
    assert 0 <= answer.timings["clues"] <= answer.timings["first_token"] <= answer.timings["total"]


def test_evidence_is_verbatim_in_order_numbered_and_within_its_budget(real, encoder):
    pipeline, _ = real
    texts = {document.name: document.text for document in pipeline.memorized.documents}
    passages = evidence_of(pipeline, QUESTION).passages
    assert [passage.number for passage in passages] == list(range(1, len(passages) + 1))
    assert all(texts[passage.document][passage.start : passage.end] == passage.text for passage in passages)
    order = list(texts)
    places = [(order.index(passage.document), passage.start) for passage in passages]
    assert places == sorted(places)
    assert all(a[0] < b[0] or a[1] < b[1] for a, b in pairwise(places)), "no passage comes twice"
    assert 0 < sum(len(spans) for spans in encoder.token_spans([p.text for p in passages])) <= EVIDENCE_TOKENS
    assert all(passage.found_by == ("question",) for passage in passages)


def test_a_loaded_bundle_gives_the_same_evidence_and_memory(real, engine_models):
    pipeline, folder = real
    again = MemoRAGLite(*engine_models)
    again.load(folder)
    assert again.stats == pipeline.stats
    assert again.memorized.chunks == pipeline.memorized.chunks
    assert again.memorized.gists == pipeline.memorized.gists
    for ours, theirs in zip(again.memorized.memory.prefix.keys, pipeline.memorized.memory.prefix.keys, strict=True):
        assert torch.equal(ours, theirs)
    for question, _ in FACTS:
        assert evidence_of(again, question).passages == evidence_of(pipeline, question).passages


# A long text


@pytest.fixture(scope="module")
def long_text(lighthouse) -> str:
    """More than 120,000 tokens of other places, with the lighthouse far behind the middle."""
    return "\n\n".join([filler(0, 1150), lighthouse, filler(1150, 350)])


def test_a_text_of_120_000_tokens_is_memorised_and_asked(engine_models, long_text):
    pipeline = MemoRAGLite(*engine_models)
    pipeline.memorize(Document("long.txt", long_text))
    held = pipeline.memorized
    assert pipeline.stats["context_tokens"] > 120_000
    assert sum(pipeline.model.count_tokens(gist.text) for gist in held.gists) <= pipeline.memorizer.budget
    assert held.memory.tokens < pipeline.model.context_length / 2
    assert (held.gists[0].start, held.gists[-1].end) == (0, len(long_text)), "all of it is in the memory"
    events = events_of(pipeline, max_new_tokens=24)
    assert any("Isolde Marrick" in passage.text for passage in events[-1].evidence)
    assert events[-1].text


def test_a_text_longer_than_the_window_is_refused_by_the_full_pipeline(engine_models, long_text):
    pipeline = MemoRAG(*engine_models)
    with pytest.raises(
        ContextLengthError, match=r"text has at least [\d,]+ tokens .* reads at most 8192 tokens; .* MemoRAGLite"
    ):
        pipeline.memorize(long_text)
    assert not pipeline.is_memorized


# Chinese


@pytest.fixture(scope="module")
def chinese(tiny_model, encoder):
    places = ("河边", "山下", "城东", "桥头", "村口", "岛上")
    paragraphs = [
        f"{places[n % 6]}的第{n}座磨坊有{n + 30}片桨叶，磨坊主有{n % 5 + 1}个儿子，每年春天水都会涨到院子里。"
        for n in range(60)
    ]
    paragraphs[37] = "灯塔建于一八七四年。第一位守塔人名叫马格努斯，他守了三十一年。登上灯室要爬214级台阶。"
    pipeline = MemoRAGLite(tiny_model, encoder, retrieval_chunk_size=64)
    pipeline.memorize([Document("灯塔.txt", "\n\n".join(paragraphs))])
    return pipeline


@pytest.mark.parametrize(
    ("question", "fact"),
    [("守塔人叫什么名字？", "马格努斯"), ("灯塔建于哪一年？", "一八七四年"), ("登上灯室要爬多少级台阶？", "214级")],
)
def test_a_chinese_question_finds_its_passage(chinese, question, fact):
    assert chinese.stats["context_tokens"] > 1.5 * EVIDENCE_TOKENS
    passages = evidence_of(chinese, question, strategy=Strategy(context=0.0)).passages
    best = max(passages, key=lambda passage: passage.score)
    assert fact in best.text
    assert best.found_by == ("question",)


def test_a_chinese_corpus_is_asked_and_answered_in_chinese(chinese):
    assert chinese.stats["language"].startswith("zh")
    generator = Scripted("第一位守塔人名叫马格努斯。[99]")
    events = events_of(chinese.with_generator(generator), "守塔人叫什么名字？")
    assert "问题：守塔人叫什么名字？" in generator.prompts[0]
    number = next(passage.number for passage in events[1].passages if "马格努斯" in passage.text)
    assert events[-1].text == f"第一位守塔人名叫马格努斯。[{number}]"
