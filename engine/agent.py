"""A generator behind an API: OpenAI, Azure OpenAI, DeepSeek, Hugging Face, or any OpenAI-compatible server.

``Agent`` has the generate and stream of ``Model``, so a pipeline takes either. Every answer is streamed and read by a
helper thread: a silent server, a slow connection or a pause before a retry never delays a stop, and stopping closes
the connection, which ends the work on the server too.
"""

from __future__ import annotations

import asyncio
import queue
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from engine.errors import (
    ContextLengthError,
    GeneratorError,
    InputError,
    KeyRejectedError,
    MemoRAGError,
    RateLimitError,
)
from engine.events import Stop

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI, AsyncStream, OpenAIError
    from openai.types.chat import ChatCompletionChunk

_TICK = 0.1  # seconds between two looks at a stop
_FIELDS = ("api_key", "base_url", "azure_endpoint", "api_version")
_AZURE_API_VERSION = "2024-10-21"
_ADDRESS = re.compile(
    r"https?://(?P<host>(?:[\w-]{1,63}\.)*[\w-]{1,63}|\[[\da-f:.]+\])(?::(?P<port>\d{1,5}))?(?:/[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum context|prompt is too long", re.IGNORECASE)
_NO_ROOM = re.compile(r"output limit was reached", re.IGNORECASE)


@dataclass(frozen=True)
class _Service:
    """What differs between services. ``keys_at`` is empty where no key is needed."""

    label: str
    address: str
    keys_at: str
    length_field: str = "max_tokens"
    reports_usage_on_request: bool = False


_SERVICES = {
    "openai": _Service(
        "OpenAI", "https://api.openai.com/v1", "https://platform.openai.com/api-keys", "max_completion_tokens", True
    ),
    "azure": _Service("Azure OpenAI", "", '"Keys and Endpoint" in the Azure portal', "max_completion_tokens", True),
    "deepseek": _Service(
        "DeepSeek", "https://api.deepseek.com", "https://platform.deepseek.com/api_keys", reports_usage_on_request=True
    ),
    "huggingface": _Service(
        "Hugging Face", "https://router.huggingface.co/v1", "https://huggingface.co/settings/tokens"
    ),
    "compatible": _Service("The server", "", ""),
}


