"""A connection to a generator is tried out, by a real HTTP server on loopback."""

import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demo import offers, text
from demo.generators import Connection
from demo.offers import Given, try_out
from engine import api_errors
from engine.api_errors import FAILURE_KINDS
from engine.settings import Secret, Settings
from tests.openai_server import REFUSALS, openai_server

KEY = Secret("sk-test-0123456789-SECRET")
HERE, PUBLIC = Settings(), Settings(host="0.0.0.0")
NAMES = {"data": [{"id": name} for name in ("echo", "gpt-4o", "gpt-4o-mini", "text-embedding-3-large")]}
CHAT = ("echo", "gpt-4o", "gpt-4o-mini")


@pytest.fixture
def server():
    with openai_server(models=NAMES) as running:
        yield running


@pytest.fixture
def at_home(server, monkeypatch):
    """Let every service have its address at the test server."""
    for source, service in api_errors.SERVICES.items():
        if service.address:
            monkeypatch.setitem(api_errors.SERVICES, source, replace(service, address=server.base_url))
    return server


def to(server, model="echo", key=KEY):
    return Connection(model, key, server.base_url)


@pytest.mark.parametrize("generator", ["openai", "deepseek", "huggingface", "compatible"])
def test_a_connection_that_works_says_so_with_its_time_and_models(at_home, generator):
    outcome = try_out(generator, to(at_home), HERE)
    assert outcome.sentence.startswith(f"{text.NAMES[generator]} works: echo answered in ")
    assert outcome.models == CHAT
    assert outcome.model == "echo"
    assert 0 < outcome.seconds < 5
    assert outcome.digest == Given.of(generator, to(at_home)).digest
    chat, listed = at_home.requests
    assert (chat.path, listed.path) == ("/v1/chat/completions", "/v1/models")
    assert chat.body["stream"] is True
    assert 1 in (chat.body.get("max_tokens"), chat.body.get("max_completion_tokens"))
    assert chat.headers["authorization"] == listed.headers["authorization"] == f"Bearer {KEY}"


def test_azure_is_asked_at_its_deployment_and_for_no_list(server):
    outcome = try_out("azure", Connection("echo", KEY, server.base_url.removesuffix("/v1")), HERE)
    assert outcome.sentence.startswith("Azure OpenAI works: echo answered in ")
    assert outcome.models == ()
    (request,) = server.requests
    assert request.path.startswith("/openai/deployments/echo/chat/completions?api-version=")
    assert request.headers["api-key"] == KEY


def test_a_server_without_a_list_works_all_the_same(server):
    server.models = None
    outcome = try_out("compatible", to(server, key=Secret("")), HERE)
    assert outcome.sentence.startswith("OpenAI-compatible server works")
    assert outcome.models == ()


def test_the_only_model_of_a_server_is_taken(server):
    server.models = {"data": [{"id": "echo"}]}
    outcome = try_out("compatible", to(server, ""), HERE)
    assert (outcome.model, outcome.models) == ("echo", ("echo",))
    assert outcome.seconds is not None
    assert outcome.digest == Given.of("compatible", to(server)).digest


def test_of_several_models_the_visitor_chooses(server):
    outcome = try_out("compatible", to(server, ""), HERE)
    assert outcome.sentence == text.CHOOSE_MODEL.format(name=text.NAMES["compatible"], count=3)
    assert (outcome.seconds, outcome.models) == (None, CHAT)
    assert [request.path for request in server.requests] == ["/v1/models"]


@pytest.mark.parametrize("listed", [None, [], {"data": []}, {"data": 5}, "models", [{"id": "e\n"}, {"id": 5}, 5]])
def test_without_a_model_and_a_list_a_name_is_asked_for(server, listed):
    server.models = listed
    outcome = try_out("compatible", to(server, ""), HERE)
    assert outcome.sentence == text.NO_MODEL_LIST.format(name=text.NAMES["compatible"])


def test_an_unknown_model_is_answered_with_those_there_are_the_likest_first(at_home):
    at_home.models = [{"id": name} for name in ("a", "b", "c", "d", "unknown-2", "e", "f", "known")]
    outcome = try_out("openai", to(at_home, "unknown"), HERE)
    assert outcome.sentence == text.NO_SUCH_MODEL.format(
        name="OpenAI", model="unknown", models="unknown-2, known, a, b, c, d, and 2 more"
    )
    assert len(outcome.models) == 8


def test_a_server_that_knows_neither_model_nor_list_has_another_address(server):
    server.models = None
    outcome = try_out("compatible", to(server, "unknown"), HERE)
    assert outcome.sentence == text.NOTHING_THERE.format(name=text.NAMES["compatible"], model="unknown")


