"""Every way in which a service behind an API can fail, by a scripted HTTP server on loopback."""

import itertools
import socket

import pytest

from engine.agent import Agent
from engine.errors import ContextLengthError, GeneratorError, KeyRejectedError, RateLimitError
from tests.openai_server import FINISHES, KEY, REFUSALS, WHOLE, agent_for, openai_server

PROMPT = "violet whales whistle"


@pytest.fixture
def server():
    with openai_server() as running:
        yield running


# What goes wrong

ERRORS = {
    "wrong-key": (KeyRejectedError, "did not accept the API key .*401.*platform.openai.com"),
    "forbidden": (KeyRejectedError, "does not let .*403.*permission.*region.*platform.openai.com"),
    "no-money": (RateLimitError, "used up"),
    "unknown": (GeneratorError, "no model unknown"),
    "unknown-400": (GeneratorError, "no model unknown-400"),
    "quota": (RateLimitError, "used up"),
    "busy": (RateLimitError, "asks to wait"),
    "long": (ContextLengthError, "too long"),
    "long-prose": (ContextLengthError, "too long"),
    "filter": (GeneratorError, "content filter"),
    "thinker": (GeneratorError, "max_new_tokens"),
    "broken": (GeneratorError, "status 500"),
    "refuses": (GeneratorError, "status 400"),
    "filter-midway": (GeneratorError, "content filter"),
    "no-room": (GeneratorError, "max_new_tokens"),
    "error-midway": (GeneratorError, "while answering"),
    "cut": (GeneratorError, "connection to 127.0.0.1 broke off"),
    "not-json": (GeneratorError, "no chat completion"),
    "not-a-stream": (GeneratorError, "no chat completion"),
    "busy-midway": (RateLimitError, "asks to wait"),
    "gives-up": (GeneratorError, "broke off"),
    "whole-error": (GeneratorError, "while answering"),
    "whole-list": (GeneratorError, "no chat completion"),
    "whole-empty": (GeneratorError, "no chat completion"),
    "status-413": (ContextLengthError, "too long"),
    "status-405": (GeneratorError, "no chat completion"),
    "status-308": (GeneratorError, "another address, which is not followed"),
}


@pytest.mark.parametrize("model", ERRORS)
def test_every_failure_has_its_own_error_without_key_or_prompt(server, model):
    kind, pattern = ERRORS[model]
    agent = agent_for(server, model, "openai")
    with pytest.raises(kind, match=pattern) as caught:
        agent.generate(PROMPT)
    assert type(caught.value) is kind or model in ("thinker", "no-room")
    shown = f"{caught.value} {caught.value!r}"
    assert KEY not in shown
    assert not any(word in shown for word in PROMPT.split())
    if model in REFUSALS or model in ("error-midway", "cut", "not-json"):
        assert caught.value.__cause__ is not None


def test_every_bad_end_of_the_server_is_covered():
    assert REFUSALS.keys() | WHOLE.keys() <= ERRORS.keys()
    assert FINISHES.keys() <= ERRORS.keys() | {"cut-short", "no-reason"}


def test_what_came_before_a_failure_is_not_lost(server):
    pieces = agent_for(server, "filter-midway").stream(PROMPT)
    assert list(itertools.islice(pieces, 3)) == ["violet", " whales", " whistle"]
    with pytest.raises(GeneratorError, match="content filter"):
        next(pieces)


def test_an_unknown_azure_deployment_is_called_so(server):
    with pytest.raises(GeneratorError, match="no deployment unknown"):
        agent_for(server, "unknown", "azure").generate(PROMPT)


def test_a_silent_server_times_out_naming_the_seconds(server):
    with pytest.raises(GeneratorError, match=r"sent nothing for 0\.3 seconds"):
        agent_for(server, "silent", timeout=0.3).generate(PROMPT)


def test_a_server_that_is_not_there_is_named_by_its_host_only():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    agent = Agent("m", "compatible", {"base_url": f"http://127.0.0.1:{port}/secret/v1"}, max_retries=0)
    with pytest.raises(GeneratorError, match=r"connection to 127\.0\.0\.1 failed") as caught:
        agent.generate(PROMPT)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_check_passes_where_one_token_is_no_answer_and_fails_where_the_key_is_wrong(server):
    for model in ("echo", "no-room", "thinker"):
        agent_for(server, model, "openai").check()
        assert server.requests[-1].body["max_completion_tokens"] == 1
    with pytest.raises(KeyRejectedError):
        agent_for(server, "wrong-key").check()


# Trying again


@pytest.mark.parametrize("model", ["status-408", "status-409", "busy", "status-500", "status-503", "status-529"])
def test_a_failure_that_may_pass_is_tried_again(server, model):
    with pytest.raises(GeneratorError):
        agent_for(server, model, max_retries=2).generate("hi")
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "model", ["quota", "no-money", "wrong-key", "forbidden", "unknown", "long", "refuses", "status-413", "status-422"]
)
def test_a_failure_that_stays_is_not_tried_again(server, model):
    with pytest.raises((GeneratorError, ContextLengthError)):
        agent_for(server, model, max_retries=2).generate("hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize("model", ["flaky", "hangs-up"])
def test_what_passed_is_forgotten(server, model):
    assert agent_for(server, model, max_retries=1).generate("hi") == ["hi"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("model", ["cut", "error-midway", "busy-midway"])
def test_an_answer_that_broke_off_is_never_asked_for_again(server, model):
    pieces = agent_for(server, model, max_retries=2).stream(PROMPT)
    assert next(pieces) == "violet"
    with pytest.raises(GeneratorError):
        list(pieces)
    assert len(server.requests) == 1
