"""Questions worth asking next, made without a model from what an answer rests on.

A corpus's own example questions come first, then simpler questions that the memory recalled, then plain questions about
names in the evidence. Few and whole: a small model recalls many half-questions, which are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from engine.events import Clue, Passage
from engine.leaning import leans
from engine.leaning_zh import HAN
from engine.lexical import stemmer_of, words
from engine.names import names
from engine.wording import AUXILIARIES, FUNCTION, GENERIC, IMPERATIVES, PREPOSITIONS, QUESTION_WORDS

_MOST = 3
# Of them, at most so many from the examples, and about names.
_OFFERED, _NAMED = 2, 2
# The best passages, which an answer mostly rests on.
_BEST = 3
# Characters of a question to offer, and of a Chinese one.
_LENGTH, _LENGTH_ZH = (15, 120), (6, 50)
# Two questions that share this part of the shorter one's words ask the same.
_ALIKE = 0.75
# Part of an offered or a recalled question's words that the evidence must hold.
_HELD = 0.6
# Part of an example's telling words that the best passages must hold.
_NEAR = 0.25
# A name in more than this part of the passages says nothing about them.
_EVERYWHERE = 0.5
_TEMPLATES = {
    "en": ("What else is said about {name}?", "How does {name} change over time?"),
    "zh": ("关于{name}还说了什么？", "{name}前后有什么变化？"),
}
# What a small model asks about its notes instead of the text.
_ABOUT_NOTES = re.compile(
    r"\b(?:passage|text|notes?|article|author|story|narrator|excerpt|question|paragraph|statements?|main (?:idea|theme|"
    r"purpose|point|character)|significance|according to|you|your|i)\b|[_*\[\]{}<>|]|笔记|文本|段落|作者|问题|你",
    re.IGNORECASE,
)
# The names that Chinese texts mark as such: 《红楼梦》.
_MARKED = re.compile(r"《[^《》]{1,20}》")


def followups(
    query: str,
    clues: Sequence[Clue],
    passages: Sequence[Passage],
    language: str,
    asked: Sequence[str] = (),
    offered: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return up to three questions worth asking after ``query``, the best first; none where none is good.

    ``passages`` are the evidence, ``language`` is that of the corpus, ``asked`` were asked before, and ``offered`` are
    the corpus's own examples.
    """
    if not passages:
        return ()
    chooser = _Chooser(language, [query, *asked], passages)
    recalled = [clue.text.strip() for clue in clues if clue.kind == "surrogate"]
    chooser.take([question for question in chooser.by_nearness(offered) if chooser.holds(question)], _OFFERED)
    chooser.take([question for question in recalled if chooser.is_clean(question) and chooser.holds(question)], _MOST)
    chooser.take(chooser.about_names(), _NAMED)
    return tuple(chooser.chosen)


