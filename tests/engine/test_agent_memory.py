"""A memory behind an API: gists sent as an unchanging beginning, whose keys and values the server keeps."""

from __future__ import annotations

import json

import pytest

from engine.agent import Agent
from engine.agent_memory import AgentMemory
from engine.documents import Document
from engine.errors import ContextLengthError, GeneratorError, InputError, NotMemorizedError
from engine.events import Answer, Clue, Clues, Evidence, Stop
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from engine.prompt import en_prompts, zh_prompts
from tests.llama_server import llama_server, missing
from tests.openai_server import KEY, agent_for, openai_server

QUESTION = "Who was the first keeper?"
REPLY = "The keeper was Isolde Marrick.\n2. She kept the light for 31 years."
NOTES = "The tower was begun in 1867. The first keeper was Isolde Marrick. The door is saffron yellow."


@pytest.fixture
def server():
    with openai_server({"big": REPLY}) as running:
        yield running


@pytest.fixture
def memory(server):
    memory = AgentMemory(agent_for(server, "big"))
    memory.memorize(NOTES)
    return memory


def conversations(server) -> list[list[dict[str, str]]]:
    return [request.body["messages"] for request in server.requests]


# What is sent


def test_memorising_sends_nothing_and_asking_sends_one_conversation(server, memory):
    assert not server.requests
    assert memory.is_memorized
    memory.answer(QUESTION)
    (messages,) = conversations(server)
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert NOTES in messages[0]["content"]
    assert messages[1]["content"] == en_prompts.acknowledge
    assert messages[2]["content"] == en_prompts.qa.replace("{question}", QUESTION)


def test_every_question_begins_with_the_same_bytes(server, memory):
    memory.clues(QUESTION, 32, ("span", "surrogate", "draft"))
    memory.key_points()
    list(memory.stream_w_memory("And then?"))
    beginnings = {json.dumps(messages[:2]) for messages in conversations(server)}
    assert len(server.requests) == 5
    assert len(beginnings) == 1


def test_clues_are_cleaned_as_those_of_a_local_memory(memory):
    clues = memory.clues(QUESTION)
    assert clues == (
        Clue("span", "The keeper was Isolde Marrick."),
        Clue("span", "She kept the light for 31 years."),
    )


def test_a_chinese_memory_is_asked_in_chinese(server):
    memory = AgentMemory(agent_for(server, "big"))
    memory.memorize("灯塔建于一八七四年。", zh_prompts)
    memory.recall("灯塔建于何时？")
    assert "问题：灯塔建于何时？" in conversations(server)[0][2]["content"]


def test_what_cannot_be_memorised_or_asked_is_refused_before_anything_is_sent(server, memory):
    with pytest.raises(InputError, match="empty"):
        memory.memorize(" ")
    with pytest.raises(ContextLengthError, match=r"about \d+ tokens .* reads at most 2000"):
        AgentMemory(agent_for(server, "big", context_length=2000)).memorize("keeper " * 900)
    with pytest.raises(NotMemorizedError):
        AgentMemory(agent_for(server, "big")).answer(QUESTION)
    with pytest.raises(InputError, match="empty"):
        memory.generate_w_memory(" ")
    assert memory.context == NOTES
    assert not server.requests


# In a pipeline


@pytest.mark.models
def test_a_server_writes_the_gists_is_the_memory_and_answers(server, encoder):
    pipeline = MemoRAGLite(agent_for(server, "big"), encoder)
    pipeline.memorize([Document("a.txt", NOTES), Document("b.txt", NOTES.upper())])
    assert [gist.text for gist in pipeline.memorized.gists] == [
        "The keeper was Isolde Marrick.\n2. She kept the light for 31 years."
    ] * 2
    assert all(NOTES.casefold() in messages[0]["content"].casefold() for messages in conversations(server))
    events = list(pipeline.stream(QUESTION))
    assert isinstance(events[0], Clues)
    assert {clue.kind for clue in events[0].clues} == {"span"}
    assert isinstance(events[1], Evidence)
    assert isinstance(events[-1], Answer)
    assert "Isolde Marrick" in events[-1].text
    assert pipeline.stats["memory_tokens"] > 0


@pytest.mark.models
def test_the_key_and_the_address_never_reach_a_bundle(server, encoder, tmp_path):
    pipeline = MemoRAGLite(agent_for(server, "big"), encoder)
    pipeline.memorize(NOTES, save_dir=tmp_path / "bundle")
    data = b"".join(path.read_bytes() for path in (tmp_path / "bundle").iterdir())
    assert KEY.encode() not in data
    assert b"127.0.0.1" not in data
    assert not (tmp_path / "bundle" / "memory.bin").exists()


