"""What an Agent sends, to the letter, and what it refuses to send: a recording HTTP server is each service."""

import subprocess
import sys

import pytest

from engine.agent import Agent
from engine.errors import InputError, KeyRejectedError
from tests.openai_server import KEY, agent_for, openai_server

CONVERSATION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "violet whales whistle"}]
# What programs for OpenAI and Azure take from the machine's environment. None of it is meant for this engine.
ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-of-the-machine",
    "OPENAI_ADMIN_KEY": "sk-admin-of-the-machine",
    "OPENAI_ORG_ID": "org-of-the-machine",
    "OPENAI_PROJECT_ID": "project-of-the-machine",
    "OPENAI_BASE_URL": "http://of-the-machine.invalid/v1",
    "OPENAI_API_VERSION": "version-of-the-machine",
    "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer of-the-machine\napi-key: of-the-machine\nX-Own: of-the-machine\n"
    "User-Agent: of-the-machine\nHost: of-the-machine\nAccept: of-the-machine\nContent-Type: of-the-machine",
    "AZURE_OPENAI_API_KEY": "sk-of-the-machine",
    "AZURE_OPENAI_AD_TOKEN": "token-of-the-machine",
    "AZURE_OPENAI_ENDPOINT": "http://of-the-machine.invalid",
}


@pytest.fixture
def server():
    with openai_server() as running:
        yield running


# What is sent


@pytest.mark.parametrize("source", ["openai", "azure", "deepseek", "huggingface", "compatible"])
@pytest.mark.parametrize("environment", [{}, ENVIRONMENT], ids=["bare", "busy"])
def test_each_service_gets_its_own_dialect_whatever_the_environment_says(server, source, environment, monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    agent = agent_for(server, "echo", source, temperature=0.25)
    assert list(agent.stream(CONVERSATION, max_new_tokens=7)) == ["violet", " whales", " whistle"]
    (request,) = server.requests
    assert request.body == {
        "model": "echo",
        "messages": CONVERSATION,
        "temperature": 0.25,
        "max_completion_tokens" if source in ("openai", "azure") else "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    host = server.base_url.removeprefix("http://").removesuffix("/v1")
    assert dict(request.headers) == {
        "host": host,
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "content-type": "application/json",
        "content-length": request.headers["content-length"],
        "user-agent": "MemoRAG",
    } | ({"api-key": KEY} if source == "azure" else {"authorization": f"Bearer {KEY}"})
    if source == "azure":
        assert request.path == "/openai/deployments/echo/chat/completions?api-version=2024-10-21"
    else:
        assert request.path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("openai", "https://api.openai.com/v1"),
        ("deepseek", "https://api.deepseek.com"),
        ("huggingface", "https://router.huggingface.co/v1"),
    ],
)
def test_each_service_has_its_own_address(source, address, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://of-the-machine.invalid/v1")
    agent = Agent("m", source, {"api_key": KEY})
    assert str(agent._door.open().base_url).rstrip("/") == address


def test_the_older_name_of_the_azure_endpoint_and_a_chosen_version_are_understood(server):
    endpoint = server.base_url.removesuffix("/v1")
    agent = Agent("echo", "azure", {"api_key": KEY, "endpoint": endpoint, "api_version": "2025-01-01-preview"})
    assert agent.generate("hi") == ["hi"]
    assert server.requests[0].path.endswith("?api-version=2025-01-01-preview")


def test_a_compatible_server_needs_no_key_and_is_sent_none(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-machine")
    assert agent_for(server, "echo", key="").generate("hi") == ["hi"]
    assert "authorization" not in server.requests[0].headers


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
