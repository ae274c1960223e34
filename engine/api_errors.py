"""The services behind an API, and what they report as failure as the engine's errors, each in a sentence.

The only place that knows the openai client's exceptions. What a service says in prose is never repeated: it may quote
the prompt or the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    from openai import APIError, OpenAIError

_TOO_LONG = re.compile(r"context[ _](length|size|window)|maximum context|(prompt|input) is too long", re.IGNORECASE)
# How DeepSeek and OpenRouter say that they gave up in the middle of an answer.
_ABANDONED = ("insufficient_system_resource", "error")
_NO_ROOM = re.compile(r"output limit was reached", re.IGNORECASE)


class NoRoomError(GeneratorError):
    """The model spent its tokens before it wrote anything, as reasoning models do with a small allowance."""


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


@dataclass(frozen=True)
class Translator:
    """Turns failures of one service into the engine's errors; its fields are what the sentences name."""

    service: Service
    host: str
    model: str
    timeout: float

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the client's exceptions into the engine's, in this one place, each keeping its cause."""
        from openai import OpenAIError

        try:
            yield
        except OpenAIError as error:
            raise self._translate(error) from error
        except ValueError as error:  # neither JSON nor UTF-8
            raise self.wrong_format() from error

    def _translate(self, error: OpenAIError) -> MemoRAGError:
        from openai import APIConnectionError, APIError, APITimeoutError

        if isinstance(error, APITimeoutError):
            return GeneratorError(
                f"{self.host} sent nothing for {self.timeout:g} seconds. Try again later, or set a longer timeout."
            )
        if isinstance(error, APIConnectionError):
            return GeneratorError(f"The connection to {self.host} failed. Check the address and the network.")
        if isinstance(error, APIError):
            return self._refusal(error, getattr(error, "status_code", None))
        return GeneratorError(f"The request to {self.host} failed ({type(error).__name__}).")

    def _refusal(self, error: APIError, status: int | None) -> MemoRAGError:
        """Name the reason of a refusal; ``status`` is None for one that arrives within a stream."""
        label, keys_at = self.service.label, self.service.keys_at
        if status in (401, 403):
            where = f" Keys are found at {keys_at}." if keys_at else ""
            return KeyRejectedError(f"{label} did not accept the API key for {self.model} (status {status}).{where}")
        if status == 402 or "insufficient_quota" in (error.code, error.type):
            return RateLimitError(f"The quota of this API key is used up. Check the plan and billing at {self.host}.")
        if status == 429 or error.code == "429":  # within a stream the status is told as a code
            return RateLimitError(f"{label} asks to wait: too many requests or tokens. Try again in a minute.")
        if status == 404 or error.code == "model_not_found":
            return GeneratorError(
                f"{self.host} knows no {self.service.model_kind} {self.model}. Check the name and the address."
            )
        if error.code == "content_filter":
            return self.filtered()
        if status == 413:
            return self.too_long()
        return self._told_in_prose(f"{error.code} {error.type} {error.message} {error.body}", status)

    def _told_in_prose(self, words: str, status: int | None) -> MemoRAGError:
        """Name a reason that servers give in words only. The words are never repeated: they may quote the prompt."""
        if _TOO_LONG.search(words):
            return self.too_long()
        if _NO_ROOM.search(words):
            return self.no_room()
        when = "while answering" if status is None else f"(status {status})"
        return GeneratorError(f"{self.host} reported an error {when}. Try again later, or choose another model.")

    def check_ending(self, finish: str | None, written: bool) -> None:
        """Raise where an answer ended censored or abandoned, or never began."""
        if finish == "content_filter":
            raise self.filtered()
        if finish in _ABANDONED:
            raise GeneratorError(f"{self.host} broke off the answer, being too busy or in trouble. Try again later.")
        if finish == "length" and not written:
            raise self.no_room()
        if finish is None and not written:
            raise self.wrong_format()

    def too_long(self) -> ContextLengthError:
        """Return the refusal of a prompt that does not fit."""
        return ContextLengthError(f"The prompt is too long for {self.model}. Use fewer or shorter passages.")

    def filtered(self) -> GeneratorError:
        """Return the refusal of a content filter."""
        return GeneratorError(f"The content filter of {self.host} refused the question or the answer. Rephrase it.")

    def no_room(self) -> GeneratorError:
        """Return the error of an answer that never began, for want of tokens."""
        return NoRoomError(f"{self.model} used up its tokens before writing an answer. Allow more (max_new_tokens).")

    def wrong_format(self) -> GeneratorError:
        """Return the error of a reply that is no chat completion."""
        return GeneratorError(f"{self.host} sent no chat completion. Check the address: most end in /v1.")
