"""Connections to generators behind APIs. Nothing is sent here, and only addresses of this machine are looked up."""

import logging
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo import text
from demo.generators import Connection, agent_of, check_address, connect, sentence
from engine import api_errors
from engine.api_errors import FAILURE_KINDS, Failure
from engine.errors import InputError, KeyRejectedError, MemoRAGError
from engine.settings import Secret
from tests.openai_server import REFUSALS, openai_server

KEY = Secret("sk-test-0123456789-SECRET")
PUBLIC = "https://8.8.8.8/v1"
PRIVATE = [
    "http://127.0.0.1:8000/v1",
    "http://localhost:8000/v1",
    "http://LOCALHOST/v1",
    "http://10.1.2.3/v1",
    "http://172.16.0.1/v1",
    "http://192.168.1.1/v1",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/v1",
    "http://0.0.0.0:8000/v1",
    "http://[::1]:8000/v1",
    "http://[::]/v1",
    "http://[fd00::1]/v1",
    "http://[fe80::1]/v1",
    "http://[::ffff:127.0.0.1]/v1",
    "http://2130706433/v1",
    "http://0x7f000001/v1",
    "http://0177.0.0.1/v1",
    "http://127.1/v1",
]
BAD = [
    "nonsense",
    "localhost:8000",
    "8.8.8.8/v1",
    "//8.8.8.8/v1",
    "ftp://8.8.8.8/v1",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "gopher://127.0.0.1:70/",
    "http://",
    "http:///v1",
    "http://:8000/v1",
    "http://[::1/v1",
    "http://8.8.8.8:99999/v1",
    "http://8.8.8.8:port/v1",
]


def test_the_local_model_needs_no_agent_whatever_else_is_given():
    assert connect(text.LOCAL, Connection(), False) is None
    assert connect(text.LOCAL, Connection("a model", KEY, "nonsense"), False) is None


@pytest.mark.parametrize("generator", ["", "gpt-4o", "Local", "OPENAI", None])
def test_an_unknown_generator_is_refused_with_those_there_are(generator):
    with pytest.raises(InputError) as refused:
        connect(generator, Connection("m", KEY, PUBLIC), True)
    known = ", ".join(text.GENERATORS)
    assert str(refused.value) == text.UNKNOWN_GENERATOR.format(generator=generator, known=known)


@pytest.mark.parametrize("generator", [name for name in text.GENERATORS if name != text.LOCAL])
def test_every_generator_on_offer_can_be_connected(generator):
    agent = connect(generator, Connection("some-model", KEY, PUBLIC), False)
    assert (agent.name, agent.source) == ("some-model", generator)


@pytest.mark.parametrize("generator", ["openai", "azure", "deepseek", "huggingface"])
@pytest.mark.parametrize("key", ["", "  \n"])
def test_a_missing_key_is_refused(generator, key):
    with pytest.raises(KeyRejectedError):
        connect(generator, Connection("some-model", Secret(key), PUBLIC), True)


def test_a_compatible_server_needs_no_key():
    assert connect("compatible", Connection("some-model", address=PUBLIC), False).name == "some-model"


@pytest.mark.parametrize("generator", ["azure", "compatible"])
@pytest.mark.parametrize("address", ["", "   "])
def test_azure_and_compatible_servers_need_an_address(generator, address):
    with pytest.raises(InputError):
        connect(generator, Connection("some-model", KEY, address), True)


@pytest.mark.parametrize("generator", ["azure", "compatible"])
def test_azure_and_compatible_servers_need_a_model(generator):
    with pytest.raises(InputError):
        connect(generator, Connection(" ", KEY, PUBLIC), True)


@pytest.mark.parametrize("generator", ["openai", "deepseek", "huggingface"])
def test_services_take_their_usual_model_and_ignore_an_address(generator):
    agent = connect(generator, Connection("", KEY, "http://127.0.0.1:1/v1"), False)
    assert agent.name == text.DEFAULT_MODELS[generator]
    assert "127.0.0.1" not in repr(agent)


def test_blanks_around_what_was_typed_do_not_matter():
    agent = connect("compatible", Connection(" m ", Secret(f" {KEY}\n"), f"  {PUBLIC} "), False)
    assert agent.name == "m"
    assert "8.8.8.8" in repr(agent)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_on_a_public_page(address):
    with pytest.raises(InputError) as refused:
        check_address(address, private_host=False)
    assert str(refused.value) == text.PRIVATE_ADDRESS


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_accepted_where_only_this_machine_reaches_the_page(address):
    check_address(address, private_host=True)


@pytest.mark.parametrize("generator", ["azure", "compatible"])
def test_connecting_checks_the_address(generator):
    connection = Connection("some-model", KEY, "http://localhost:8000/v1")
    assert connect(generator, connection, private_host=True).name == "some-model"
    with pytest.raises(InputError) as refused:
        connect(generator, connection, private_host=False)
    assert str(refused.value) == text.PRIVATE_ADDRESS


@pytest.mark.parametrize("address", [PUBLIC, "http://8.8.8.8:8000/v1", "https://[2001:4860:4860::8888]/v1"])
def test_a_public_address_is_accepted_everywhere(address):
    check_address(address, private_host=False)
    check_address(address, private_host=True)


@pytest.mark.parametrize("private_host", [True, False])
@pytest.mark.parametrize("address", BAD)
def test_what_is_no_web_address_is_refused_everywhere(address, private_host):
    with pytest.raises(InputError) as refused:
        check_address(address, private_host)
    assert str(refused.value) == text.BAD_ADDRESS.format(address=address)