@dataclass(frozen=True)
class Usage:
    """Tokens that the service reported, summed over an agent's life. Servers that report none add nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _NoRoomError(GeneratorError):
    """The model spent its tokens before it wrote anything, as reasoning models do with a small allowance."""


class Agent:
    """A generator behind an API. Safe to share between threads.

    ``source`` is "openai", "azure", "deepseek", "huggingface" or "compatible" (vLLM, llama.cpp, ...). ``api_dict``
    holds ``api_key`` and, where wanted, ``base_url``; "compatible" needs ``base_url`` and takes the key as optional;
    "azure" needs ``azure_endpoint`` (or ``endpoint``), takes ``api_version``, and its ``model`` is the deployment's
    name. ``context_length`` is the model's window in tokens. ``timeout`` is the longest silence of the service in
    seconds; ``max_retries`` counts further attempts after a lost connection, a silence, or status 408, 409, 429, 5xx.

    Raises InputError for a source, field or address that cannot be used, and KeyRejectedError for a missing key; both
    at construction, without touching the network.
    """

    def __init__(
        self,
        model: str,
        source: str = "openai",
        api_dict: Mapping[str, str] | None = None,
        temperature: float = 0.0,
        *,
        context_length: int = 128_000,
        timeout: float = 60.0,
        max_retries: int = 2,
    ) -> None:
        if source not in _SERVICES:
            raise InputError(f"Unknown source {source!r}. Accepted: {', '.join(_SERVICES)}.")
        if not model.strip():
            raise InputError("The model's name is empty. Give the name that the service knows it by.")
        self.name = model.strip()
        self.source = source
        self.temperature = temperature
        self.context_length = context_length
        self._service = _SERVICES[source]
        self._timeout = timeout
        self._client, self._host = _client(source, _fields(api_dict or {}), timeout, max_retries)
        self._takes_temperature = True
        self._usage = Usage()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, source={self.source!r}, host={self._host!r}, api_key='***')"

    @property
    def usage(self) -> Usage:
        """Tokens reported by the service so far."""
        return self._usage

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of ``text`` without asking the service; meant to be too high rather than too low.

        Three ASCII characters, or one of any other script, count as one token. English prose has about 4 characters
        a token and Chinese 1 to 1.5; only long runs of digits or symbols, and rare scripts, exceed the estimate.
        """
        narrow = len(text.encode("ascii", errors="ignore"))
        return -(-narrow // 3) + len(text) - narrow

    def generate(
        self,
        prompts: str | Sequence[str],
        max_new_tokens: int = 256,
        temperature: float | None = None,
        stop: Stop | None = None,
    ) -> list[str]:
        """Answer every prompt with one request each, in order. Arguments and errors are those of ``stream``."""
        prompts = [prompts] if isinstance(prompts, str) else prompts
        return ["".join(self.stream(prompt, max_new_tokens, temperature, stop)) for prompt in prompts]

    def stream(
        self,
        prompt: str,
        max_new_tokens: int = 256,
        temperature: float | None = None,
        stop: Stop | None = None,
    ) -> Iterator[str]:
        """Yield the answer to ``prompt`` in pieces of text. ``temperature`` None means the agent's own.

        Closing the iterator, or setting ``stop``, closes the connection within a fraction of a second.

        Raises Cancelled (stopped), KeyRejectedError, RateLimitError (too many requests, or the quota is used up),
        ContextLengthError (prompt too long), and GeneratorError for everything else that ends without an answer.
        """
        stop = stop or Stop()
        stop.check()
        warmth = self.temperature if temperature is None else temperature
        yield from _in_thread(self._pieces(prompt, max_new_tokens, warmth), stop)

    def check(self) -> None:
        """Test address, key and model with a request for one token. Raises what ``stream`` raises."""
        with suppress(_NoRoomError):
            self.generate("Hello", max_new_tokens=1)

    async def _pieces(self, prompt: str, max_new_tokens: int, temperature: float) -> AsyncIterator[str]:
        """Yield the answer; leave no open connection, and only engine errors, behind."""
        finish: str | None = None
        usage: Usage | None = None
        written = False
        with self._engine_errors():
            async with self._connect() as client:
                async for chunk in await self._open(client, prompt, max_new_tokens, temperature):
                    text, finish_here, usage_here = _read(chunk)
                    finish, usage = finish_here or finish, usage_here or usage
                    if text:
                        written = True
                        yield text
        self._add(usage or Usage())
        self._check_ending(finish, written)

    def _connect(self) -> AsyncOpenAI:
        """Make a client for one request: connections belong to the event loop that opened them.

        An organisation or project named in the machine's environment is left out: it belongs to another key.
        """
        from openai import DefaultAsyncHttpxClient

        client = self._client.copy(http_client=DefaultAsyncHttpxClient())
        client.organization = client.project = None
        return client

    async def _open(
        self, client: AsyncOpenAI, prompt: str, max_new_tokens: int, temperature: float
    ) -> AsyncStream[ChatCompletionChunk]:
        """Send the request; once more without a temperature where the model accepts only its own."""
        from openai import BadRequestError

        sendable = prompt.encode(errors="replace").decode()  # half a surrogate pair cannot be sent
        options: dict[str, Any] = {"model": self.name, "messages": [{"role": "user", "content": sendable}]}
        options[self._service.length_field] = max_new_tokens
        if self._service.reports_usage_on_request:
            options["stream_options"] = {"include_usage": True}
        if self._takes_temperature:
            options["temperature"] = temperature
        try:
            chunks: AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(**options, stream=True)
        except BadRequestError as error:
            if error.param != "temperature" or options.pop("temperature", None) is None:
                raise
            self._takes_temperature = False
            chunks = await client.chat.completions.create(**options, stream=True)
        return chunks

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self._usage = Usage(
                self._usage.prompt_tokens + usage.prompt_tokens, self._usage.completion_tokens + usage.completion_tokens
            )

    def _check_ending(self, finish: str | None, written: bool) -> None:
        """Raise where the stream ended with a censored answer, or without any."""
        if finish == "content_filter":
            raise self._filtered()
        if finish == "length" and not written:
            raise self._no_room()
        if finish is None and not written:
            raise self._wrong_format()

    @contextmanager
    def _engine_errors(self) -> Iterator[None]:
        """Turn the client's exceptions into the engine's, in this one place, each keeping its cause."""
        from openai import OpenAIError

        try:
            yield
        except OpenAIError as error:
            raise self._translate(error) from error
        except ValueError as error:  # neither JSON nor UTF-8
            raise self._wrong_format() from error

    def _translate(self, error: OpenAIError) -> MemoRAGError:
        from openai import APIConnectionError, APIError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return GeneratorError(
                f"{self._host} sent nothing for {self._timeout:g} seconds. Try again later, or set a longer timeout."
            )
        if isinstance(error, APIConnectionError):
            return GeneratorError(f"The connection to {self._host} failed. Check the address and the network.")
        if isinstance(error, APIError):
            return self._refusal(error, getattr(error, "status_code", None))
        return GeneratorError(f"The request to {self._host} failed ({type(error).__name__}).")

    def _refusal(self, error: APIError, status: int | None) -> MemoRAGError:
        """Name the reason of a refusal; ``status`` is None for one that arrives within a stream."""
        label, keys_at = self._service.label, self._service.keys_at
        if status in (401, 403):
            where = f" Keys are found at {keys_at}." if keys_at else ""
            return KeyRejectedError(f"{label} did not accept the API key for {self.name} (status {status}).{where}")
        if status == 402 or error.code == "insufficient_quota":
            return RateLimitError(f"The quota of this API key is used up. Check the plan and billing at {self._host}.")
        if status == 429:
            return RateLimitError(f"{label} asks to wait: too many requests or tokens. Try again in a minute.")
        if status == 404 or error.code == "model_not_found":
            kind = "deployment" if self.source == "azure" else "model"
            return GeneratorError(f"{self._host} knows no {kind} {self.name}. Check the name and the address.")
        if error.code == "content_filter":
            return self._filtered()
        return self._told_in_prose(f"{error.code} {error.type} {error.message}", status)

    def _told_in_prose(self, words: str, status: int | None) -> MemoRAGError:
        """Name a reason that servers give in words only. The words are never repeated: they may quote the prompt."""
        if _TOO_LONG.search(words):
            return ContextLengthError(f"The prompt is too long for {self.name}. Use fewer or shorter passages.")
        if _NO_ROOM.search(words):
            return self._no_room()
        when = "while answering" if status is None else f"(status {status})"
        return GeneratorError(f"{self._host} reported an error {when}. Try again later, or choose another model.")

    def _filtered(self) -> GeneratorError:
        return GeneratorError(f"The content filter of {self._host} refused the question or the answer. Rephrase it.")

    def _no_room(self) -> GeneratorError:
        return _NoRoomError(f"{self.name} used up its tokens before writing an answer. Allow more (max_new_tokens).")

    def _wrong_format(self) -> GeneratorError:
        return GeneratorError(f"{self._host} sent no chat completion. Check the address: most end in /v1.")


def _fields(api_dict: Mapping[str, str]) -> dict[str, str]:
    """Strip the fields and drop the blank ones. ``endpoint`` is an older name of ``azure_endpoint``."""
    named = {"azure_endpoint" if name == "endpoint" else name: value for name, value in api_dict.items()}
    if not named.keys() <= set(_FIELDS):
        raise InputError(f"api_dict has a field that is not known. Accepted: {', '.join(_FIELDS)}.")
    return {name: value.strip() for name, value in named.items() if value and value.strip()}


def _client(source: str, fields: Mapping[str, str], timeout: float, max_retries: int) -> tuple[AsyncOpenAI, str]:
    """Build the client, which alone keeps the key, and name its host. Opens no connection."""
    from openai import AsyncAzureOpenAI, AsyncOpenAI

    field = "azure_endpoint" if source == "azure" else "base_url"
    address = fields.get(field, _SERVICES[source].address)
    host = _host(address)
    if host is None:
        example = "https://NAME.openai.azure.com" if source == "azure" else "http://localhost:8000/v1"
        raise InputError(f'Source "{source}" needs a full web address in api_dict["{field}"], such as {example}.')
    key = _key(source, fields)
    if source == "azure":
        version = fields.get("api_version", _AZURE_API_VERSION)
        client: AsyncOpenAI = AsyncAzureOpenAI(
            azure_endpoint=address, api_key=key, api_version=version, timeout=timeout, max_retries=max_retries
        )
    else:
        client = AsyncOpenAI(base_url=address, api_key=key, timeout=timeout, max_retries=max_retries)
    return client, host


def _host(address: str) -> str | None:
    """Return the host of a web address, or None where the address is malformed."""
    parsed = _ADDRESS.fullmatch(address)
    if parsed is None or int(parsed["port"] or 0) > 65535:
        return None
    host = parsed["host"]
    try:
        if host.startswith("[") or host.rpartition(".")[2].isdigit():
            ip_address(host.strip("[]"))
    except ValueError:
        return None
    return host


def _key(source: str, fields: Mapping[str, str]) -> str:
    """Return the API key, or a placeholder where none is needed. Raises KeyRejectedError for none or no real one."""
    key, service = fields.get("api_key", ""), _SERVICES[source]
    if not key and service.keys_at:
        raise KeyRejectedError(f'{service.label} needs an API key in api_dict["api_key"]; get it at {service.keys_at}.')
    if not re.fullmatch(r"[!-~]*", key):
        raise KeyRejectedError('api_dict["api_key"] holds a space or a character that no API key has. Copy it again.')
    return key or "none"


def _read(chunk: ChatCompletionChunk) -> tuple[str, str | None, Usage | None]:
    """Return a chunk's text, finish reason and usage. Servers vary: what is missing or malformed says nothing."""
    text, finish, usage = "", None, None
    with suppress(AttributeError, TypeError):
        if chunk.usage:
            usage = Usage(int(chunk.usage.prompt_tokens), int(chunk.usage.completion_tokens))
    with suppress(AttributeError, TypeError, IndexError):
        finish = chunk.choices[0].finish_reason
        text = str(chunk.choices[0].delta.content or "")
    return text, finish, usage


def _in_thread(pieces: AsyncIterator[str], stop: Stop) -> Iterator[str]:
    """Yield ``pieces``, awaited in a helper thread. However this ends, ``pieces`` is cancelled and so cleans up.

    Raises Cancelled when ``stop`` is set, whatever ``pieces`` is waiting for.
    """
    inbox: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
    abandoned = threading.Event()
    threading.Thread(target=lambda: asyncio.run(_forward(pieces, inbox, abandoned)), name="agent", daemon=True).start()
    try:
        while True:
            stop.check()
            try:
                item = inbox.get(timeout=_TICK)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        abandoned.set()


async def _forward(
    pieces: AsyncIterator[str], inbox: queue.SimpleQueue[str | Exception | None], abandoned: threading.Event
) -> None:
    """Put every piece into ``inbox``, then None or what was raised; give up when ``abandoned``."""

    async def read() -> None:
        try:
            async for piece in pieces:
                inbox.put(piece)
            inbox.put(None)
        except Exception as error:
            inbox.put(error)

    reading = asyncio.create_task(read())
    while not (reading.done() or abandoned.is_set()):
        await asyncio.wait({reading}, timeout=_TICK)
    reading.cancel()
    await asyncio.wait({reading})
