"""A generator behind an API: OpenAI, Azure OpenAI, DeepSeek, Hugging Face, or any OpenAI-compatible server.

``Agent`` has the generate and stream of ``Model``, so a pipeline takes either. Every answer is streamed and read by a
helper thread: a silent server, a slow connection or a pause before a retry never delays a stop, and stopping closes
the connection, which ends the work on the server too.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from engine.api_chat import Chat, Messages, Piece, Prompt, Usage, Wish, conversations, messages_of
from engine.api_client import Door
from engine.api_errors import SERVICES, Translator, failure_of
from engine.api_models import model_names
from engine.errors import GeneratorError, InputError
from engine.events import Reply, Stop

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")

_TICK = 0.1  # seconds between two looks at a stop
# Estimated tokens from which a common beginning is worth waiting for: the shortest that OpenAI's cache keeps.
_CACHEABLE = 1024
_ESTIMATED_TOKEN = re.compile(r"[0-9]|[\x00-/:-\x7f]{1,3}|[^\x00-\x7f]")


class Agent:
    """A generator behind an API. Safe to share between threads.

    ``source`` is "openai", "azure", "deepseek", "huggingface" or "compatible" (vLLM, llama.cpp, ...). ``api_dict``
    holds ``api_key`` and, where wanted, ``base_url``; "compatible" needs ``base_url`` and takes the key as optional;
    "azure" needs ``azure_endpoint`` (or ``endpoint``), takes ``api_version``, and its ``model`` is the deployment's
    name. ``context_length`` is the model's window in tokens. ``timeout`` is the longest silence of the service in
    seconds; ``max_retries`` counts further attempts after a lost connection, a silence, or status 408, 409, 429, 5xx,
    all before the first piece of an answer: what was begun is never asked again. ``concurrency`` is the number of
    requests that are under way at the same time.

    A prompt is a text, or a conversation: a list of messages with "role" and "content". Messages are sent in order and
    verbatim, so that prompts that begin alike can share what the service keeps of their beginning (its prefix cache).

    Raises InputError for a source, field, number or address that cannot be used, and KeyRejectedError for a missing
    key; both at construction, without touching the network.
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
        concurrency: int = 4,
    ) -> None:
        if source not in SERVICES:
            raise InputError(f"Unknown source {source!r}. Accepted: {', '.join(SERVICES)}.")
        if not model.strip():
            raise InputError("The model's name is empty. Give the name that the service knows it by.")
        if concurrency < 1:
            raise InputError(f"concurrency is {concurrency}; give 1 or more.")
        self.name = model.strip()
        self.source = source
        self.temperature = temperature
        self.context_length = context_length
        self.concurrency = concurrency
        self.is_able = True  # models behind an API are large enough for whole passages
        self._door = Door(source, api_dict or {}, timeout, max_retries)
        self._chat = Chat(SERVICES[source], self.name)
        self._errors = Translator(source, self._door.host, self.name, timeout)
        self._usage = Usage()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, source={self.source!r}, host={self._door.host!r}, api_key='***')"

    @property
    def reason(self) -> str:
        """Which model this is, and why."""
        return f"{self.name} at {self._door.host}, as asked for"

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the service, its host or the model's name; never with the key."""
        return hashlib.sha256(f"{self.source}\n{self._door.host}\n{self.name}".encode()).hexdigest()[:16]

    @property
    def usage(self) -> Usage:
        """Tokens reported by the service so far, summed over all requests; a service that reports none adds none."""
        return self._usage

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of ``text`` without asking the service; meant to be too high rather than too low.

        Up to three neighbouring ASCII characters, a digit, or one character of any other script, count as one token.
        English prose has about 4 characters a token and Chinese 1 to 1.5, and many models read digits one by one; only
        long runs of symbols, and rare scripts, exceed the estimate.
        """
        return sum(1 for _ in _ESTIMATED_TOKEN.finditer(text))

    def token_spans(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return for each text the character spans of the tokens that ``count_tokens`` counts."""
        return [[token.span() for token in _ESTIMATED_TOKEN.finditer(text)] for text in texts]

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        max_new_tokens: int = 256,
        temperature: float | None = None,
        stop: Stop | None = None,
    ) -> list[str]:
        """Return the texts of ``replies``."""
        return [reply.text for reply in self.replies(prompts, max_new_tokens, temperature, stop)]

    def replies(
        self,
        prompts: Prompt | Sequence[Prompt],
        max_new_tokens: int = 256,
        temperature: float | None = None,
        stop: Stop | None = None,
    ) -> list[Reply]:
        """Answer every prompt with a request of its own, ``concurrency`` at a time; the replies come in order.

        The first failure, or a stop, ends the other requests. Where conversations share a long beginning, the first is
        answered alone, so that the others find that beginning in the service's prefix cache. Arguments and errors are
        those of ``stream``.
        """
        asked, wish = conversations(prompts), self._wish(max_new_tokens, temperature)
        stop = stop or Stop()
        stop.check()
        return list(_in_thread(self._together(asked, wish), stop)) if asked else []

    def stream(
        self,
        prompt: Prompt,
        max_new_tokens: int = 256,
        temperature: float | None = None,
        stop: Stop | None = None,
    ) -> Iterator[str]:
        """Yield the answer to ``prompt`` in pieces of text. ``temperature`` None means the agent's own.

        Closing the iterator, or setting ``stop``, closes the connection within a fraction of a second.

        Raises InputError (an empty prompt or an impossible setting), Cancelled (stopped), KeyRejectedError,
        RateLimitError (too many requests, or the quota is used up), ContextLengthError (prompt too long), and
        GeneratorError for everything else that ends without an answer, or in the middle of one.
        """
        asked, wish = messages_of(prompt), self._wish(max_new_tokens, temperature)
        stop = stop or Stop()
        stop.check()
        for piece in _in_thread(self._alone(asked, wish), stop):
            if piece.text:
                yield piece.text

    def check(self, stop: Stop | None = None) -> None:
        """Test address, key and model with a request for one token. Raises what ``stream`` raises."""
        try:
            self.generate("Hello", max_new_tokens=1, stop=stop)
        except GeneratorError as error:
            failure = failure_of(error)
            # Reasoning models write nothing with so few tokens: they did answer.
            if failure is None or failure.kind != "no room":
                raise

    def models(self, stop: Stop | None = None) -> list[str]:
        """Return the names of models that the service lists, at most some hundreds; Azure lists no deployments.

        Raises what ``stream`` raises; a service that has no list counts as one that knows no such model.
        """
        return [name for names in _in_thread(self._listed(), stop or Stop()) for name in names]

    def _wish(self, max_new_tokens: int, temperature: float | None) -> Wish:
        return Wish(max_new_tokens, self.temperature if temperature is None else temperature)

    async def _listed(self) -> AsyncIterator[list[str]]:
        if self.source != "azure":
            async with self._door.open() as client:
                with self._errors.translated():
                    names = await model_names(client)
            yield names

    async def _alone(self, messages: Messages, wish: Wish) -> AsyncIterator[Piece]:
        async with self._door.open() as client:
            async for piece in self._pieces(client, messages, wish):
                yield piece

    async def _together(self, asked: Sequence[Messages], wish: Wish) -> AsyncIterator[Reply]:
        """Yield the replies in order once all are there. However this ends, no request is left under way."""
        gate = asyncio.Semaphore(self.concurrency)
        async with self._door.open() as client:

            async def reply(messages: Messages) -> Reply:
                async with gate:
                    return await self._reply(client, messages, wish)

            first = 1 if self._share_a_cacheable_beginning(asked) else 0
            replies = [await reply(messages) for messages in asked[:first]]
            tasks = [asyncio.create_task(reply(messages)) for messages in asked[first:]]
            try:
                replies += await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        for answer in replies:
            yield answer

    def _share_a_cacheable_beginning(self, asked: Sequence[Messages]) -> bool:
        """Whether several conversations have the same first message, long enough for a prefix cache to keep."""
        beginnings = {(messages[0]["role"], messages[0]["content"]) for messages in asked}
        if len(asked) < 2 or len(beginnings) > 1 or any(len(messages) < 2 for messages in asked):
            return False
        return self.count_tokens(asked[0][0]["content"]) >= _CACHEABLE

    async def _reply(self, client: AsyncOpenAI, messages: Messages, wish: Wish) -> Reply:
        pieces = [piece async for piece in self._pieces(client, messages, wish)]
        # An answer that ended without a reason may have been cut as well.
        return Reply("".join(piece.text for piece in pieces), cut=pieces[-1].finish in ("length", None))

    async def _pieces(self, client: AsyncOpenAI, messages: Messages, wish: Wish) -> AsyncIterator[Piece]:
        """Yield the answer, at last a piece that says why it ended. Raises only errors of the engine."""
        finish: str | None = None
        usage = Usage()
        with self._errors.translated() as answering:
            async for piece in self._chat.pieces(client, messages, wish):
                finish, usage = piece.finish or finish, piece.usage or usage
                if piece.text:
                    answering.is_written = True
                    yield Piece(piece.text)
        with self._lock:
            self._usage += usage
        self._errors.check_ending(finish, answering.is_written)
        yield Piece(finish=finish)


def _in_thread(pieces: AsyncIterator[T], stop: Stop) -> Iterator[T]:
    """Yield ``pieces``, awaited in a helper thread. However this ends, ``pieces`` is cancelled and so cleans up.

    Raises Cancelled when ``stop`` is set, whatever ``pieces`` is waiting for.
    """
    inbox: queue.SimpleQueue[T | Exception | None] = queue.SimpleQueue()
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
    pieces: AsyncIterator[T], inbox: queue.SimpleQueue[T | Exception | None], abandoned: threading.Event
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
