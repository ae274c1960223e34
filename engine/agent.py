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
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from engine.api_errors import SERVICES, NoRoomError, Translator
from engine.errors import InputError
from engine.events import Stop

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

_TICK = 0.1  # seconds between two looks at a stop
_FIELDS = ("api_key", "base_url", "azure_endpoint", "api_version")
_AZURE_API_VERSION = "2024-10-21"
_ADDRESS = re.compile(
    r"https?://(?P<host>(?:[\w-]{1,63}\.)*[\w-]{1,63}|\[[\da-f:.]+\])(?::(?P<port>\d{1,5}))?(?:/[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class Usage:
    """Tokens that the service reported, summed over an agent's life. Servers that report none add nothing."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


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
        if source not in SERVICES:
            raise InputError(f"Unknown source {source!r}. Accepted: {', '.join(SERVICES)}.")
        if not model.strip():
            raise InputError("The model's name is empty. Give the name that the service knows it by.")
        self.name = model.strip()
        self.source = source
        self.temperature = temperature
        self.context_length = context_length
        self.is_able = True  # models behind an API are large enough for whole passages
        self._service = SERVICES[source]
        self._client, self._host = _client(source, _fields(api_dict or {}), timeout, max_retries)
        self._errors = Translator(self._service, self._host, self.name, timeout)
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
        with suppress(NoRoomError):
            self.generate("Hello", max_new_tokens=1)

    async def _pieces(self, prompt: str, max_new_tokens: int, temperature: float) -> AsyncIterator[str]:
        """Yield the answer; leave no open connection, and only engine errors, behind."""
        finish: str | None = None
        usage: Usage | None = None
        written = False
        with self._errors.translated():
            async with self._connect() as client:
                async for chunk in await self._open(client, prompt, max_new_tokens, temperature):
                    text, finish_here, usage_here = _read(chunk)
                    finish, usage = finish_here or finish, usage_here or usage
                    if text:
                        written = True
                        yield text
        self._add(usage or Usage())
        self._errors.check_ending(finish, written)

    def _connect(self) -> AsyncOpenAI:
        """Make a client for one request: connections belong to the event loop that opened them.

        An organisation or project named in the machine's environment is left out: it belongs to another key.
        """
        from openai import DefaultAsyncHttpxClient

        client = self._client.copy(http_client=DefaultAsyncHttpxClient(follow_redirects=False))
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
    address = fields.get(field, SERVICES[source].address)
    host = _host(address)
    if host is None:
        example = "https://NAME.openai.azure.com" if source == "azure" else "http://localhost:8000/v1"
        raise InputError(f'Source "{source}" needs a full web address in api_dict["{field}"], such as {example}.')
    key = SERVICES[source].key(fields.get("api_key", ""))
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
