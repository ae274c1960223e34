"""Agent against real HTTP servers on loopback: one that is scripted, and one that runs a real (tiny, random) model."""

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from engine.agent import Agent, Usage
from engine.errors import (
    Cancelled,
    ContextLengthError,
    GeneratorError,
    InputError,
    KeyRejectedError,
    RateLimitError,
)
from engine.events import Stop
from tests.openai_server import REFUSALS, openai_server

KEY = "sk-test-0123456789-SECRET"
PROMPT = "violet whales whistle"


@pytest.fixture
def server():
    with openai_server({"citer": "It is blue [1]."}) as running:
        yield running


def agent_for(server, model, source="compatible", **options):
    field = "azure_endpoint" if source == "azure" else "base_url"
    address = server.base_url.removesuffix("/v1") if source == "azure" else server.base_url
    options = {"max_retries": 0, "timeout": 5.0} | options
    return Agent(model, source, {"api_key": KEY, field: address}, **options)


# What is sent


@pytest.mark.parametrize(
    ("source", "length_field", "asks_usage"),
    [
        ("openai", "max_completion_tokens", True),
        ("azure", "max_completion_tokens", True),
        ("deepseek", "max_tokens", True),
        ("huggingface", "max_tokens", False),
        ("compatible", "max_tokens", False),
    ],
)
def test_each_source_sends_its_own_dialect(server, source, length_field, asks_usage):
    agent = agent_for(server, "echo", source, temperature=0.25)
    assert list(agent.stream(PROMPT, max_new_tokens=7)) == ["violet", " whales", " whistle"]
    (request,) = server.requests
    expected = {
        "model": "echo",
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0.25,
        "stream": True,
        length_field: 7,
    }
    if asks_usage:
        expected["stream_options"] = {"include_usage": True}
    assert request.body == expected
    if source == "azure":
        assert request.path == "/openai/deployments/echo/chat/completions?api-version=2024-10-21"
        assert request.headers["api-key"] == KEY
    else:
        assert request.path == "/v1/chat/completions"
        assert request.headers["authorization"] == f"Bearer {KEY}"


def test_the_upstream_name_of_the_azure_endpoint_and_a_chosen_version_are_understood(server):
    endpoint = server.base_url.removesuffix("/v1")
    agent = Agent("echo", "azure", {"api_key": KEY, "endpoint": endpoint, "api_version": "2025-01-01-preview"})
    assert agent.generate("hi") == ["hi"]
    assert server.requests[0].path.endswith("?api-version=2025-01-01-preview")


def test_a_compatible_server_needs_no_key(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-machine")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-machine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-machine")
    agent = Agent("echo", "compatible", {"base_url": server.base_url})
    assert agent.generate("hi") == ["hi"]
    assert "of-the-machine" not in str(server.requests[0].headers)


def test_a_call_may_choose_its_own_temperature(server):
    agent = agent_for(server, "echo", temperature=0.25)
    agent.generate("hi", temperature=0.0)
    assert server.requests[0].body["temperature"] == 0.0


def test_a_model_with_a_fixed_temperature_is_asked_again_without_one_and_only_once(server):
    agent = agent_for(server, "fixed-temperature")
    assert agent.generate(["one", "two"]) == ["one", "two"]
    assert ["temperature" in request.body for request in server.requests] == [True, False, False]


def test_generate_keeps_the_order_of_the_prompts_and_takes_a_single_one(server):
    agent = agent_for(server, "echo")
    prompts = [f"number {number}" for number in range(5)]
    assert agent.generate(prompts) == prompts
    assert agent.generate("just one") == ["just one"]
    assert agent.generate([]) == []


def test_text_of_any_script_arrives_whole(server):
    text = "“Où?” 红楼梦 🙂 नमस्ते\n\nline two"
    assert agent_for(server, "echo").generate(text) == [text]
    assert agent_for(server, "citer").generate(text) == ["It is blue [1]."]


def test_half_a_surrogate_pair_is_replaced_not_fatal(server):
    assert agent_for(server, "echo").generate("half \ud800 pair") == ["half ? pair"]


def test_malformed_events_are_passed_over(server):
    agent = agent_for(server, "odd", "openai")
    assert agent.generate("hi") == ["hi"]
    assert agent.usage == Usage(1, 1)


def test_a_failure_that_passes_is_tried_again(server):
    assert agent_for(server, "flaky", max_retries=1).generate("hi") == ["hi"]
    assert len(server.requests) == 2


# What is counted


def test_usage_adds_up_over_threads(server):
    agent = agent_for(server, "echo", "openai")
    assert agent.usage == Usage(0, 0)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: agent.generate(f"{number} b c"), range(16)))
    assert answers == [[f"{number} b c"] for number in range(16)]
    assert agent.usage == Usage(prompt_tokens=48, completion_tokens=48)


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("abc", 1), ("abcd", 2), ("红楼梦", 3), ("abc红楼", 3), ("\ud800", 1)]
)
def test_tokens_are_estimated_without_a_network(text, tokens):
    agent = Agent("m", "compatible", {"base_url": "http://127.0.0.1:9/v1"})
    assert agent.count_tokens(text) == tokens