class _Chooser:
    """Chooses questions that are unlike each other and unlike those asked."""

    def __init__(self, language: str, asked: Sequence[str], passages: Sequence[Passage]) -> None:
        self.chosen: list[str] = []
        self._language = language
        self._passages = sorted(passages, key=lambda passage: -passage.score)
        self._stemmer = stemmer_of(language)
        self._asked = [text for text in asked if text.strip()]
        self._known = [self._terms(text) for text in self._asked]
        self._each = [self._terms(passage.text) for passage in self._passages]
        self._held = frozenset().union(*self._each)
        self._names = self._counted()

    def take(self, questions: Sequence[str], most: int) -> None:
        """Choose at most ``most`` of some questions, where nothing alike was asked or chosen."""
        for question in questions:
            terms = self._terms(question)
            if terms and not any(self._is_alike(terms, other) for other in self._known):
                if most == 0 or len(self.chosen) == _MOST:
                    return
                most -= 1
                self.chosen.append(question)
                self._known.append(terms)

    def by_nearness(self, questions: Sequence[str]) -> list[str]:
        """Return the questions that the best passages are near to, by the words in common that are not in all."""
        near = {question: self._nearness(self._terms(question)) for question in questions}
        return sorted((question for question in near if near[question] >= _NEAR), key=lambda q: -near[q])

    def _nearness(self, terms: frozenset[str]) -> float:
        share = {term: sum(term in held for held in self._each) / len(self._each) for term in terms}
        best = frozenset().union(*self._each[:_BEST])
        return sum(1 - share[term] for term in terms & best) / (sum(1 - part for part in share.values()) or 1.0)

    def holds(self, question: str) -> bool:
        """Whether the evidence has something to say to a question."""
        terms = self._terms(question)
        return len(terms & self._held) >= max(1.0, _HELD * len(terms))

    def is_clean(self, question: str) -> bool:
        """Whether a recalled question is whole, stands alone and names nothing that the evidence does not."""
        low, high = _LENGTH_ZH if HAN.search(question) else _LENGTH
        if not low <= len(question) <= high or "\n" in question or _ABOUT_NOTES.search(question):
            return False
        if (
            not re.fullmatch(r"[^?\uff1f]+[?\uff1f]", question)
            or question.count('"') % 2
            or leans(question, self._language)
        ):
            return False
        text = "\n".join([*self._asked, *(passage.text for passage in self._passages)])
        return self._is_asked(question) and all(name in text for name in names([question], self._language))

    def about_names(self) -> list[str]:
        """Return questions about the names in the best passages that no question named, the most telling first."""
        templates = _TEMPLATES.get(self._language.partition("-")[0])
        said = " ".join([*self._asked, *self.chosen]).casefold()
        parts = {name: name.casefold().split() for name in self._names}
        new = [name for name in self._names if not any(part in said for part in parts[name]) and self._tells(name) > 0]
        if templates is None or not new:
            return []
        best = sorted(new, key=self._tells, reverse=True)
        changing = next((name for name in best[1:] if self._names[name] > 2 and self._acts(name)), None)
        second = [templates[1].format(name=changing)] if changing else []
        second += [templates[0].format(name=self._with_article(name)) for name in best[1:_MOST]]
        return [templates[0].format(name=self._with_article(best[0])), *second]

    def _acts(self, name: str) -> bool:
        """Whether a name is somebody's, as far as the words around it tell: they do things, and nothing is in them."""
        whole, name = "\n".join(passage.text for passage in self._passages), re.escape(name)
        is_place = re.search(rf"\b(?:in|at|from|near|the) {name}\b", whole)
        return not is_place and bool(re.search(rf"\b{name} (?:was|is|had|has|did|[a-z]+ed|[a-z]+s)\b", whole))

    def _with_article(self, name: str) -> str:
        whole = "\n".join(passage.text for passage in self._passages)
        return f"the {name}" if 2 * whole.count(f"the {name}") >= whole.count(name) else name

    def _tells(self, name: str) -> float:
        """Return how much a name tells about the evidence: in its best passages, and not in all of them."""
        found = [at for at, passage in enumerate(self._passages) if name in passage.text]
        if not found or found[0] >= _BEST:
            return 0.0
        is_everywhere = len(found) > max(2.0, _EVERYWHERE * len(self._passages))
        often = min(self._names[name], 4)
        return often * (0.3 if is_everywhere else 1.0) * (1.5 if " " in name else 1.0) / (1 + found[0])

    def _counted(self) -> Counter[str]:
        texts = [passage.text for passage in self._passages]
        if HAN.search(texts[0]):
            return Counter(name for text in texts for name in _MARKED.findall(text))
        found = names(texts, self._language)
        return Counter({name: count for name, count in found.items() if not self._is_part(name, "\n".join(texts))})

    @staticmethod
    def _is_part(name: str, text: str) -> bool:
        """Whether a name mostly stands for a part of another: "Hog" and "Head" of the "Hog's Head"."""
        whole = re.findall(rf"\b{re.escape(name)}['\u2019]s [A-Z]|['\u2019]s {re.escape(name)}\b", text)
        return 2 * len(whole) >= text.count(name)

    def _is_asked(self, question: str) -> bool:
        """Whether a question begins as one, and does not go round in circles."""
        if HAN.search(question):
            return bool(re.search(r"什么|谁|哪|怎|何|几|多少|吗|呢", question))
        told = question.lower().rstrip("?").split()
        rounds = Counter(pairwise(told))
        is_begun = told[0] in QUESTION_WORDS | AUXILIARIES or (told[0] in PREPOSITIONS and told[1] in QUESTION_WORDS)
        english = self._language.startswith("en")
        is_whole = not english or (is_begun and (told[0] == "who" or bool(AUXILIARIES & set(told))))
        return is_whole and len(told) >= 4 and max(rounds.values()) < 2 and told[-1] not in AUXILIARIES | {"the", "a"}

    def _terms(self, text: str) -> frozenset[str]:
        plain = FUNCTION | GENERIC | IMPERATIVES
        return frozenset(self._stemmer.stemWords([word for word in words(text) if word not in plain]))

    @staticmethod
    def _is_alike(one: frozenset[str], other: frozenset[str]) -> bool:
        least = min(len(one), len(other))
        return least > 0 and len(one & other) >= _ALIKE * least
