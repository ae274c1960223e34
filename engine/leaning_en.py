"""Whether an English question leans on what was said before: a word in it points at nothing that stands in it.

A pronoun leans only where nothing before it in the question can be what it means: somebody for "he", several for
"they", for "him" somebody of another clause. What is a noun, is told by the words around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from engine.wording import (
    ANYONE,
    AUXILIARIES,
    COLLECTIVE,
    CONJUNCTIONS,
    DETERMINERS,
    FUNCTION,
    GENERIC,
    IMPERATIVES,
    MEASURES,
    OPENERS,
    PEOPLE,
    PREPOSITIONS,
    PRONOUNS,
    QUESTION_WORDS,
    THINGS,
    WHOLE,
)

# Words after a question from which they are what it asks about.
_LISTED = 4
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[.,;:?!]")
_QUOTED = re.compile(r"[\"\u201c\u201d\u00ab][^\"\u201c\u201d\u00bb]+[\"\u201d\u00bb]")
_SHORT_FORM = re.compile(r"\b(he|she|it|that|this|what|who|where|when|how|there)'s\b", re.IGNORECASE)
_ABOUT = re.compile(r"(?:what|how) (?:about|of)\b|(?:the )?same (?:\w+ )?(?:for|with|of|about|but)\b", re.IGNORECASE)
# "It" that means nothing: "is it true that", "how long does it take to".
_EMPTY_IT = re.compile(
    r"\bit (?:(?:is|was|be|been|to) )?(?:takes?|took|costs?|means?|feels?|like|true|possible|important|allowed|legal|"
    r"known|said|necessary|right|wrong|easy|hard|difficult|that|\w+ to be|rain|snow)\b.*"
    r"\b(?:to|that|for|if|when|who)\b",
    re.IGNORECASE,
)
_HE, _IT = frozenset({"he", "him", "his", "she", "her", "hers"}), frozenset({"it", "its"})
_THEY = frozenset({"they", "them", "their", "theirs"})
_SUBJECTS = frozenset({"he", "she", "they", "his", "its", "their"})
_ORDINALS = frozenset({"first", "second", "third", "fourth", "last", "next", "same"})
_STOPS = frozenset(".,;:?!")
_ENDS = frozenset({"", ".", "?", "!"})
_CLAUSE = AUXILIARIES | QUESTION_WORDS | PRONOUNS
_BOUNDARIES = (CONJUNCTIONS | QUESTION_WORDS | _STOPS | {"before", "after", "until", "since"}) - {"and", "or"}
# Before "that" where it joins a clause although the word says little: "everything that", "now that".
_JOINED = frozenset(["it", "so", "such", "one", "those", "everything", "anything", "something", "all", "now"])
_PERSON = re.compile(r"(?:.{2,}(?:er|or|ist|man|woman|ess|ian|ee|ant)|.*(?:father|mother))\Z")


@dataclass(frozen=True)
class EnglishQuestion:
    """An English question, read word by word."""

    question: str

    @cached_property
    def written(self) -> list[str]:
        """Its words and stops, as written; a quotation is one name, and an opener such as "And" is left out."""
        text = _QUOTED.sub(" Quoted ", self.question.replace("\u2019", "'"))
        found = _TOKEN.findall(_SHORT_FORM.sub(r"\1 is", text))
        while found and (found[0].lower() in OPENERS or found[0] in ".,;:"):
            found.pop(0)
        return found

    @cached_property
    def tokens(self) -> list[str]:
        """Its words and stops without the "'s" of owners."""
        return [re.sub(r"'s\Z", "", token) for token in self.written]

    @cached_property
    def lower(self) -> list[str]:
        """Its tokens in small letters; what is all in capitals among other letters is a name ("IT")."""
        shouts = self.question.isupper()
        return [t if t.isupper() and len(t) > 1 and not shouts else t.lower() for t in self.tokens]

    @cached_property
    def words(self) -> list[str]:
        """Its tokens without the stops."""
        return [token for token in self.lower if token[0].isalnum()]

    @cached_property
    def telling(self) -> list[str]:
        """Its words that say what it is about."""
        return [word for word in self.words if word not in FUNCTION and word not in GENERIC and word not in IMPERATIVES]

    @property
    def leans(self) -> bool:
        """Whether it needs what was said before it."""
        if not self.telling or _ABOUT.match(" ".join(self.words)) or self._is_fragment():
            return True
        return any(not self._is_resolved(at) for at in range(len(self.tokens)) if self._points(at))

    def _is_fragment(self) -> bool:
        """Whether it is no whole question: "In which year?", "How many steps?", "Why violet ink?", "And Ron?"."""
        words, first = self.words, self.words[0]
        some = ANYONE | {"many", "all"}
        if AUXILIARIES & set(words):
            compared = first == "which" and words[-1].endswith(("er", "est")) and len(words) <= 4
            return compared or (
                len(words) <= 4 and len(self.telling) == 1 and self.telling[0].islower() and bool(some & set(words))
            )
        if first in PREPOSITIONS:
            return len(words) <= 6
        if first in ("why", "when", "where"):
            return len(words) <= 7 and words[1:2] != ["to"]
        if first in QUESTION_WORDS:
            return len(words) <= (2 if first == "who" else 3) and len(self.telling) <= 1
        had_opener = self.question.lower().lstrip().startswith(("and ", "but ", "or ", "so ", "then "))
        is_asked = self.question.rstrip().endswith("?")
        is_told = first in IMPERATIVES
        return not is_told and (
            (is_asked and len(words) <= 3) or (had_opener and len(words) <= (10 if is_asked else 6))
        )

    def _points(self, at: int) -> bool:
        """Whether a word points at something that must be known."""
        word, after = self.lower[at], self._after(at)
        if word in ("it", "its"):
            return not _EMPTY_IT.search(" ".join(self.words[self.words.index("it") :] if "it" in self.words else ()))
        if word == "their" and self.lower[0] == "who" and self._after(0) not in AUXILIARIES:
            return False  # "Who lost their wand?"
        if word in _HE | _THEY:
            return True
        if word in ("this", "these", "those", "that"):
            return self._points_out(at)
        before = self.lower[at - 1] if at else ""
        if word == "there":
            return before not in AUXILIARIES and after not in AUXILIARIES
        if word in ("one", "ones", "latter", "former", "others"):
            return (
                at > 0
                and before in {"the", "which", "that", "this", "another", "other", *_ORDINALS}
                and (after in FUNCTION | {"", "?", ",", "."} and after != "of")
            )
        return word == "then" and after in _ENDS

    def _points_out(self, at: int) -> bool:
        """Whether "this", "that", ... point at something, and do not join clauses or name the text."""
        word, after = self.lower[at], self._after(at)
        before = self.lower[at - 1] if at else ""
        if WHOLE & set(self.lower[at + 1 : at + 4]) or after in ("who", "which", "of", "that", "with"):
            return False
        if word != "that":
            return after not in ("days",)
        is_last = self._after(at + 1) in _ENDS or after in _ENDS
        return not before or before in FUNCTION - _JOINED or is_last

    def _after(self, at: int) -> str:
        return self.lower[at + 1] if at + 1 < len(self.lower) else ""

    def _is_resolved(self, at: int) -> bool:
        """Whether something in the question can be what the word at a place means."""
        word = self.lower[at]
        meant = [place for place in self._candidates(word) if place < at and not self._belongs(place, at)]
        if not meant:
            return self._comes_later(at)
        is_object = word not in _SUBJECTS and not (word in ("her", "it") and self._leads(at))
        if not is_object:
            return True
        if word == "that" and self.lower[at - 1] in PREPOSITIONS and len(meant) > 1:
            return True  # "the scrapes she gets into that make people talk"
        several = word in _HE | _THEY and len(meant) > 1 and not self._joined(meant)
        return several or any(self._is_boundary(place) for place in range(meant[0], at))

    def _leads(self, at: int) -> bool:
        """Whether "her" owns what follows, or "it" does it."""
        after = self._after(at)
        if self.lower[at] == "her":
            return after[:1].isalnum() and after not in FUNCTION
        return after in AUXILIARIES or (after[:1].isalpha() and after not in FUNCTION)

    def _joined(self, places: list[int]) -> bool:
        return all("and" in self.lower[a:b] for a, b in pairwise(places))

    def _is_boundary(self, place: int) -> bool:
        word = self.lower[place]
        if word not in ("and", "or"):
            return word in _BOUNDARIES
        after = self._after(place)
        return after in _CLAUSE or not (self._is_name(place + 1) or after in DETERMINERS or after.endswith("s"))

    def _belongs(self, place: int, at: int) -> bool:
        """Whether a noun is a part of what the word means: "the name of his wife"."""
        between = self.lower[place + 1 : at]
        return between in (["of"], ["for"], ["behind"]) and not self._is_name(place)

    def _comes_later(self, at: int) -> bool:
        """Whether what is meant is said after it: "When he was eleven, what did Harry do?", "Which of these: ..."."""
        stops = [place for place in range(at, len(self.lower)) if self.lower[place] in ".?:"]
        if self.lower[at] in ("this", "these") and stops and len(self.lower) - stops[0] > _LISTED:
            return True
        if "," not in self.lower[at:] or self.lower[0] in AUXILIARIES or self._after(0) in AUXILIARIES:
            return False
        comma = self.lower.index(",", at)
        if self.lower[0] not in PREPOSITIONS | CONJUNCTIONS | {"when", "before", "after"}:
            return False
        return any(place > comma for place in self._candidates(self.lower[at]))

    def _candidates(self, word: str) -> list[int]:
        """Return the places of what a word can mean."""
        nouns = [at for at in range(len(self.tokens)) if self._is_name(at) or self._is_noun(at)]
        if word in _HE:
            return [at for at in nouns if self._is_person(at)]
        if word in _THEY:
            return [at for at in nouns if self._is_name(at) or self._is_many(at)]
        if word in _IT:
            return [
                at
                for at in nouns
                if self.lower[at] not in MEASURES and not (self._is_someone(at) and not self._is_name(at))
            ]
        return nouns

    def _is_name(self, at: int) -> bool:
        if at >= len(self.tokens) or self.lower[at] not in self.telling:
            return False
        if not self._is_typed_small:
            return self.tokens[at][0].isupper()
        is_asked = at > 0 and self.lower[at - 1] in AUXILIARIES and not self.lower[at].endswith(("ed", "ing", "en"))
        return is_asked or (at > 0 and self._is_name(at - 1))

    @cached_property
    def _is_typed_small(self) -> bool:
        """Whether it has no capitals at all, so that names have none either."""
        return "".join(self.tokens).islower()

    def _is_noun(self, at: int) -> bool:
        """Whether a word is a noun, as far as what stands before it tells."""
        word, before = self.lower[at], self.lower[at - 1] if at else ""
        if word in ANYONE and word != "one":
            return True
        if word not in self.telling:
            return word in ("people", "others")
        if self._after(at) in self.telling and self.tokens[at + 1].islower() and before in DETERMINERS:
            return True
        if before in ("do", "does", "did"):
            return True
        if before in ("what", "who", "that", "how"):
            return False
        return self._is_determined(at) or (word.endswith("s") and not word.endswith("ss"))

    def _is_determined(self, at: int) -> bool:
        """Whether "the", "a", "every", ... stands before a word, with at most two words between."""
        for place in range(at - 1, max(-1, at - 4), -1):
            if self.lower[place] in DETERMINERS:
                return True
            if self.lower[place] not in self.telling and self.lower[place] not in GENERIC:
                return False
        return False

    def _is_many(self, at: int) -> bool:
        word = self.lower[at]
        return (word.endswith("s") and not word.endswith("ss")) or word in COLLECTIVE | ANYONE

    def _is_someone(self, at: int) -> bool:
        word = self.lower[at]
        return word in PEOPLE | ANYONE or (bool(_PERSON.match(word)) and word not in THINGS)

    def _is_person(self, at: int) -> bool:
        """Whether a name or a noun can be a man or a woman: no place "in Dunmorrie", no thing "the Goblet"."""
        if not self._is_name(at):
            return self._is_someone(at)
        start = at
        while start and self._is_name(start - 1):
            start -= 1
        before = self.lower[start - 1] if start else ""
        if before == "the":
            return self._after(at) != "of" and not self._is_name(start + 1)
        return before not in ("in", "at", "near", "on", "inside") or self.written[at].endswith("'s")
