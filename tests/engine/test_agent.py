"""Agent against a scripted HTTP server on loopback: several prompts at once, counting and stopping."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.agent import Agent
from engine.api_chat import Usage
from engine.errors import Cancelled, GeneratorError
from engine.events import Stop
from tests.openai_server import agent_for, openai_server

PROMPT = "violet whales whistle"


@pytest.fixture
def server():
    with openai_server() as running:
        yield running


@pytest.fixture
def nowhere():
    """An agent that is never asked anything."""
    return Agent("m", "compatible", {"base_url": "http://127.0.0.1:9/v1"})


def test_a_call_may_choose_its_own_temperature(server):
    agent = agent_for(server, "echo", temperature=0.25)
    agent.generate("hi", temperature=0.0)
    assert server.requests[0].body["temperature"] == 0.0


# Several prompts at once


def test_several_prompts_are_answered_at_the_same_time_within_the_limit_and_in_order(server):
    prompts = [f"number {number}" for number in range(9)]
    agent = agent_for(server, "lingers", concurrency=3)
    assert agent.generate(prompts) == prompts
    assert max(request.beside for request in server.requests) == 2
    assert sorted(request.body["messages"][0]["content"] for request in server.requests) == prompts


def asking(question, beginning):
    return [{"role": "user", "content": beginning}, {"role": "user", "content": question}]


def test_the_first_of_several_with_a_long_common_beginning_goes_ahead_alone(server):
    prompts = [asking(f"number {number}", "What everyone reads. " * 200) for number in range(4)]
    assert agent_for(server, "lingers").generate(prompts) == [f"number {number}" for number in range(4)]
    assert server.requests[0].body["messages"] == prompts[0]
    assert [request.beside for request in server.requests] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    "prompts",
    [
        [asking("one", "short"), asking("two", "short")],
        [asking("one", "this" * 2000), asking("two", "that" * 2000)],
        ["long" * 2000, "long" * 2000],
    ],
    ids=["short", "different", "one-turn"],
)
def test_none_waits_for_a_beginning_that_no_cache_would_keep(server, prompts):
    agent_for(server, "lingers").generate(prompts)
    assert [request.beside for request in server.requests] == [0, 1]


def test_the_first_failure_ends_the_other_requests(server):
    began = time.perf_counter()
    with pytest.raises(GeneratorError, match="status 400"):
        agent_for(server, "picky", timeout=30.0).generate(["wait", "wait", "refuse this", "wait", "wait"])
    assert time.perf_counter() - began < 2.0
    assert server.hung_up.wait(1.0), "the other connections were left open"


def test_a_stop_ends_all_requests(server):
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        agent_for(server, "silent", timeout=30.0).replies(["one", "two", "three"], stop=stop)
    assert time.perf_counter() - began < 1.5
    assert server.hung_up.wait(1.0), "the connections were left open"


# What is counted


def test_usage_adds_up_over_threads(server):
    agent = agent_for(server, "echo", "openai")
    assert agent.usage == Usage(0, 0)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: agent.generate(f"{number} b c"), range(16)))
    assert answers == [[f"{number} b c"] for number in range(16)]
    assert agent.usage == Usage(prompt_tokens=48, completion_tokens=48)


ESTIMATES = [
    ("", 0),
    ("abc", 1),
    ("abcd", 2),
    ("in 1984", 5),
    ("红楼梦", 3),
    ("abc红楼", 3),
    ("a红b", 3),
    ("\ud800", 1),
]


@pytest.mark.parametrize(("text", "tokens"), ESTIMATES)
def test_tokens_are_estimated_without_a_network(nowhere, text, tokens):
    assert nowhere.count_tokens(text) == tokens


def test_the_spans_of_estimated_tokens_cover_each_text_without_gaps(nowhere):
    texts = [text for text, _ in ESTIMATES]
    for text, spans in zip(texts, nowhere.token_spans(texts), strict=True):
        assert len(spans) == nowhere.count_tokens(text)
        assert "".join(text[start:end] for start, end in spans) == text
        assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]


def test_the_fingerprint_names_service_host_and_model_but_not_the_key():
    def made(model="m", source="compatible", host="one.example", key="sk-a"):
        return Agent(model, source, {"base_url": f"https://{host}/v1", "api_key": key}).fingerprint

    assert made() == made(key="sk-b")
    assert len(made()) == 16
    assert int(made(), 16) > 0
    assert len({made(), made("n"), made(source="openai"), made(host="two.example")}) == 4


def test_an_agent_says_which_model_it_is_and_why(nowhere):
    assert nowhere.reason == "m at 127.0.0.1, as asked for"


# Stopping


@pytest.mark.parametrize("model", ["slow", "silent"])
def test_stop_is_noticed_within_a_second_while_the_server_hangs(server, model):
    stop = Stop()
    agent = agent_for(server, model, timeout=30.0)
    threading.Timer(0.5, stop.set).start()
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        agent.generate(PROMPT, stop=stop)
    assert 0.4 < time.perf_counter() - began < 1.5
    assert server.hung_up.wait(1.0), "the connection was left open"


def test_stop_is_noticed_during_the_pause_before_a_retry(server):
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        agent_for(server, "broken", max_retries=5).generate(PROMPT, stop=stop)
    assert time.perf_counter() - began < 1.3


def test_a_stop_between_pieces_ends_the_stream(server):
    stop = Stop()
    pieces = agent_for(server, "echo").stream(PROMPT, stop=stop)
    assert next(pieces) == "violet"
    stop.set()
    with pytest.raises(Cancelled):
        next(pieces)


def test_a_stop_set_before_sends_nothing(server):
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        agent_for(server, "echo").generate(PROMPT, stop=stop)
    assert server.requests == []


def test_closing_the_iterator_closes_the_connection(server):
    pieces = agent_for(server, "slow", timeout=30.0).stream(PROMPT)
    assert next(pieces) == "violet"
    pieces.close()
    assert server.hung_up.wait(1.0), "the connection was left open"


def test_no_thread_outlives_its_answer(server):
    agent = agent_for(server, "echo")
    agent.generate(["one", "two"])
    with pytest.raises(GeneratorError):
        agent_for(server, "broken").generate("three")
    deadline = time.monotonic() + 2.0
    while any(thread.name == "agent" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a helper thread is still running"
        time.sleep(0.02)


def test_an_agent_works_inside_a_running_event_loop(server):
    async def ask():
        return agent_for(server, "echo").generate("from a notebook")

    assert asyncio.run(ask()) == ["from a notebook"]
