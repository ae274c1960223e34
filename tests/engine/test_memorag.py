"""The pipeline, end to end: memorise, save, load, ask. The encoder is real throughout; the memory model is the real one
where its words matter, and a tiny random one where only the pipeline does."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from engine import storage
from engine.ask import EVIDENCE_TOKENS
from engine.citation import cited
from engine.documents import Document, Mark
from engine.errors import BundleError, Cancelled, ContextLengthError, DocumentError, InputError, NotMemorizedError
from engine.events import Answer, Clues, Evidence, Stop, Token
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from engine.model import Model
from engine.pipeline import Pipeline

pytestmark = pytest.mark.models

QUESTION = "Who was the first keeper of the light, and for how long?"
SHORT = "The first keeper was Isolde Marrick. The door is painted saffron yellow. A visitor must climb 214 steps."
OTHER = "The mill of Ardle stood by the river. Its miller was Joan Pettigrew. The wheel had forty paddles of oak."
FACTS = [
    ("How many steps must a visitor climb to the lantern room?", ["214 steps"]),
    (QUESTION, ["Isolde Marrick", "31 years"]),
    ("What colour is the door of the tower painted?", ["saffron yellow"]),
    ("Who found the logbooks of the station, and in which year?", ["Henrik Vass", "1978"]),
    ("How many logbooks lay under the floor of the coal store?", ["46 logbooks", "coal store"]),
    ("Who was the last keeper, and when was the lamp made automatic?", ["Pell Oduya", "1991"]),
]


def filler(begin: int, count: int) -> str:
    """Paragraphs about other places, so that finding the right passage is no matter of course."""
    names = ("Ardle", "Brook", "Cassing", "Dunford", "Elmstead", "Fernley", "Gorse", "Holt")
    return "\n\n".join(
        f"The mill of {names[n % 8]} {n} stood by the river for {n + 20} years. Its miller had {n % 7 + 2} sons, and "
        f"the wheel had {n + 30} paddles of oak. In spring the water rose to the {n % 5 + 2}th step of the yard, and "
        f"the people of {names[(n + 3) % 8]} brought their barley in boats painted green or brown. A clerk wrote the "
        f"sacks into a ledger, which was lost in the fire of {1700 + n}."
        for n in range(begin, begin + count)
    )


class Scripted:
    """A generator that writes one reply, word by word, and remembers what it was asked."""

    name = "scripted"
    is_able = True

    def __init__(self, reply: str = "It was Isolde Marrick [1]. She left [99].", context_length: int = 8192) -> None:
        self.reply, self.context_length = reply, context_length
        self.prompts: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text) // 4

    def stream(self, prompt, max_new_tokens=256, temperature=0.0, *, stop=None):
        self.prompts.append(prompt)
        for word in self.reply.split(" "):
            if stop is not None:
                stop.check()
            yield word + " "


def events_of(pipeline: Pipeline, query: str | None = QUESTION, **options) -> list:
    return list(pipeline.stream(query=query, **{"max_new_tokens": 8} | options))


def evidence_of(pipeline: Pipeline, query: str | None, task: str = "rag") -> Evidence:
    stream = pipeline.stream(query=query, task_type=task)
    evidence = next(event for event in stream if isinstance(event, Evidence))
    stream.close()
    return evidence


@pytest.fixture(scope="module")
def real(engine_models, lighthouse, tmp_path_factory):
    """The real pipeline over the lighthouse among other texts, and the bundle it was saved to."""
    pipeline = MemoRAGLite(*engine_models)
    folder = tmp_path_factory.mktemp("bundles") / "lighthouse"
    documents = [Document("a.txt", filler(0, 22)), Document("lighthouse.txt", lighthouse), filler(22, 22)]
    pipeline.memorize(documents, save_dir=folder)
    return pipeline, folder


@pytest.fixture(scope="module")
def tiny(tiny_model, encoder):
    """A pipeline whose memory and generator is a tiny random model, with a short text memorised."""
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(SHORT)
    return pipeline


@pytest.fixture
def scripted(tiny):
    generator = Scripted()
    return tiny.with_generator(generator), generator


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


# Events and answers


def test_each_task_gives_its_events(tiny):
    for task, query in [("memorag", QUESTION), ("rag", QUESTION), ("qa", QUESTION), ("summarize", None)]:
        events = events_of(tiny, query, task_type=task)
        kinds = [type(event) for event in events]
        assert kinds[:2] == [Clues, Evidence], task
        assert kinds[-1] is Answer, task
        assert set(kinds[2:-1]) <= {Token}, task
        assert "".join(event.text for event in events[2:-1]) == events[-1].text, task
        assert bool(events[1].passages) is (task != "qa"), task
        if task in ("rag", "qa"):
            assert events[0].clues == (), task


def test_calling_gives_the_text_of_the_answer(tiny):
    assert tiny(QUESTION, max_new_tokens=8) == events_of(tiny)[-1].text


def test_the_answer_of_another_generator_is_made_true(scripted):
    pipeline, _ = scripted
    answer = events_of(pipeline)[-1]
    assert answer.text == "It was Isolde Marrick [1]. She left."


def test_clues_and_the_memory_are_never_part_of_the_generators_prompt(scripted):
    pipeline, generator = scripted
    events = events_of(pipeline, use_memory_answer=True)
    clues = events[0].clues
    assert clues
    assert "draft" in {clue.kind for clue in clues}
    assert len(generator.prompts) == 1
    assert all(clue.text not in generator.prompts[0] for clue in clues)
    assert QUESTION in generator.prompts[0]
    assert all(passage.text in generator.prompts[0] for passage in events[1].passages)


def test_a_pipeline_with_another_generator_leaves_the_first_as_it_is(tiny, scripted):
    pipeline, generator = scripted
    assert pipeline.generator is generator
    assert tiny.generator is tiny.model
    assert pipeline.memorized is tiny.memorized


def test_a_generator_may_be_given_at_construction(tiny_model, encoder):
    generator = Scripted("Yes.")
    pipeline = MemoRAGLite(tiny_model, encoder, customized_gen_model=generator)
    assert pipeline(QUESTION, SHORT, task_type="rag") == "Yes."
    with pytest.raises(InputError, match="not both"):
        MemoRAG(tiny_model, encoder, gen_model_name_or_path="a/b", customized_gen_model=generator)


def test_a_prompt_template_replaces_the_generators_prompt(scripted):
    pipeline, generator = scripted
    events_of(pipeline, task_type="rag", prompt_template="Q: {question} E: {evidence} {{}}")
    assert generator.prompts[0].startswith(f"Q: {QUESTION} E: ")
    assert "saffron yellow" in generator.prompts[0]
    assert generator.prompts[0].endswith(" {}")


def test_passages_make_way_for_a_generator_with_a_small_window(tiny_model, encoder, lighthouse):
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(lighthouse)
    wide, narrow = Scripted(), Scripted(context_length=900)
    for generator in (wide, narrow):
        events_of(pipeline.with_generator(generator), task_type="rag")
    assert narrow.count_tokens(narrow.prompts[0]) <= 900 - 8 - 64
    assert len(narrow.prompts[0]) < len(wide.prompts[0])
    assert "Isolde Marrick" in narrow.prompts[0], "the best passages stay"
    with pytest.raises(ContextLengthError, match="Not one passage fits"):
        events_of(pipeline.with_generator(Scripted(context_length=120)), task_type="rag")


def test_a_question_that_runs_keeps_its_corpus(scripted):
    pipeline, _ = scripted
    pipeline = pipeline.fork()
    pipeline.memorize(SHORT)
    stream = pipeline.stream(QUESTION, task_type="rag")
    next(stream)
    pipeline.memorize(OTHER)
    answer = list(stream)[-1]
    assert "Isolde Marrick" in answer.evidence[0].text
    assert "Joan Pettigrew" in evidence_of(pipeline, QUESTION).passages[0].text


# Memorising


def test_another_context_is_memorised_and_the_same_is_not_again(tiny):
    pipeline = tiny.fork()
    events_of(pipeline, context=SHORT, task_type="rag")
    first = pipeline.memorized
    events_of(pipeline, context=[SHORT], task_type="rag")
    assert pipeline.memorized is first
    answer = events_of(pipeline, "Who was the miller?", context=OTHER, task_type="rag")[-1]
    assert pipeline.memorized is not first
    assert "Joan Pettigrew" in answer.evidence[0].text


def test_several_documents_keep_their_names_and_places(tiny):
    pipeline = tiny.fork()
    marks = (Mark(0, page=1), Mark(SHORT.index("A visitor"), page=2))
    pipeline.memorize([Document("a.pdf", SHORT, marks), Document("b.txt", OTHER)])
    passages = evidence_of(pipeline, "Who was the keeper, and who the miller?").passages
    assert [(passage.document, passage.page) for passage in passages] == [("a.pdf", 1), ("a.pdf", 2), ("b.txt", None)]


def test_memorising_reports_its_stages_in_order(tiny):
    seen = []
    tiny.fork().memorize(SHORT, on_progress=seen.append)
    stages = list(dict.fromkeys(event.stage for event in seen))
    assert stages == ["splitting", "embedding", "choosing gists", "memorising"]
    assert all(0 <= event.done <= event.total for event in seen)


@pytest.mark.parametrize("stage", ["splitting", "embedding", "choosing gists", "memorising"])
def test_memorising_can_be_stopped_at_any_stage_and_keeps_what_was_held(tiny, stage):
    pipeline, stop = tiny.fork(), Stop()
    pipeline.memorize(OTHER)
    before = pipeline.memorized
    with pytest.raises(Cancelled):
        pipeline.memorize(
            [filler(0, 20), filler(20, 20)],
            on_progress=lambda event: stop.set() if event.stage == stage else None,
            stop=stop,
        )
    assert pipeline.memorized is before


@pytest.mark.parametrize("context", ["", " \n", []])
def test_a_context_without_text_is_refused(tiny, context):
    with pytest.raises(DocumentError):
        tiny.fork().memorize(context)


@pytest.mark.parametrize("text", ["word " * 3000, "灯塔" * 1500, "1234567890" * 500, "a\nb\nc\n" * 50, "x"])
def test_texts_of_odd_shape_are_memorised_too(tiny, text):
    pipeline = tiny.fork()
    pipeline.memorize(text)
    assert pipeline.memorized.memory.is_memorized
    assert evidence_of(pipeline, "What is it about?").passages


def test_statistics_are_told_when_asked_for(tiny, capsys):
    pipeline = tiny.fork()
    pipeline.memorize(SHORT)
    assert capsys.readouterr().out == ""
    pipeline.memorize(SHORT, print_stats=True)
    prefix, stats = pipeline.memorized.memory.prefix, pipeline.stats
    assert capsys.readouterr().out.splitlines() == [
        "Language: en",
        f"Context length: {stats['context_tokens']} tokens",
        f"Memory size: {prefix.nbytes / 2**20:.1f} MB ({prefix.length} tokens)",
        "Number of chunks: 1",
    ]


def test_a_fork_shares_the_models_and_nothing_else(tiny):
    twin = tiny.fork()
    assert twin.model is tiny.model
    assert twin.encoder is tiny.encoder
    assert not twin.is_memorized
    assert tiny.is_memorized


def test_the_full_pipeline_reads_the_text_itself(tiny_model, encoder):
    pipeline = MemoRAG(tiny_model, encoder)
    pipeline.memorize(SHORT)
    memory = pipeline.memorized.memory
    assert pipeline.memorized.gists == ()
    assert memory.prefix.length > tiny_model.count_tokens(SHORT)
    before = pipeline.memorized
    seen = []
    with pytest.raises(ContextLengthError, match=r"prompt has \d+ tokens .* reads at most 2048 tokens"):
        pipeline.memorize(filler(0, 60), on_progress=seen.append)
    assert {event.stage for event in seen} == {"splitting"}, "it is told before any heavy work"
    assert pipeline.memorized is before
    assert events_of(pipeline)[-1].evidence


def test_gists_can_be_written_by_the_model(tiny_model, encoder):
    pipeline = MemoRAGLite(tiny_model, encoder, gist_mode="abstractive")
    pipeline.memorize(SHORT)
    assert [(gist.start, gist.end) for gist in pipeline.memorized.gists] == [(0, len(SHORT))]
    assert pipeline.memorized.gists[0].text not in SHORT, "a random model quotes nothing"


# Refusals before any work


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ("", {}, "question is empty"),
        (" \n", {"task_type": "qa"}, "question is empty"),
        (None, {"task_type": "rag"}, "question is empty"),
        (QUESTION, {"task_type": "translate"}, "accepted are memorag, qa, rag, summarize"),
        (QUESTION, {"max_new_tokens": 0}, "takes 1 to 1024"),
        (QUESTION, {"max_new_tokens": 5000}, "takes 1 to 1024"),
        (QUESTION, {"temperature": -1.0}, "0 .*to 2"),
        (QUESTION, {"temperature": float("nan")}, "0 .*to 2"),
        (QUESTION, {"prompt_template": "{secret}"}, "may use {evidence} and {question}"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_work(tiny, query, options, words):
    for pipeline in (tiny, tiny.fork()):
        with pytest.raises(InputError, match=words):
            pipeline.stream(query, **options)


@pytest.mark.parametrize("template", ["{evidence", "{", "evidence}", "{question!z}", "{question:>999999999}", "{}"])
def test_a_malformed_template_is_refused_before_any_work(tiny, template):
    with pytest.raises(InputError):
        tiny.stream(QUESTION, prompt_template=template)


def test_there_must_be_something_to_ask_about(tiny):
    pipeline = tiny.fork()
    for attempt in (
        lambda: pipeline.stream(QUESTION),
        lambda: pipeline.save("nowhere"),
        lambda: pipeline.stats,
        lambda: pipeline.memorized,
    ):
        with pytest.raises(NotMemorizedError, match="memorize or load first"):
            attempt()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"ret_hit": 0}, "ret_hit is 0"), ({"ret_hit": 101}, "1 to 100"), ({"retrieval_chunk_size": 15}, "16 tokens")],
)
def test_arguments_out_of_range_are_refused_before_loading(options, words):
    for pipeline in (MemoRAG, MemoRAGLite):
        with pytest.raises(InputError, match=words):
            pipeline("no/such-model", "no/such-model", **options)
    with pytest.raises(InputError, match="auto, extractive, abstractive"):
        MemoRAGLite("no/such-model", gist_mode="poetic")


def test_chunks_are_never_longer_than_the_retriever_reads(tiny_model, encoder):
    assert MemoRAGLite(tiny_model, encoder, retrieval_chunk_size=4000).memorizer.chunk_size == encoder.max_tokens
    small = MemoRAGLite(tiny_model, encoder, retrieval_chunk_size=64)
    small.memorize(filler(0, 5))
    assert 32 < max(chunk.tokens for chunk in small.memorized.chunks) <= 64


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


def test_the_corpus_can_be_forgotten_after_each_call(tiny):
    pipeline = tiny.fork()
    events_of(pipeline, context=SHORT, task_type="rag", reset_each_call=True)
    assert not pipeline.is_memorized


def test_a_stopped_answer_raises_and_keeps_the_corpus(tiny):
    for after in (Clues, Evidence, Token):
        stop, seen = Stop(), []
        with pytest.raises(Cancelled):
            for event in tiny.stream(QUESTION, max_new_tokens=500, stop=stop):
                seen.append(event)
                if isinstance(event, after):
                    stop.set()
        assert isinstance(seen[-1], after | Evidence)
        assert tiny.is_memorized


# Bundles


@pytest.fixture
def bundle(tiny, tmp_path):
    tiny.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_memorising_saves_where_it_is_told(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(OTHER, save_dir=str(tmp_path / "other"))
    again = tiny.fork()
    again.load(str(tmp_path / "other"))
    assert again.memorized.documents == pipeline.memorized.documents
    assert events_of(again)[-1].text == events_of(pipeline)[-1].text


def test_a_bundle_without_memory_is_small_loads_and_answers_the_same(tiny, tmp_path, bundle):
    tiny.save(tmp_path / "small", with_memory=False)
    assert not (tmp_path / "small" / storage.MEMORY).exists()
    pipeline, seen = tiny.fork(), []
    pipeline.load(tmp_path / "small", on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising"}
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


@pytest.mark.parametrize("with_memory", [True, False])
def test_a_bundle_serves_any_memory_model(tiny, tmp_path, tiny_folder_of, encoder, hardware32, with_memory):
    tiny.save(tmp_path / "bundle", with_memory)
    other, seen = MemoRAGLite(Model(str(tiny_folder_of("qwen3")), hardware=hardware32), encoder), []
    other.load(tmp_path / "bundle", on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising"}, "gists are read again, the text is not"
    assert other.memorized.gists == tiny.memorized.gists
    fresh = MemoRAGLite(other.model, encoder)
    fresh.memorize(SHORT)
    assert other.memorized.memory.answer(QUESTION, 12) == fresh.memorized.memory.answer(QUESTION, 12)


def test_gists_are_made_shorter_for_a_memory_model_with_a_small_window(tiny, tmp_path, tiny_model_dir, hardware32):
    pipeline = tiny.fork()
    pipeline.memorize(filler(0, 40), save_dir=tmp_path / "bundle")
    folder = tmp_path / "small"
    shutil.copytree(tiny_model_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1200}))
    other = MemoRAGLite(Model(str(folder), hardware=hardware32), tiny.encoder)
    other.load(tmp_path / "bundle")
    assert sum(map(other.model.count_tokens, (g.text for g in other.memorized.gists))) <= other.memorizer.budget < 200
    assert sum(map(tiny.model.count_tokens, (g.text for g in pipeline.memorized.gists))) > 400
    assert events_of(other)[-1].evidence


def test_the_manifest_names_all_that_the_bundle_depends_on(tiny, bundle):
    manifest = json.loads((bundle / storage.MANIFEST).read_text("utf-8"))
    assert manifest["memory_model"] == {"name": tiny.model.name, "fingerprint": tiny.model.fingerprint}
    assert manifest["retriever"] == {"name": tiny.encoder.name, "fingerprint": tiny.encoder.fingerprint}
    assert manifest["prompts"] == tiny.memorized.memory.prompts.digest
    assert manifest["tokenizer"] == tiny.model.tokenizer_name
    assert manifest["chunking"] == {"tokens": tiny.memorizer.chunk_size, "tokenizer": tiny.encoder.name}
    assert manifest["versions"]["torch"] == torch.__version__
    assert set(manifest["versions"]) >= {"torch", "transformers", "safetensors", "sentence-transformers", "faiss-cpu"}
    assert str(bundle.parent) not in json.dumps(manifest)


def test_a_memory_made_with_other_prompts_is_read_anew(tiny, bundle):
    read = storage.read(bundle)
    manifest = {**read.manifest, "prompts": "0" * 16}
    storage.write(bundle, {k: v for k, v in manifest.items() if k != "files"}, read.chunks, read.index, read.memory)
    pipeline, seen = tiny.fork(), []
    pipeline.load(bundle, on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising"}
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


def test_a_bundle_of_another_retriever_is_refused_with_both_named(tiny, bundle):
    read = storage.read(bundle)
    manifest = {**read.manifest, "retriever": {"name": "some/encoder", "fingerprint": "0123456789abcdef"}}
    storage.write(bundle, {k: v for k, v in manifest.items() if k != "files"}, read.chunks, read.index, read.memory)
    both = rf"some/encoder \(0123456789abcdef\).*{tiny.encoder.name} \({tiny.encoder.fingerprint}\)"
    with pytest.raises(BundleError, match=both):
        tiny.fork().load(bundle)


def test_a_bundle_is_memory_mapped(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(SHORT, save_dir=tmp_path / "bundle")
    pipeline.load(tmp_path / "bundle")
    maps = Path("/proc/self/maps").read_text()
    assert str((tmp_path / "bundle" / storage.MEMORY).resolve()) in maps


def test_a_bundle_of_the_other_pipeline_is_refused(tiny_model, encoder, bundle):
    with pytest.raises(BundleError, match="made by 'memorag-lite', not by 'memorag'"):
        MemoRAG(tiny_model, encoder).load(bundle)


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.CHUNKS, storage.INDEX, storage.MEMORY])
def test_a_damaged_bundle_is_refused_and_what_was_held_stays(tiny, bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    pipeline = tiny.fork()
    pipeline.memorize(OTHER)
    before = pipeline.memorized
    with pytest.raises(BundleError):
        pipeline.load(bundle)
    assert pipeline.memorized is before


def test_a_bundle_whose_text_was_exchanged_is_refused(tiny, bundle):
    read = storage.read(bundle)
    chunks = json.loads(json.dumps(read.chunks).replace("Marrick", "Merrick"))
    storage.write(bundle, {k: v for k, v in read.manifest.items() if k != "files"}, chunks, read.index, read.memory)
    with pytest.raises(BundleError, match=r"holds the text \w{12}, but \w{12} is the one that was memorised"):
        tiny.fork().load(bundle)


def test_a_missing_bundle_is_refused(tiny, tmp_path):
    with pytest.raises(BundleError, match="There is no bundle in 'nowhere'"):
        tiny.fork().load(tmp_path / "nowhere")


def test_a_bundle_can_be_moved(tiny, bundle, tmp_path):
    moved = shutil.move(bundle, tmp_path / "elsewhere")
    pipeline = tiny.fork()
    pipeline.load(moved)
    assert pipeline.memorized.documents == tiny.memorized.documents


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
    passages = evidence_of(chinese, question).passages
    best = max(passages, key=lambda passage: passage.score)
    assert fact in best.text
    assert best.found_by == ("question",)


def test_a_chinese_corpus_is_asked_and_answered_in_chinese(chinese):
    assert chinese.stats["language"].startswith("zh")
    generator = Scripted("第一位守塔人名叫马格努斯。[99]")
    events = events_of(chinese.with_generator(generator), "守塔人叫什么名字？")
    assert "问题：守塔人叫什么名字？" in generator.prompts[0]
    number = next(passage.number for passage in events[1].passages if "马格努斯" in passage.text)
    assert events[-1].text == f"第一位守塔人名叫马格努斯。 [{number}]"