def test_an_unknown_deployment_is_called_so(server):
    outcome = try_out("azure", Connection("unknown", KEY, server.base_url.removesuffix("/v1")), HERE)
    assert "has no deployment unknown" in outcome.sentence


FAILURES = {
    "wrong-key": "did not accept the API key (status 401)",
    "forbidden": "does not let this key use forbidden (status 403)",
    "no-money": "quota of this API key is used up",
    "quota": "quota of this API key is used up",
    "busy": "asks to wait",
    "filter": "content filter",
    "long": "too long",
    "long-prose": "too long",
    "broken": "reported an error (status 500)",
    "refuses": "reported an error (status 400)",
    "not-a-stream": "no answer of a chat service",
    "status-308": "another address, which is not followed",
    "error-midway": "reported an error. Try",
    "cut": "broke off in the middle",
    "gives-up": "being too busy",
}


@pytest.mark.parametrize("model", FAILURES)
def test_every_failure_is_one_sentence_without_the_key(at_home, model, caplog):
    with caplog.at_level(logging.DEBUG):
        outcome = try_out("openai", to(at_home, model), HERE)
    assert FAILURES[model] in outcome.sentence
    assert outcome.seconds is None
    assert KEY not in f"{outcome!r} {caplog.text}"
    assert "\n" not in outcome.sentence
    # With "cut" no request for a list follows, nor for a key that is wrong.
    assert [request.path for request in at_home.requests] == ["/v1/chat/completions"]


def test_every_refusal_of_the_server_is_covered():
    assert REFUSALS.keys() - FAILURES.keys() <= {"unknown", "unknown-400", "thinker"}


@pytest.mark.parametrize("model", ["no-room", "thinker"])
def test_a_model_that_thinks_first_did_answer(server, model):
    assert try_out("compatible", to(server, model), HERE).seconds is not None


class Dripping(BaseHTTPRequestHandler):
    """A server that sends something all the time, and never an answer."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b": still there\n\n")
                time.sleep(0.05)

    def log_message(self, format, *args):
        """Keep the test's output clean."""


@pytest.fixture
def dripping():
    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["silent", "dripping"])
def test_a_server_that_does_not_answer_is_not_waited_for_long(server, dripping, kind, monkeypatch):
    monkeypatch.setattr(offers, "ANSWER_SECONDS", 0.3)
    began = time.monotonic()
    address = server.base_url if kind == "silent" else dripping
    outcome = try_out("compatible", Connection("silent", KEY, address), HERE)
    assert time.monotonic() - began < 2
    assert outcome.sentence == text.TEST_LATE.format(name=text.NAMES["compatible"], seconds="0.3")


def test_a_server_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = try_out("compatible", Connection("m", KEY, f"http://127.0.0.1:{port}/v1"), HERE)
    assert outcome.sentence == text.API_FAILURES["unreachable"].format(host="127.0.0.1")


def test_a_server_without_https_is_no_safe_one(server):
    address = server.base_url.replace("http:", "https:")
    outcome = try_out("compatible", Connection("m", KEY, address), HERE)
    assert outcome.sentence == text.API_FAILURES["certificate"].format(host="127.0.0.1")


def self_signed(path):
    """Write a certificate for 127.0.0.1 that is its own authority, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return path


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    certificate = self_signed(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).recv(1)

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        outcome = try_out("compatible", Connection("m", KEY, address), HERE)
        thread.join(5)
    assert outcome.sentence == text.API_FAILURES["certificate"].format(host="127.0.0.1")


@pytest.mark.parametrize(
    ("generator", "connection", "settings", "said"),
    [
        ("openai", Connection(), HERE, text.KEY_MISSING.format(name="OpenAI")),
        ("openai", Connection(key=Secret("sk two")), HERE, "Copy it again"),
        ("azure", Connection("m", KEY), HERE, text.ADDRESS_MISSING.format(name="Azure OpenAI")),
        ("compatible", Connection("m", KEY, "nonsense"), HERE, "give http://host:port/v1"),
        ("compatible", Connection("", KEY, "http://127.0.0.1/v1"), PUBLIC, text.PRIVATE_ADDRESS),
        ("compatible", Connection("m", KEY, "http://127.0.0.1/v1"), PUBLIC, text.PRIVATE_ADDRESS),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_sent(generator, connection, settings, said):
    outcome = try_out(generator, connection, settings)
    assert said in outcome.sentence
    assert outcome.seconds is None


def test_every_kind_of_failure_has_its_words():
    assert text.API_FAILURES.keys() == {*FAILURE_KINDS, "deployment"}
