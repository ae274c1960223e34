"""The services behind an API, and what they report as failure as the engine's errors, each in a sentence.

The only place that knows the openai client's exceptions. What a service says in prose is never repeated: it may quote
the prompt or the key.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import (
    ContextLengthError,
    GeneratorError,
    KeyRejectedError,
    MemoRAGError,
    RateLimitError,
)

if TYPE_CHECKING:
    from openai import APIConnectionError, APIError, OpenAIError

_TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum context|(prompt|input) is too long", re.IGNORECASE)
# How DeepSeek and OpenRouter say that they gave up in the middle of an answer.
_ABANDONED = ("insufficient_system_resource", "error")
_NO_ROOM = re.compile(r"output limit was reached", re.IGNORECASE)
# An unknown model comes with status 400 from DeepSeek (in prose) and from the router of Hugging Face (by code).
_UNKNOWN_MODEL = re.compile(r"model[ _](does )?not[ _](exist|found|supported)", re.IGNORECASE)
_MOVED = range(300, 400)


@dataclass(frozen=True)
class Service:
    """What differs between services. ``keys_at`` is empty where no key is needed."""

    label: str
    address: str
    keys_at: str
    length_field: str = "max_tokens"
    model_kind: str = "model"

    def key(self, given: str) -> str:
        """Return the API key to send, which is empty where none is given and none is needed.

        Raises:
            KeyRejectedError: there is none, or it can be no real one.
        """
        if not given and self.keys_at:
            raise KeyRejectedError(f'{self.label} needs an API key in api_dict["api_key"]; get it at {self.keys_at}.')
        if not re.fullmatch(r"[!-~]*", given):
            raise KeyRejectedError(
                'api_dict["api_key"] holds a space or a character that no API key has. Copy it again.'
            )
        return given


SERVICES = {
    "openai": Service(
        "OpenAI", "https://api.openai.com/v1", "https://platform.openai.com/api-keys", "max_completion_tokens"
    ),
    "azure": Service(
        "Azure OpenAI", "", '"Keys and Endpoint" in the Azure portal', "max_completion_tokens", "deployment"
    ),
    "deepseek": Service("DeepSeek", "https://api.deepseek.com", "https://platform.deepseek.com/api_keys"),
    "huggingface": Service(
        "Hugging Face", "https://router.huggingface.co/v1", "https://huggingface.co/settings/tokens"
    ),
    "compatible": Service("The server", "", ""),
}


# Every failure: the error it is raised as, and its sentence.
_FAILURES: Mapping[str, tuple[type[MemoRAGError], str]] = {
    "key": (KeyRejectedError, "{label} did not accept the API key for {model} (status {status}).{where}"),
    "forbidden": (
        KeyRejectedError,
        "{label} does not let this API key use {model} from here (status {status}): it lacks a permission, or the "
        "service is not offered in this region.{where}",
    ),
    "quota": (RateLimitError, "The quota of this API key is used up. Check the plan and billing at {host}."),
    "busy": (RateLimitError, "{label} asks to wait: too many requests or tokens. Try again in a minute."),
    "model": (GeneratorError, "{host} knows no {kind_of_model} {model}. Check the name and the address."),
    "moved": (
        GeneratorError,
        "{host} sends requests on to another address, which is not followed. Give that address; often it begins with "
        "https.",
    ),
    "filter": (GeneratorError, "The content filter of {host} refused the question or the answer. Rephrase it."),
    "long": (ContextLengthError, "The prompt is too long for {model}. Use fewer or shorter passages."),
    "no room": (
        GeneratorError,
        "{model} used up its tokens before writing an answer. Allow more (max_new_tokens).",
    ),
    "silent": (
        GeneratorError,
        "{host} sent nothing for {seconds:g} seconds. Try again later, or set a longer timeout.",
    ),
    "unreachable": (GeneratorError, "The connection to {host} failed. Check the address and the network."),
    "certificate": (
        GeneratorError,
        "No safe connection to {host}: it has no valid certificate, or speaks no https. Check the address.",
    ),
    "broken off": (GeneratorError, "The connection to {host} broke off in the middle of the answer. Ask again."),
    "abandoned": (GeneratorError, "{host} broke off the answer, being too busy or in trouble. Try again later."),
    "trouble": (GeneratorError, "{host} reported an error {when}. Try again later, or choose another model."),
    "format": (GeneratorError, "{host} sent no chat completion. Check the address: most end in /v1."),
}


@dataclass(eq=False)
class Failure(Exception):  # noqa: N818 - never raised itself: the cause of the engine's error
    """Which failure it was, for callers that have sentences of their own. ``kind`` is a key of ``FAILURE_KINDS``.

    ``status`` is that of the response, None where it came within a stream or there was none. ``seconds`` is how long
    the service may be silent.
    """

    kind: str
    source: str
    host: str
    model: str
    seconds: float
    status: int | None = None

    @property
    def error(self) -> MemoRAGError:
        """The engine's error, in a sentence."""
        kind, sentence = _FAILURES[self.kind]
        service = SERVICES[self.source]
        keys = f" Keys are found at {service.keys_at}." if service.keys_at else " Give the key that it asks for."
        return kind(
            sentence.format(
                label=service.label,
                host=self.host,
                model=self.model,
                kind_of_model=service.model_kind,
                seconds=self.seconds,
                status=self.status,
                when="while answering" if self.status is None else f"(status {self.status})",
                where=keys,
            )
        )


