"""A real HTTP server on loopback that speaks the wire format of OpenAI's chat completions, for tests.

    with openai_server({"citer": "It is blue [1]."}) as server:
        agent = Agent("echo", "compatible", {"base_url": server.base_url})

The model's name selects what happens:

    echo            streams the prompt's words back, then the usage where it was asked for
    a name given in ``replies``    streams that text instead
    odd             sends several malformed events, then goes on like echo
    fixed-temperature    refuses any temperature, else like echo
    flaky           fails once with status 500, then like echo
    slow            sends one word, then nothing for as long as the client waits
    silent          sends nothing at all for as long as the client waits
    filter-midway, no-room, error-midway, cut, not-json, not-a-stream    end badly after status 200
    any name in REFUSALS    answers with that status and code

``server.requests`` holds what arrived; ``server.hung_up`` is set when a client leaves "slow" or "silent".
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# model: (status, code, message). KEY and PROMPT are filled in from the request: services do quote them.
REFUSALS = {
    "wrong-key": (401, "invalid_api_key", "Incorrect API key provided: KEY."),
    "forbidden": (403, "unsupported_country", "Key KEY may not be used here."),
    "no-money": (402, "invalid_request_error", "Insufficient Balance"),
    "unknown": (404, "DeploymentNotFound", "The model does not exist."),
    "unknown-400": (400, "model_not_found", "The requested model does not exist."),
    "quota": (429, "insufficient_quota", "You exceeded your current quota."),
    "busy": (429, "rate_limit_exceeded", "Rate limit reached."),
    "long": (400, "context_length_exceeded", "This prompt is long: PROMPT"),
    "long-prose": (400, 400, "This model's maximum context length is 4096 tokens. You sent PROMPT"),
    "filter": (400, "content_filter", "The prompt was filtered: PROMPT"),
    "thinker": (400, "invalid_request_error", "max_tokens or model output limit was reached."),
    "broken": (500, "internal", "Failed with key KEY on PROMPT"),
    "refuses": (400, "unsupported_parameter", "Bad request: PROMPT"),
}
ODD_EVENTS = (b"[1, 2]", b"5", b"null", b"{}", b'{"choices": 5}', b'{"choices": [5], "usage": 5}', b'{"choices": [{}]}')
_FINISHES = {"filter-midway": "content_filter", "no-room": "length"}


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass
class OpenAIServer:
    """What a test sees of the running server."""

    base_url: str = ""
    replies: Mapping[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)


@contextmanager
def openai_server(replies: Mapping[str, str] | None = None) -> Iterator[OpenAIServer]:
    """Run the server on a free port of 127.0.0.1. ``replies`` maps model names to the text they answer."""
    state = OpenAIServer(replies=replies or {})
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        state.base_url = f"http://127.0.0.1:{http.server_address[1]}/v1"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: OpenAIServer

    def log_message(self, format, *args):
        """Keep the test's output clean."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.state.requests.append(request)
        if not self.path.partition("?")[0].endswith("/chat/completions"):
            self.refuse(404, None, "No such path.")
        else:
            self.answer(request)

    def answer(self, request):
        model = request.body["model"]
        if model in REFUSALS:
            self.refuse(*REFUSALS[model])
        elif model == "fixed-temperature" and "temperature" in request.body:
            self.refuse(400, "unsupported_value", "Only the default (1) is supported.", "temperature")
        elif model == "flaky" and len(self.state.requests) == 1:
            self.refuse(500, None, "Once.")
        elif model == "silent":
            self.wait_for_hang_up()
        elif model == "not-a-stream":
            self.send(200, "text/html", b"<html>Welcome</html>")
        else:
            self.stream(request, self.state.replies.get(model, request.body["messages"][-1]["content"]))

    def stream(self, request, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        model, words = request.body["model"], text.split(" ")
        if model == "no-room":
            words = []
        for event in ODD_EVENTS if model == "odd" else ():
            self.chunk(b"data: " + event + b"\n\n")
        for number, word in enumerate(words):
            self.event({"choices": [{"index": 0, "delta": {"content": word if number == 0 else f" {word}"}}]})
            if number == 0 and self.ends_badly(model):
                return
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": _FINISHES.get(model, "stop")}]})
        if request.body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
            self.event({"choices": [], "usage": usage})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def ends_badly(self, model):
        """End the answer after its first word where the model's name asks for it."""
        if model == "slow":
            self.wait_for_hang_up()
        elif model == "cut":
            self.close_connection = True
        elif model == "error-midway":
            self.event({"error": {"message": f"Worker died with key {self.key()}", "code": 500}})
            self.chunk(b"")
        elif model == "not-json":
            self.chunk(b"data: {nonsense\n\n")
            self.chunk(b"")
        return model in ("slow", "cut", "error-midway", "not-json")

    def wait_for_hang_up(self):
        self.connection.settimeout(30)
        with suppress(ConnectionError):
            self.connection.recv(1)
        self.state.hung_up.set()
        self.close_connection = True

    def refuse(self, status, code, message, param=None):
        prompt = self.state.requests[-1].body["messages"][-1]["content"]
        message = message.replace("KEY", self.key()).replace("PROMPT", prompt)
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self.send(status, "application/json", json.dumps({"error": error}).encode())

    def key(self):
        return self.headers.get("Authorization", self.headers.get("api-key", "")).removeprefix("Bearer ")

    def send(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def event(self, event):
        envelope = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "test"}
        self.chunk(b"data: " + json.dumps(envelope | event).encode() + b"\n\n")

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()
