"""A real HTTP server on loopback that speaks the wire format of OpenAI's chat completions, for tests.

    with openai_server({"citer": "It is blue [1]."}) as server:
        agent = agent_for(server, "echo")

The model's name selects what happens:

    echo            streams the last message's words back, then the usage where it was asked for
    a name given in ``replies``    streams that text instead
    odd             sends several malformed events, then goes on like echo
    lingers         takes a moment before it goes on like echo
    remembers, remembers-otherwise    report the half of the prompt as cached, in two dialects
    a name in REFUSED_FIELDS    refuses a request with that field, else like echo
    flaky, hangs-up    fail once with status 500, or without an answer, then like echo
    slow            sends one word, then nothing for as long as the client waits
    silent          sends nothing at all for as long as the client waits
    picky           refuses prompts with the word "refuse", else like silent
    a name in FINISHES    ends with that reason; no-room also without a word
    error-midway, busy-midway, cut, not-json, not-a-stream    end badly after status 200
    whole           answers in one JSON document; a name in WHOLE with that very document
    any name in REFUSALS, or status-NNN    answers with that status and code

GET .../models answers with ``models`` as JSON, after ``models_delay`` seconds, and without it with status 404.
``refusals`` may be given more.

``server.requests`` holds what arrived; ``server.hung_up`` is set when a client leaves "slow", "silent" or "picky".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine.agent import Agent

KEY = "sk-test-0123456789-SECRET"
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
FINISHES = {
    "filter-midway": "content_filter",
    "no-room": "length",
    "cut-short": "length",
    "gives-up": "insufficient_system_resource",
    "no-reason": None,
}
# model: (field, status, whether the refusal names the field in a place of its own)
REFUSED_FIELDS = {
    "fixed-temperature": ("temperature", 400, True),
    "no-usage": ("stream_options", 400, True),
    "no-extras": ("stream_options", 422, False),
    "new-words": ("max_tokens", 400, True),
    "old-words": ("max_completion_tokens", 400, True),
}
WHOLE: dict[str, Any] = {
    "whole-error": {"error": {"message": "Worker died.", "code": "worker"}},
    "whole-list": [1, 2],
    "whole-empty": {},
}


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names in lower case. ``beside`` counts the lingering ones at that time."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    beside: int = 0


@dataclass
class OpenAIServer:
    """What a test sees of the running server."""

    base_url: str = ""
    replies: Mapping[str, str] = field(default_factory=dict)
    models: Any = None
    models_delay: float = 0.0
    refusals: dict[str, Any] = field(default_factory=lambda: dict(REFUSALS))
    requests: list[Request] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    lingering: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def openai_server(replies: Mapping[str, str] | None = None, models: Any = None) -> Iterator[OpenAIServer]:
    """Run the server on a free port of 127.0.0.1. ``replies`` maps model names to the text they answer."""
    state = OpenAIServer(replies=replies or {}, models=models)
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


def agent_for(server, model, source="compatible", key=KEY, **options):
    """Return an agent that asks ``server``, at first without second attempts and with little patience."""
    field = "azure_endpoint" if source == "azure" else "base_url"
    address = server.base_url.removesuffix("/v1") if source == "azure" else server.base_url
    options = {"max_retries": 0, "timeout": 5.0} | options
    return Agent(model, source, {"api_key": key, field: address}, **options)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: OpenAIServer

    def log_message(self, format, *args):
        """Keep the test's output clean."""

    def handle(self):
        with suppress(ConnectionError):  # clients may leave at any time
            super().handle()

    def do_GET(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.state.requests.append(Request(self.path, headers, {}))
        time.sleep(self.state.models_delay)
        if self.state.models is None or not self.path.endswith("/models"):
            self.send_json(404, {"error": {"message": "No such path.", "code": None}})
        else:
            self.send_json(200, self.state.models)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.state.lock:
            request = Request(self.path, headers, body, self.state.lingering)
            self.state.requests.append(request)
            self.state.lingering += body["model"] == "lingers"
        model, field = body["model"], REFUSED_FIELDS.get(body["model"])
        if not self.path.partition("?")[0].endswith("/chat/completions"):
            self.refuse(request, 404, None, "No such path.")
        elif model in self.state.refusals:
            self.refuse(request, *self.state.refusals[model])
        elif model.startswith("status-"):
            self.refuse(request, int(model.removeprefix("status-")), None, "As asked for.")
        elif field and field[0] in request.body:
            self.refuse_field(request, *field)
        else:
            self.answer(request, model)

    def answer(self, request, model):
        prompt = request.body["messages"][-1]["content"]
        if model == "flaky" and len(self.state.requests) == 1:
            self.refuse(request, 500, None, "Once.")
        elif model == "hangs-up" and len(self.state.requests) == 1:
            self.close_connection = True
        elif model == "picky" and "refuse" in prompt:
            self.refuse(request, *REFUSALS["refuses"])
        elif model in ("silent", "picky"):
            self.wait_for_hang_up()
        elif model == "not-a-stream":
            self.send(200, "text/html", b"<html>Welcome</html>")
        elif model == "whole":
            message = {"role": "assistant", "content": prompt}
            choices = [{"index": 0, "message": message, "finish_reason": "length"}]
            self.send_json(200, {"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        elif model in WHOLE:
            self.send_json(200, WHOLE[model])
        else:
            if model == "lingers":
                self.linger()
            self.stream(request, self.state.replies.get(model, prompt))

    def linger(self):
        time.sleep(0.15)
        with self.state.lock:
            self.state.lingering -= 1

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
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": FINISHES.get(model, "stop")}]})
        if request.body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
            if model == "remembers":
                usage["prompt_tokens_details"] = {"cached_tokens": len(words) // 2}
            elif model == "remembers-otherwise":
                usage["prompt_cache_hit_tokens"] = len(words) // 2
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
        elif model == "busy-midway":
            self.event({"error": {"message": "Too many.", "code": 429}})
            self.chunk(b"")
        elif model == "not-json":
            self.chunk(b"data: {nonsense\n\n")
            self.chunk(b"")
        return model in ("slow", "cut", "error-midway", "busy-midway", "not-json")

    def wait_for_hang_up(self):
        self.connection.settimeout(30)
        with suppress(ConnectionError):
            self.connection.recv(1)
        self.state.hung_up.set()
        self.close_connection = True

    def refuse(self, request, status, code, message, param=None):
        prompt = request.body["messages"][-1]["content"]
        message = message.replace("KEY", self.key()).replace("PROMPT", prompt)
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        self.send_json(status, {"error": error}, request.body["model"])

    def refuse_field(self, request, field, status, names_it):
        if names_it:
            self.refuse(request, status, "unsupported_parameter", "This is not supported.", field)
        else:
            self.send_json(status, {"detail": [{"type": "extra_forbidden", "loc": ["body", field]}]})

    def key(self):
        return self.headers.get("Authorization", self.headers.get("api-key", "")).removeprefix("Bearer ")

    def send_json(self, status, value, model=""):
        self.send(status, "application/json; charset=utf-8", json.dumps(value).encode(), model)

    def send(self, status, content_type, body, model=""):
        self.send_response(status)
        if status >= 400 and model != "broken":  # the pauses after "broken" are the client's own
            self.send_header("Retry-After-Ms", "10")
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
