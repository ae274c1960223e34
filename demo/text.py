"""Every sentence the demo shows, in the language of the visitor who is being served: ``text.NAME``.

The sentences are in ``english.py`` and ``chinese.py``. Which language it is, is set at the door for each step of a
handler (``speaking``); threads of their own, logs and programs that name no language get English.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from demo import chinese, english

if TYPE_CHECKING:  # so that a name that is not there is found before anything runs
    from demo.english import *  # noqa: F403

ENGLISH, CHINESE = "en", "zh"
_SENTENCES = {ENGLISH: (english,), CHINESE: (chinese, english)}
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - sentences, and tables and functions of them
    for sentences in _SENTENCES[_language.get()]:
        if name in vars(sentences):
            return vars(sentences)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def language() -> str:
    """Return the code of the language that is spoken now: a key of ``english.LANGUAGES``."""
    return _language.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak a language inside the block."""
    before = _language.set(code)
    try:
        yield
    finally:
        _language.reset(before)


def language_of(accepted: str | None) -> str:
    """Return the language to speak with a browser, by its header Accept-Language: the first of ours that it names."""
    for part in (accepted or "").split(","):
        code = part.partition(";")[0].strip().partition("-")[0].lower()
        if code in _SENTENCES:
            return code
    return ENGLISH
