"""Agent against a real model server on loopback: llama.cpp with the embedded model, in a process of its own."""

import itertools
import json
import threading
import time
import urllib.request

import pytest

from engine.agent import Agent
from engine.errors import Cancelled, ContextLengthError, GeneratorError, KeyRejectedError
from engine.events import Reply, Stop
from tests.llama_server import llama_server, missing

pytestmark = [pytest.mark.models, pytest.mark.skipif(bool(missing()), reason=missing())]

STORY = "Write a long story about a lighthouse."
PRICES = " ".join(f"Item {number} costs {number * 7 % 50} coins." for number in range(150))


def agent_for(server, key="", **options):
    options = {"max_retries": 0, "timeout": 60.0, "context_length": 4096} | options
    return Agent("smollm2", "compatible", {"base_url": server.base_url, "api_key": key}, **options)


def about_prices(question):
    return [
        {"role": "user", "content": PRICES},
        {"role": "assistant", "content": "I have read it."},
        {"role": "user", "content": question},
    ]


def test_an_answer_arrives_in_pieces_and_is_counted(llama):
    agent = agent_for(llama)
    pieces = list(agent.stream(STORY, max_new_tokens=24))
    assert len(pieces) > 10
    assert agent.usage.completion_tokens == 24
    assert agent.usage.prompt_tokens > 10


def test_a_streamed_answer_is_the_one_that_the_server_gives_in_one_piece(llama):
    prompt = "What is the capital of Japan?"
    body = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 32,
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{llama.base_url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        whole = json.load(response)["choices"][0]["message"]["content"]
    agent = agent_for(llama)
    assert "Tokyo" in whole
    assert "".join(agent.stream(prompt, max_new_tokens=32)) == whole
    assert agent.generate(prompt, max_new_tokens=32) == [whole]


def test_several_prompts_are_answered_together_and_in_order(llama):
    capitals = {"Japan": "Tokyo", "Egypt": "Cairo", "Germany": "Berlin"}
    answers = agent_for(llama).generate([f"What is the capital of {land}?" for land in capitals], max_new_tokens=24)
    assert [city in answer for city, answer in zip(capitals.values(), answers, strict=True)] == [True] * 3


def test_the_earlier_turns_of_a_conversation_are_heard(llama):
    conversation = [
        {"role": "user", "content": "The password is marzipan."},
        {"role": "assistant", "content": "I will remember it."},
        {"role": "user", "content": "What is the password?"},
    ]
    agent = agent_for(llama)
    assert "marzipan" in agent.generate(conversation, max_new_tokens=16)[0]
    assert "marzipan" in "".join(agent.stream(conversation, max_new_tokens=16))
    assert "marzipan" not in agent.generate("What is the password?", max_new_tokens=16)[0]


def test_a_long_beginning_that_was_read_once_is_not_read_again(llama):
    agent = agent_for(llama)
    agent.generate(about_prices("How much is item 3?"), max_new_tokens=4)
    first = agent.usage
    assert first.prompt_tokens > 1500
    assert first.cached_tokens < 100
    agent.generate(about_prices("And how much is item 9?"), max_new_tokens=4)
    again = agent.usage.prompt_tokens - first.prompt_tokens
    assert agent.usage.cached_tokens - first.cached_tokens > 0.95 * again


def test_the_estimate_of_tokens_is_not_below_what_the_server_counts(llama):
    def read(text):
        agent = agent_for(llama)
        agent.generate(text, max_new_tokens=4)
        return agent.usage.prompt_tokens

    around = read("-") - 1  # what the chat template adds
    for text in (STORY * 20, PRICES[:2000]):
        assert agent_for(llama).count_tokens(text) >= read(text) - around


def test_an_answer_ends_at_its_limit_and_says_so(llama):
    agent = agent_for(llama)
    (cut,) = agent.replies(STORY, max_new_tokens=5)
    assert cut.cut
    assert agent.usage.completion_tokens == 5
    (whole,) = agent.replies("What is the capital of Japan?", max_new_tokens=64)
    assert whole == Reply(whole.text, cut=False)


def test_a_prompt_longer_than_the_window_is_refused_in_words(llama):
    with pytest.raises(ContextLengthError, match="prompt is too long for smollm2"):
        agent_for(llama).generate(PRICES * 4)


def test_a_server_with_a_key_refuses_others():
    with llama_server(context=256, key="sk-right") as server:
        agent_for(server, "sk-right").check()
        for key in ("sk-wrong", ""):
            with pytest.raises(KeyRejectedError, match=r"did not accept the API key .*401") as caught:
                agent_for(server, key).check()
            assert "sk-" not in str(caught.value)


def test_a_server_that_dies_while_answering_leaves_its_words_and_an_error():
    with llama_server() as server:
        pieces = agent_for(server, max_retries=2).stream(STORY, max_new_tokens=3000)
        begun = list(itertools.islice(pieces, 5))
        server.kill()
        since = time.perf_counter()
        with pytest.raises(GeneratorError, match=r"connection to 127\.0\.0\.1 (failed|broke off)"):
            begun.extend(pieces)
    assert time.perf_counter() - since < 5.0
    assert "".join(begun).strip()


def test_a_server_that_falls_silent_while_answering_times_out_naming_the_seconds():
    with llama_server() as server:
        pieces = agent_for(server, timeout=0.6).stream(STORY, max_new_tokens=3000)
        next(pieces)
        server.pause()
        with pytest.raises(GeneratorError, match=r"sent nothing for 0\.6 seconds"):
            list(pieces)


def test_a_stop_does_not_wait_for_a_silent_server_which_then_is_as_good_as_before():
    with llama_server() as server:
        agent, stop = agent_for(server), Stop()
        server.pause()
        threading.Timer(0.3, stop.set).start()
        began = time.perf_counter()
        with pytest.raises(Cancelled):
            agent.generate([STORY, STORY], stop=stop)
        assert 0.2 < time.perf_counter() - began < 1.5
        server.resume()
        assert agent.replies(STORY, max_new_tokens=4)[0].text