def test_the_estimate_is_not_below_a_real_tokenizer(tiny_model):
    from transformers import AutoTokenizer

    text = "A small model was trained on a few sentences. " * 20
    real = len(AutoTokenizer.from_pretrained(tiny_model)(text)["input_ids"])
    agent = Agent("m", "compatible", {"base_url": "http://127.0.0.1:9/v1"})
    assert agent.count_tokens(text) >= real


# What goes wrong

ERRORS = {
    "wrong-key": (KeyRejectedError, "did not accept the API key .*401.*platform.openai.com"),
    "forbidden": (KeyRejectedError, "403"),
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
    "cut": (GeneratorError, "connection to 127.0.0.1 failed"),
    "not-json": (GeneratorError, "no chat completion"),
    "not-a-stream": (GeneratorError, "no chat completion"),
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


def test_every_refusal_of_the_server_is_covered():
    assert REFUSALS.keys() <= ERRORS.keys()


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


# What is refused before any network


@pytest.mark.parametrize("source", ["openai", "azure", "deepseek", "huggingface"])
@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_a_missing_key_is_refused_at_construction(source, key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    with pytest.raises(KeyRejectedError, match=r"api_key.*get it at"):
        Agent("m", source, {"api_key": key, "azure_endpoint": "https://name.openai.azure.com"})


@pytest.mark.parametrize("key", ["sk-one two", "sk-ключ", "sk-a\nsk-b"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key):
    with pytest.raises(KeyRejectedError) as caught:
        Agent("m", "openai", {"api_key": key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("m", "gemini"), "gemini.*openai, azure, deepseek, huggingface, compatible"),
        (("  ", "openai", {"api_key": KEY}), "name is empty"),
        (("m", "compatible"), "base_url"),
        (("m", "azure", {"api_key": KEY}), "azure_endpoint"),
        (("m", "openai", {"apikey": KEY}), "api_key, base_url"),
    ],
)
def test_unusable_arguments_are_refused(arguments, pattern):
    with pytest.raises(InputError, match=pattern) as caught:
        Agent(*arguments)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8000",
        "ftp://host/v1",
        "http://",
        "http://a..b/v1",
        "http://a b/v1",
        "http://host\n/v1",
        "http://[::1/v1",
        "http://host:port/v1",
        "http://host:65536/v1",
        "http://[1:2:3]/v1",
        "http://999.1.1.1/v1",
        "http://user:pass@host/v1",
        f"http://{'a' * 64}.com/v1",
    ],
)
def test_a_malformed_address_is_refused(address):
    with pytest.raises(InputError, match="full web address"):
        Agent("m", "compatible", {"base_url": address})


@pytest.mark.parametrize("address", ["http://[::1]:9/v1", "https://router.example.com", "HTTP://LOCALHOST:9/v1/"])
def test_a_usable_address_is_taken(address):
    Agent("m", "compatible", {"base_url": address})


def test_the_key_is_not_shown(server):
    agent = agent_for(server, "echo", "openai")
    assert KEY not in repr(agent)
    assert KEY not in str(vars(agent))
    assert repr(agent) == "Agent('echo', source='openai', host='127.0.0.1', api_key='***')"


def test_importing_the_module_does_not_import_the_client():
    code = "import sys, engine.agent; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


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
    import asyncio

    async def ask():
        return agent_for(server, "echo").generate("from a notebook")

    assert asyncio.run(ask()) == ["from a notebook"]


# A real model


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    """Folder of a Llama with 2 layers and random weights, and a tokenizer trained on a few sentences."""
    pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"])
    sentences = ["A small model was trained on a few sentences.", "Its weights are random and it says nothing true."]
    tokenizer.train_from_iterator(sentences * 10, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}"
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=fast.bos_token_id,
        eos_token_id=None,
        pad_token_id=fast.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("tiny")
    transformers.set_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model_server(tiny_model, tmp_path_factory):
    """Address of ``transformers serve``, running the tiny model in a process of its own."""
    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        pytest.skip("the model server needs transformers[serving]")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", tiny_model, "--device", "cpu"]
    log = tmp_path_factory.mktemp("log") / "serve.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_healthy(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(10)


def wait_until_healthy(process, port, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the model server did not start: {log.read_text(errors='replace')}")


def test_a_real_model_server_streams_real_tokens(model_server, tiny_model):
    agent = Agent(tiny_model, "compatible", {"base_url": model_server}, timeout=60.0)
    agent.check()
    assert agent.usage.completion_tokens == 1
    pieces = list(agent.stream("A small model", max_new_tokens=24))
    assert len(pieces) > 3
    assert agent.usage.completion_tokens == 25
    assert agent.usage.prompt_tokens > 0
    assert agent.generate("A small model", max_new_tokens=24) == ["".join(pieces)]  # temperature 0 repeats itself
    stop = Stop()
    endless = agent.stream("A small model", max_new_tokens=400, stop=stop)
    next(endless)
    stop.set()
    with pytest.raises(Cancelled):
        list(endless)
    with pytest.raises(GeneratorError, match="status 400"):
        Agent("another", "compatible", {"base_url": model_server}, max_retries=0).generate("hi")
