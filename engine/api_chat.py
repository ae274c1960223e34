"""One conversation put to a chat API, and the answer in pieces as they arrive.

Knows the wire format of chat completions and how services differ in it. Knows nothing of addresses, keys or threads.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.api_client import is_json
from engine.api_errors import Service
from engine.errors import InputError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

Conversation = Sequence[Mapping[str, str]]
Prompt = str | Conversation
Messages = list[dict[str, str]]

_ROLES = ("system", "developer", "user", "assistant")
# What the longest allowed answer is called: models of one service differ, and each refuses the other's word.
_OTHER_LENGTH = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True)
class Usage:
    """Tokens that a service reported. ``cached_tokens`` are those of the prompt it had read before and kept."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True)
class Piece:
    """A piece of an answer: text, why the answer ended, and its usage, each where the service sent it."""

    text: str = ""
    finish: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True)
class Wish:
    """How long and how varied an answer may be."""

    max_new_tokens: int
    temperature: float

    def __post_init__(self) -> None:
        if not self.max_new_tokens >= 1:
            raise InputError(f"max_new_tokens is {self.max_new_tokens}; give 1 or more.")
        if not 0.0 <= self.temperature <= 2.0:
            raise InputError(f"The temperature is {self.temperature}; give 0 (most certain) to 2 (most varied).")


def conversations(prompts: Prompt | Sequence[Prompt]) -> list[Messages]:
    """Return the messages of each prompt. A list of messages is one prompt: a conversation.

    Raises:
        InputError: a prompt is neither a text nor a conversation, or is empty.
    """
    is_one = isinstance(prompts, str) or not isinstance(prompts, Sequence) or _is_conversation(prompts)
    return [messages_of(prompt) for prompt in ([prompts] if is_one else prompts)]  # type: ignore[arg-type]


def messages_of(prompt: Prompt) -> Messages:
    """Return the messages to send, in order and verbatim, so that equal beginnings stay equal on the wire.

    Raises:
        InputError: the prompt is neither a text nor a conversation, or is empty.
    """
    turns: Conversation = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not _is_conversation(turns) or not all(_is_message(turn) for turn in turns):
        raise InputError(
            "A prompt is a text, or a list of messages that each have a role "
            f"({', '.join(_ROLES)}) and a text as content; give one of these."
        )
    if not turns[-1]["content"].strip():
        raise InputError("The prompt is empty; give some text.")
    # Half a surrogate pair cannot be sent.
    return [{"role": turn["role"], "content": turn["content"].encode(errors="replace").decode()} for turn in turns]


def _is_conversation(prompt: object) -> bool:
    return isinstance(prompt, Sequence) and bool(prompt) and all(isinstance(turn, Mapping) for turn in prompt)


def _is_message(turn: Mapping[str, str]) -> bool:
    return set(turn) == {"role", "content"} and turn["role"] in _ROLES and isinstance(turn["content"], str)


class Chat:
    """Phrases requests to one model the way its service takes them, and reads the answers.

    Optional fields that the service refuses are left out from then on. Safe to share between threads.
    """

    def __init__(self, service: Service, model: str) -> None:
        self._service, self._model = service, model
        self._refused: set[str] = set()

    async def pieces(self, client: AsyncOpenAI, messages: Messages, wish: Wish) -> AsyncIterator[Piece]:
        """Yield the answer to ``messages``. Raises the client's exceptions, and ValueError for malformed answers."""
        stream = await self._open(client, messages, wish)
        if is_json(stream.response):  # some servers do not stream, or not for every model
            yield _whole(stream)
            return
        async for chunk in stream:
            yield _read(chunk, "delta")

    async def _open(self, client: AsyncOpenAI, messages: Messages, wish: Wish) -> AsyncStream[ChatCompletionChunk]:
        """Send the request; again without a field that was refused, once for each such field."""
        from openai import BadRequestError, UnprocessableEntityError

        left_out: set[str] = set()
        while True:
            options = self._options(messages, wish)
            try:
                stream: AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(**options, stream=True)
            except (BadRequestError, UnprocessableEntityError) as error:
                field = _refused_field(error)
                if field is None or field not in options or field in left_out:
                    raise
                left_out.add(field)
                self._refused.add(field)
            else:
                return stream

    def _options(self, messages: Messages, wish: Wish) -> dict[str, Any]:
        length = self._service.length_field
        if length in self._refused:
            length = _OTHER_LENGTH[length]
        options: dict[str, Any] = {"model": self._model, "messages": messages, length: wish.max_new_tokens}
        if "temperature" not in self._refused:
            options["temperature"] = wish.temperature
        if "stream_options" not in self._refused:  # most servers report the usage of a stream only when asked to
            options["stream_options"] = {"include_usage": True}
        return options


def _refused_field(error: APIStatusError) -> str | None:
    """Return the field of the request that the service does not take, where a refusal is about one."""
    if error.param in ("temperature", "stream_options"):
        return error.param
    if error.param in _OTHER_LENGTH and error.code == "unsupported_parameter":
        return error.param
    return "stream_options" if "stream_options" in f"{error.message} {error.body}" else None


def _whole(stream: AsyncStream[ChatCompletionChunk]) -> Piece:
    """Return an answer that came in one piece instead of a stream. Raises ValueError where it is none."""
    from openai import APIError
    from openai.types.chat import ChatCompletion

    answer = json.loads(stream.response.content)
    if not isinstance(answer, dict):
        raise ValueError("a chat completion is a JSON object")
    if answer.get("error"):
        raise APIError("An error instead of an answer", stream.response.request, body=answer["error"])
    return _read(ChatCompletion.construct(**answer), "message")


def _read(answer: ChatCompletion | ChatCompletionChunk, message: str) -> Piece:
    """Return what an answer, or a chunk of one, says. What is missing or malformed says nothing: servers vary."""
    text, finish, usage = "", None, None
    with suppress(AttributeError, TypeError, ValueError):
        if answer.usage:
            usage = _usage(answer.usage)
    with suppress(AttributeError, TypeError, IndexError):
        choice = answer.choices[0]
        finish = choice.finish_reason
        text = str(getattr(choice, message).content or "")
    return Piece(text, finish, usage)


def _usage(reported: Any) -> Usage:  # noqa: ANN401 - its fields depend on the service
    cached = getattr(getattr(reported, "prompt_tokens_details", None), "cached_tokens", None)
    if cached is None:
        cached = getattr(reported, "prompt_cache_hit_tokens", None)  # the word of DeepSeek
    return Usage(int(reported.prompt_tokens), int(reported.completion_tokens), int(cached or 0))