@pytest.mark.parametrize("host", ["a\0b", "[fe80::1%25nowhere]"])
def test_a_host_that_cannot_be_looked_up_is_refused(host):
    with pytest.raises(InputError) as refused:
        check_address(f"http://{host}/v1", private_host=False)
    assert str(refused.value) == text.BAD_ADDRESS.format(address=f"http://{host}/v1")


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_a_host_that_no_name_server_could_know_is_refused(host):
    with pytest.raises(InputError):
        check_address(f"http://{host}/v1", private_host=False)


@pytest.mark.parametrize(
    "address", ["http://8.8.8.8@127.0.0.1/v1", "http://127.0.0.1#@8.8.8.8/v1", "http://127.0.0.1\\@8.8.8.8/v1"]
)
def test_an_address_with_two_readings_never_becomes_an_agent(address):
    with pytest.raises(InputError):
        connect("compatible", Connection("m", KEY, address), private_host=False)


def test_a_key_shows_in_no_repr():
    connection = Connection("some-model", KEY, PUBLIC)
    agent = connect("compatible", connection, False)
    assert KEY not in repr(connection) + str(connection) + f"{connection}" + repr(agent) + str(agent)
    assert "some-model" in repr(connection)


@pytest.mark.parametrize(
    ("generator", "model", "address"),
    [
        ("nobody", "m", PUBLIC),
        ("azure", "", PUBLIC),
        ("azure", "m", ""),
        ("azure", "m", "nonsense"),
        ("compatible", "", PUBLIC),
        ("compatible", "m", ""),
        ("compatible", "m", "ftp://8.8.8.8"),
        ("compatible", "m", "http://127.0.0.1"),
        ("compatible", "m", "http://8.8.8.8:99999/v1"),
    ],
)
def test_a_key_is_in_no_error_message_and_no_log(generator, model, address, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(MemoRAGError) as refused:
        connect(generator, Connection(model, KEY, address), private_host=False)
    assert KEY not in str(refused.value) + repr(refused.value) + caplog.text


@pytest.mark.parametrize("key", ["sk-ключ-0123456789", "sk-two words", "sk-line\nbreak"])
def test_a_key_that_can_be_none_is_refused_without_being_repeated(key):
    with pytest.raises(KeyRejectedError) as refused:
        connect("openai", Connection("", Secret(key)), True)
    assert key not in str(refused.value)


@pytest.mark.parametrize("generator", [name for name in text.GENERATORS if name != text.LOCAL])
def test_every_generator_streams_an_answer_from_where_its_service_is(generator, monkeypatch):
    with openai_server() as server:
        for source, service in api_errors.SERVICES.items():
            if service.address:
                monkeypatch.setitem(api_errors.SERVICES, source, replace(service, address=server.base_url))
        address = server.base_url.removesuffix("/v1") if generator == "azure" else server.base_url
        agent = connect(generator, Connection("echo", KEY, address), private_host=True)
        assert list(agent.stream("violet whales whistle", max_new_tokens=9)) == ["violet", " whales", " whistle"]
        (request,) = server.requests
    path = "/openai/deployments/echo/chat/completions" if generator == "azure" else "/v1/chat/completions"
    assert request.path.partition("?")[0] == path
    assert KEY in (request.headers.get("api-key"), request.headers.get("authorization", "").removeprefix("Bearer "))


# What a visitor is told when a service fails


@pytest.mark.parametrize("model", REFUSALS)
def test_every_refusal_is_said_with_what_to_do_and_without_key_or_question(model, caplog):
    with openai_server() as server, caplog.at_level(logging.DEBUG):
        agent = agent_of("compatible", Connection(model, KEY, server.base_url), private_host=True, max_retries=0)
        with pytest.raises(MemoRAGError) as refused:
            list(agent.stream("violet whales whistle"))
    said = sentence(refused.value)
    assert said is not None
    assert said.count(". ") >= 1, "what happened, and what to do"
    assert not any(word in said for word in (KEY, "violet", "api_dict", "max_new_tokens", "{"))
    assert KEY not in caplog.text


@pytest.mark.parametrize("code", ["en", "zh"])
@pytest.mark.parametrize("kind", FAILURE_KINDS)
@pytest.mark.parametrize("generator", ["azure", "compatible"])
def test_every_failure_can_be_said_for_every_service(generator, kind, code):
    error = Failure(kind, generator, "a.example", "some-model", 60.0, 500).error
    error.__cause__ = Failure(kind, generator, "a.example", "some-model", 60.0, 500)
    with text.speaking(code):
        said = sentence(error)
    assert said
    assert "{" not in said


def test_other_errors_are_left_to_others():
    assert sentence(InputError("The question is empty.")) is None


class Redirecting(BaseHTTPRequestHandler):
    """A server that sends every visitor on to ``target``."""

    target = ""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(307)
        self.send_header("Location", f"{self.target}/chat/completions")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        """Keep the test's output clean."""


def test_a_server_cannot_send_the_prompt_on_to_another_address():
    with openai_server({"citer": "Inside."}) as inner, ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as outer:
        Redirecting.target = inner.base_url
        thread = threading.Thread(target=outer.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            address = f"http://127.0.0.1:{outer.server_address[1]}/v1"
            agent = connect("compatible", Connection("citer", KEY, address), private_host=True)
            with suppress(MemoRAGError):
                list(agent.stream("A private text."))
        finally:
            outer.shutdown()
            thread.join()
        assert inner.requests == []
