"""Questions that lean on earlier ones, put into words that stand alone before anything is recalled or searched for.

An able generator rewrites them, and what it writes is checked. For small models, which invent, it is done by rule:
another name in the question before ("And Harry?"), or a name for a pronoun where one person is meant; the question
before is put behind the question, with the names of its answer where no name could be put in. A question that stands
alone is never touched (leaning.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.api_errors import failure_of
from engine.errors import ContextLengthError, GeneratorError
from engine.events import Stop, Turn
from engine.figures import figures
from engine.leaning import leans
from engine.leaning_en import EnglishQuestion
from engine.leaning_zh import HAN
from engine.names import names
from engine.prompt import quoted, render, rewrite_prompt
from engine.request import Generator
from engine.thoughts import Thoughts
from engine.wording import AUXILIARIES, CONJUNCTIONS, PREPOSITIONS, QUESTION_WORDS

# New tokens of a rewritten question; its characters, beside twice those of the question asked.
_TOKENS, _LONGER = 96, 300
# Failures of a service with this one request, such as a reasoning model that has too few tokens for its thoughts.
_FOR_THIS = ("no room", "filter", "abandoned", "format")
# Turns that a question may lean on through each other.
_CHAIN = 3
# An answer of so many characters is short enough to be put behind a question whole; so many names of a longer one are.
_SHORT, _NAMES = 60, 4
# Characters of an earlier question that are put behind another one.
_CUT = 200
_PERSON = re.compile(r"\b(?:he|she|him|his|her)\b", re.IGNORECASE)
_OWNED = re.compile(r"\s+([^\W\d_]+)")
# What "her" does not own where it stands before it: "What did they give her for it?".
_NOT_OWNED = (
    AUXILIARIES | CONJUNCTIONS | PREPOSITIONS | QUESTION_WORDS | {"the", "a", "an", "then", "again", "too", "there"}
)
_WHO = re.compile(r"\b(?:[Ww]ho|[Ww]hose|[Ww]hom)\b(?! (?:is|was|are|were) [A-Z])")
# Before the name of a place, and of what may be one.
_PLACED, _PART = r"\b(?:in|at|on|near|from)\s+(?:the\s+)?", r"\b(?:of|to|for|the)\s+"
_FRAGMENT = re.compile(
    r"(?:(?:and|but|so|or)\s+)?(?:(?:what|how) about\s+|what of\s+)?(?:(?:in|for|with|of|to|by|on|at)\s+)?(.{1,60}?)"
    r"\s*[?.!]*\Z",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b1\d{3}\b|\b20\d{2}\b")
_LABEL = re.compile(
    r"\A(?:(?:next|rewritten|standalone|the)?\s*question|问题|改写后的问题|改写)\s*[:\uff1a]\s*", re.IGNORECASE
)
_ASKED = re.compile(r"[?\uff1f]\s*\Z")


@dataclass(frozen=True)
class _Topic:
    """What was asked last, as far as it could be put into words, and answered; ``added`` is what stands behind it."""

    question: str
    answer: str
    added: tuple[str, ...] = ()


def standalone(
    query: str,
    turns: Sequence[Turn],
    writer: Generator | None,
    language: str,
    stop: Stop | None = None,
    is_known: Callable[[str], bool] = bool,
) -> str:
    """Return a question in words that need no earlier turn; the same one where it stands alone already.

    ``turns`` are the earlier ones, the oldest first; ``writer`` rewrites where it is able, ``language`` is that of the
    corpus, and ``is_known`` tells whether a name stands in the corpus: small models answer with names that do not.

    Raises:
        Cancelled: ``stop`` was set.
        GeneratorError: the writer's service cannot be used; it would have to write the answer too.
    """
    if stop is not None:
        stop.check()
    if not query or not turns or not leans(query, language):
        return query
    if writer is not None and writer.is_able and (written := _written(query, turns, writer, language, stop)):
        return written
    return _Reader(language, is_known).read(query, turns)


def _written(query: str, turns: Sequence[Turn], writer: Generator, language: str, stop: Stop | None) -> str:
    """Return the question as the writer puts it, or nothing where that cannot be used."""
    said = "\n".join(f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in turns)
    template = rewrite_prompt("zh" if HAN.search(query) else "en")
    prompt = render(template, history=quoted(said), question=quoted(query))
    thoughts = Thoughts()
    try:
        reply = "".join(map(thoughts.feed, writer.stream(prompt, _TOKENS, 0.0, stop=stop))) + thoughts.finish()
    except ContextLengthError:
        return ""
    except GeneratorError as error:
        if (failure := failure_of(error)) is None or failure.kind not in _FOR_THIS:
            raise  # the answer would fail in the same way, and as slowly
        return ""
    text = _LABEL.sub("", reply.strip()).strip("\"'\u201c\u201d*` ")
    return text if _is_faithful(text, query, said, language) else ""


def _is_faithful(text: str, query: str, said: str, language: str) -> bool:
    """Whether a rewritten question is one: a line that stands alone, asks, and adds no name or figure of its own."""
    if not text or "\n" in text or len(text) > 2 * len(query) + _LONGER or leans(text, language):
        return False
    if _ASKED.search(query) and not _ASKED.search(text):
        return False
    known, folded = f"{query}\n{said}", text.casefold()
    if not figures(query, is_strict=True) <= figures(text) or not figures(text, is_strict=True) <= figures(known):
        return False
    kept = all(name.casefold() in folded for name in names([query], language))
    return kept and all(
        part.casefold() in known.casefold() for name in names([text], language) for part in name.split()
    )


@dataclass(frozen=True)
class _Reader:
    """Puts questions into words that stand alone, by rule."""

    language: str
    is_known: Callable[[str], bool]

    def read(self, query: str, turns: Sequence[Turn]) -> str:
        """Return a question that leans on ``turns`` with what it leans on."""
        first = len(turns) - 1
        while first > 0 and len(turns) - first < _CHAIN and self._leans(turns[first].question):
            first -= 1
        topic = _Topic(turns[first].question, turns[first].answer)
        for turn in turns[first + 1 :]:
            topic = replace(self._after(topic, turn.question), answer=turn.answer)
        return self._shown(self._after(topic, query))

    def _leans(self, question: str) -> bool:
        return not question or leans(question, self.language)

    def _after(self, topic: _Topic, query: str) -> _Topic:
        """Return what is asked by a question that follows others."""
        is_whole = not self._leans(topic.question)
        if is_whole and (whole := self._swapped(topic.question, query)):
            return _Topic(whole, "")
        before = topic.question if len(topic.question) <= _CUT else f"{topic.question[:_CUT].rstrip()}..."
        if named := is_whole and self._named(topic, query):
            # The question before still helps to find evidence, also where a small model answered it wrongly.
            says_more = not set(EnglishQuestion(topic.question).telling) <= set(EnglishQuestion(named).telling)
            return _Topic(named, "", topic.added or ((before,) if says_more else ()))
        said = " - ".join(part for part in (before, self._said(topic)) if part)
        return _Topic(query, "", (*topic.added, said))

    def _swapped(self, before: str, query: str) -> str:
        """Return the question before with another name or year in it ("And Harry?", "What about 1995?"), or nothing."""
        fragment = _FRAGMENT.fullmatch(query.strip())
        if fragment is None:
            return ""
        new = re.sub(r"['\u2019]s\Z", "", fragment[1])
        for found, old in ((_YEAR.findall(new), _YEAR.findall(before)), (self._names(new), self._names(before))):
            if len(found) == len(old) == 1 and found[0] == new and found != old:
                return before.replace(old[0], new)
        return ""

    def _named(self, topic: _Topic, query: str) -> str:
        """Return a question with a name for its first pronoun, where one person is meant; else nothing."""
        pronoun = _PERSON.search(query)
        if pronoun is None:
            return ""
        asked, said = self._people(topic.question), self._people(topic.answer)
        both = f"{topic.question}\n{topic.answer}"
        new = [name for name in said if name not in asked]
        meant = new if _WHO.search(topic.question) else [*asked, *new]
        if len(meant) != 1 or re.search(_PART + re.escape(meant[0]) + rf"|{re.escape(meant[0])}['\u2019]s", both):
            return ""
        word, rest = pronoun[0].lower(), query[pronoun.end() :]
        owned = _OWNED.match(rest)
        owns = word == "his" or (word == "her" and owned is not None and owned[1].lower() not in _NOT_OWNED)
        named = query[: pronoun.start()] + meant[0] + ("'s" if owns else "") + rest
        return "" if self._leans(named) else named

    def _people(self, text: str) -> list[str]:
        """Return the names in a text that are no places, as far as what stands before them tells."""
        return [name for name in self._names(text) if not re.search(_PLACED + re.escape(name), text)]

    def _names(self, text: str) -> list[str]:
        return [name for name in names([text], self.language) if self.is_known(name)]

    def _said(self, topic: _Topic) -> str:
        """Return a short answer whole, or the names of another one that its question did not hold."""
        answer, known = topic.answer.strip().rstrip(".\u3002"), self._names(topic.answer)
        if len(answer) <= _SHORT and len(known) == len(names([answer], self.language)):
            return answer
        return ", ".join([name for name in known if name not in topic.question][:_NAMES])

    def _shown(self, topic: _Topic) -> str:
        """Return a question with what was put behind it, in words for people."""
        if not topic.added:
            return topic.question
        added = "; ".join(topic.added)
        if HAN.search(topic.question):
            return f"{topic.question}\uff08关于：{added}\uff09"
        return f"{topic.question} ({'about: ' if self.language.startswith('en') else ''}{added})"