@pytest.mark.models
def test_a_bundle_goes_from_a_server_to_a_local_memory_and_back(server, encoder, tiny_model, tmp_path):
    remote, local = MemoRAGLite(agent_for(server, "big"), encoder), MemoRAGLite(tiny_model, encoder)
    remote.memorize(NOTES, save_dir=tmp_path / "remote")
    local.load(tmp_path / "remote")
    assert local.memorized.gists == remote.memorized.gists
    assert local.memorized.memory.tokens > 0
    local.save(tmp_path / "local")
    sent = len(server.requests)
    again = remote.fork()
    again.load(tmp_path / "local")
    assert len(server.requests) == sent, "nothing is written anew"
    assert again.memorized.memory.context == remote.memorized.memory.context


@pytest.mark.models
def test_a_failing_server_loses_nothing(server, encoder):
    pipeline = MemoRAGLite(agent_for(server, "big", max_retries=0), encoder)
    pipeline.memorize(NOTES)
    held = pipeline.memorized
    broken = MemoRAGLite(Agent("big", "compatible", {"base_url": "http://127.0.0.1:9/v1"}, max_retries=0), encoder)
    with pytest.raises(GeneratorError, match=r"connection to 127\.0\.0\.1 failed"):
        broken.memorize(NOTES)
    assert not broken.is_memorized
    with pytest.raises(GeneratorError):
        pipeline.with_generator(broken.generator)(QUESTION)
    assert pipeline.memorized is held


@pytest.mark.models
@pytest.mark.parametrize("kind", [MemoRAG, MemoRAGLite])
def test_an_agent_is_the_generator_of_either_pipeline(kind, server, encoder, tiny_model):
    pipeline = kind(tiny_model, encoder, customized_gen_model=agent_for(server, "big"))
    pipeline.memorize(NOTES)
    answer = next(event for event in pipeline.stream(query=QUESTION) if isinstance(event, Answer))
    assert answer.text.startswith("The keeper was Isolde Marrick. [1]")
    assert len(server.requests) == 1, "the memory is local"
    assert NOTES in conversations(server)[0][0]["content"]


def test_an_agent_cannot_read_raw_text_into_a_memory(server):
    with pytest.raises(InputError, match=r"memory model is Agent; .* memory of MemoRAGLite"):
        MemoRAG(agent_for(server, "big"))


# With a real model behind the API


@pytest.mark.models
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_servers_prefix_cache_does_what_the_kv_memory_does(llama, encoder, lighthouse):
    agent = Agent(
        "smollm2", "compatible", {"base_url": llama.base_url}, context_length=4096, max_retries=0, concurrency=1
    )
    pipeline = MemoRAGLite(agent, encoder, gist_mode="extractive")
    pipeline.memorize(lighthouse)
    assert agent.usage.prompt_tokens == 0, "sentences are chosen here"
    memory = pipeline.memorized.memory
    memory.answer("Who was the first keeper of the light?", 16)
    first = agent.usage
    assert first.prompt_tokens > 400
    memory.answer("What colour is the door of the tower?", 16)
    asked = agent.usage.prompt_tokens - first.prompt_tokens
    cached = agent.usage.cached_tokens - first.cached_tokens
    assert cached > 0.9 * (asked - 40), "all but the question comes from the server's cache"


@pytest.mark.models
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_real_server_can_be_everything(llama, encoder, lighthouse):
    agent = Agent("smollm2", "compatible", {"base_url": llama.base_url}, context_length=4096, max_retries=0)
    pipeline = MemoRAGLite(agent, encoder)
    pipeline.memorize(lighthouse[:1200])
    (gist,) = pipeline.memorized.gists
    assert gist.text
    events = list(pipeline.stream("How many steps must a visitor climb?", max_new_tokens=32))
    assert events[-1].evidence
    assert events[-1].text
    assert agent.usage.completion_tokens > 0


@pytest.mark.models
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_server_that_dies_between_two_questions_is_told_and_the_corpus_stays(encoder):
    with llama_server(context=2048) as server:
        agent = Agent("smollm2", "compatible", {"base_url": server.base_url}, context_length=2048, max_retries=0)
        pipeline = MemoRAGLite(agent, encoder, gist_mode="extractive")
        pipeline.memorize(NOTES)
        assert pipeline(QUESTION, max_new_tokens=16)
        server.kill()
        with pytest.raises(GeneratorError):
            pipeline(QUESTION, max_new_tokens=16)
        assert pipeline.is_memorized


@pytest.mark.models
def test_a_stop_ends_gists_that_a_server_writes(server, encoder):
    stop = Stop()
    stop.set()
    pipeline = MemoRAGLite(agent_for(server, "big"), encoder)
    with pytest.raises(Exception, match="Stopped"):
        pipeline.memorize(NOTES, stop=stop)
    assert not server.requests
