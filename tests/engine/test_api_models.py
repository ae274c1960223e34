"""The models that a service lists, by a scripted HTTP server on loopback."""

import threading
import time

import pytest

from engine.api_errors import FAILURE_KINDS, SERVICES, Failure, failure_of
from engine.errors import Cancelled, GeneratorError, InputError, MemoRAGError
from engine.events import Stop
from tests.openai_server import KEY, agent_for, openai_server


@pytest.fixture
def server():
    with openai_server(models={"data": [{"id": "b"}, {"id": "A"}]}) as running:
        yield running


@pytest.mark.parametrize("source", ["openai", "deepseek", "huggingface", "compatible"])
def test_a_service_lists_its_models_in_alphabetical_order(server, source):
    assert agent_for(server, "m", source).models() == ["A", "b"]
    (request,) = server.requests
    assert request.path == "/v1/models"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"] == "MemoRAG"


def test_azure_lists_no_deployments_and_is_not_asked(server):
    assert agent_for(server, "m", "azure").models() == []
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["text-embedding-3-large", "whisper-1", "tts-1-hd", "dall-e-3", "BAAI/bge-m3", "sora-2"]
)
def test_models_for_other_uses_are_left_out(server, name):
    server.models = [{"id": name}, {"id": "gpt-4o"}]
    assert agent_for(server, "m").models() == ["gpt-4o"]


@pytest.mark.parametrize("name", ["gpt-4.1", "deepseek-chat", "meta-llama/Llama-3.1-8B-Instruct:fastest"])
def test_models_that_chat_are_kept(server, name):
    server.models = [{"id": name}]
    assert agent_for(server, "m").models() == [name]


@pytest.mark.parametrize(
    "listed",
    [{}, [], "a", 5, {"data": None}, {"data": {"id": "a"}}, [{"id": 5}, {"id": ["a"]}, {"id": ""}, {}, 5, None]],
)
def test_an_odd_list_gives_none(server, listed):
    server.models = listed
    assert agent_for(server, "m").models() == []


@pytest.mark.parametrize("name", ["a\nb", " a", "a" * 121, "\u202ea"])
def test_what_is_no_name_is_left_out(server, name):
    server.models = [{"id": name}, {"id": "fine"}]
    assert agent_for(server, "m").models() == ["fine"]


def test_a_long_list_is_cut(server):
    server.models = [{"id": f"model-{number}"} for number in range(1000)]
    assert len(agent_for(server, "m").models()) == 200


def test_a_service_without_a_list_says_so(server):
    server.models = None
    with pytest.raises(GeneratorError) as caught:
        agent_for(server, "m").models()
    assert failure_of(caught.value).kind == "model"


def test_asking_for_the_list_can_be_stopped(server):
    server.models_delay = 5.0
    stop = Stop()
    threading.Timer(0.2, stop.set).start()
    began = time.perf_counter()
    with pytest.raises(Cancelled):
        agent_for(server, "m", timeout=30.0).models(stop)
    assert time.perf_counter() - began < 1.0


# What a failure tells


@pytest.mark.parametrize("source", SERVICES)
@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_every_kind_of_failure_is_a_sentence_for_every_service(kind, source):
    error = Failure(kind, source, "api.example", "some-model", 60.0, 418).error
    assert isinstance(error, MemoRAGError)
    assert "{" not in str(error)
    assert str(error).endswith(".")


def test_a_failure_tells_what_it_was_and_whose(server):
    with pytest.raises(MemoRAGError) as caught:
        agent_for(server, "wrong-key", "deepseek", timeout=7.0).check()
    failure = failure_of(caught.value)
    assert (failure.kind, failure.source, failure.host) == ("key", "deepseek", "127.0.0.1")
    assert (failure.model, failure.status, failure.seconds) == ("wrong-key", 401, 7.0)
    assert KEY not in repr(failure)


def test_other_errors_are_no_failure_of_a_service():
    assert failure_of(InputError("The question is empty.")) is None


@pytest.mark.parametrize("words", ["Model Not Exist", "The model does not exist", "model_not_supported"])
def test_an_unknown_model_is_known_by_the_words_of_its_service(server, words):
    server.refusals["odd-words"] = (400, "invalid_request_error", words)
    with pytest.raises(GeneratorError, match="knows no model odd-words"):
        agent_for(server, "odd-words").check()