FAILURE_KINDS = tuple(_FAILURES)


def failure_of(error: BaseException) -> Failure | None:
    """Return what failed at a service, where that is why ``error`` was raised."""
    return error.__cause__ if isinstance(error.__cause__, Failure) else None


@dataclass
class Answering:
    """How far an answer has come."""

    is_written: bool = False


@dataclass(frozen=True)
class Translator:
    """Turns failures of one service into the engine's errors; its fields are what the sentences name."""

    source: str
    host: str
    model: str
    timeout: float

    @contextmanager
    def translated(self) -> Iterator[Answering]:
        """Turn the client's exceptions into the engine's, in this one place, each keeping its cause.

        The block notes in what is yielded that some of the answer was written.
        """
        from openai import OpenAIError

        answering = Answering()
        try:
            yield answering
        except OpenAIError as error:
            failure = self._failure(*_kind(error, answering))
            failure.__cause__ = error
            raise failure.error from failure
        except ValueError as error:  # neither JSON nor UTF-8
            failure = self._failure("format")
            failure.__cause__ = error
            raise failure.error from failure

    def check_ending(self, finish: str | None, is_written: bool) -> None:
        """Raise where an answer ended censored or abandoned, or never began."""
        kind = None
        if finish == "content_filter":
            kind = "filter"
        elif finish in _ABANDONED:
            kind = "abandoned"
        elif finish == "length" and not is_written:
            kind = "no room"
        elif finish is None and not is_written:
            kind = "format"
        if kind is not None:
            failure = self._failure(kind)
            raise failure.error from failure

    def _failure(self, kind: str, status: int | None = None) -> Failure:
        return Failure(kind, self.source, self.host, self.model, self.timeout, status)


def _kind(error: OpenAIError, answering: Answering) -> tuple[str, int | None]:
    """Return the kind of a failure, and the status of the response where there was one."""
    from openai import APIConnectionError, APIError, APITimeoutError

    if isinstance(error, APITimeoutError):
        return "silent", None
    if isinstance(error, APIConnectionError):
        return _connection(error, answering), None
    if isinstance(error, APIError):
        status = getattr(error, "status_code", None)
        return _refusal(error, status), status
    return "trouble", None


def _connection(error: APIConnectionError, answering: Answering) -> str:
    if answering.is_written:
        return "broken off"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "certificate"
        cause = cause.__cause__ or cause.__context__
    return "unreachable"


def _refusal(error: APIError, status: int | None) -> str:
    """Name the reason of a refusal; ``status`` is None for one that arrives within a stream."""
    by_status = {401: "key", 402: "quota", 403: "forbidden", 404: "model", 405: "format", 413: "long"}
    if "insufficient_quota" in (error.code, error.type):
        return "quota"
    if status in by_status:
        return by_status[status]
    if status == 429 or error.code == "429":  # within a stream the status is told as a code
        return "busy"
    if status in _MOVED:
        return "moved"
    if error.code == "content_filter":
        return "filter"
    return _told_in_words(f"{error.code} {error.type} {error.message} {error.body}")


def _told_in_words(words: str) -> str:
    """Name a reason that servers give in words only. The words are never repeated: they may quote the prompt."""
    if _TOO_LONG.search(words):
        return "long"
    if _NO_ROOM.search(words):
        return "no room"
    return "model" if _UNKNOWN_MODEL.search(words) else "trouble"
