"""Every sentence the demo shows, in the language of the visitor who is being served: ``text.NAME``.

The sentences are in ``english.py``, and by the same names in ``chinese.py``, each with its parts. Which language it is,
is set at the door for each step of a handler (``speaking``); threads of their own, logs and programs that name no
language get English. What was put into words there, or by the engine, is ``translated`` when it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING, Any

from demo import (
    chinese,
    chinese_corpora,
    chinese_generators,
    chinese_problems,
    english,
    english_corpora,
    english_generators,
    english_problems,
)
from demo.chinese_errors import ERRORS

if TYPE_CHECKING:  # so that a name that is not there is found before anything runs
    from demo.english import *  # noqa: F403
    from demo.english_corpora import *  # noqa: F403
    from demo.english_generators import *  # noqa: F403
    from demo.english_problems import *  # noqa: F403

ENGLISH, CHINESE = "en", "zh"
_IN_ENGLISH = (english, english_corpora, english_generators, english_problems)
_IN_CHINESE = (chinese, chinese_corpora, chinese_generators, chinese_problems)
_SENTENCES = {ENGLISH: _IN_ENGLISH, CHINESE: (*_IN_CHINESE, *_IN_ENGLISH)}
# What has fewer letters of its own is a label, and could be mistaken for a name.
_TELLING = 10
_PARTS = 4  # parts of a sentence to be told apart: more would take long in a text made for it
_LONGEST = 1000  # characters of a sentence; what is longer is none, and comparing it would take time
# One wish of the header Accept-Language (RFC 9110, 12.5.4): a language, a region or script, and how much it is wanted.
_WISH = re.compile(r"\s*([a-z]{2,8})(?:-[a-z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?", re.IGNORECASE)
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - sentences, and tables and functions of them
    for sentences in _SENTENCES[_language.get()]:
        if name in vars(sentences):
            return vars(sentences)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def sentences(code: str) -> dict[str, str]:
    """Return all sentences in a language by name, those in tables as "TABLE.key"."""
    found: dict[str, Any] = {}
    for part in reversed(_SENTENCES[code]):
        for name, value in vars(part).items():
            if name.isupper():
                table = value if isinstance(value, dict) else {}
                found |= {name: value} | {f"{name}.{key}": said for key, said in table.items()}
    return {name: said for name, said in found.items() if isinstance(said, str)}


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
    """Return the language to speak with a browser, by its header Accept-Language: of ours the one it wants most."""
    wishes = [found.groups() for part in (accepted or "").split(",") if (found := _WISH.fullmatch(part))]
    ours = [(float(wanted or 1), code.lower()) for code, wanted in wishes if code.lower() in _SENTENCES]
    wanted, best = max(ours, key=lambda wish: wish[0], default=(0.0, ENGLISH))  # the first one of equals
    return best if wanted else ENGLISH


def translated(sentence: str) -> str:
    """Return an English sentence in the language that is spoken now; one that is not known stays as it is.

    Known are the demo's own, which threads put into words, and those of the engine's that visitors meet.
    """
    if _language.get() == ENGLISH or len(sentence) > _LONGEST:
        return sentence
    for pattern, template in _patterns():
        if found := pattern.fullmatch(sentence):
            # A part may be a sentence itself: the reason of a failure, say.
            return _filled(template, {name: translated(part) for name, part in found.groupdict().items()})
    return sentence


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what recognises a sentence, and its Chinese template; the most telling ones first."""
    in_chinese = sentences(CHINESE)
    own = {said: in_chinese[name] for name, said in sentences(ENGLISH).items() if len(_filled(said, {})) >= _TELLING}
    own = {said: shown for said, shown in own.items() if said.count("{") <= _PARTS}
    known = sorted((ERRORS | own).items(), key=lambda pair: -len(_filled(pair[0], {})))
    return tuple((_pattern(template), said) for template, said in known)


def _pattern(template: str) -> re.Pattern[str]:
    shown, seen = "", set[str]()
    for literal, name, _, _ in Formatter().parse(template):
        shown += re.escape(literal)
        if name:
            shown += f"(?P={name})" if name in seen else f"(?P<{name}>.*?)"
            seen.add(name)
    return re.compile(shown, re.DOTALL)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """Fill in a template with what is in words already."""
    return "".join(literal + parts.get(name or "", "") for literal, name, _, _ in Formatter().parse(template))
