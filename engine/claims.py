"""What a sentence of an answer states, in a form that can be looked for in a passage: content words, figures, names.

Names are told by their capitals, so only where a language keeps those for names; other scripts are held to their words
alone.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.figures import NUMBER_WORDS, figures
from engine.lexical import stemmer_of, words

# Content words below which a sentence says too little to be looked for.
_LEAST = 2
# Capitals begin every noun there, so they tell no names.
_CAPITAL_NOUNS = ("de", "lb")
_STOP_WORDS = frozenset(
    "a an and are as at be been but by can did do does for from had has have he her him his how i if in into is it "  # noqa: SIM905 - a column of quotes would hide the words
    "its me my no not of on or our she so some than that the their them then there these they this those to up was we "
    "were what when where which while who whom whose why will with would you your also about because could after "
    "before all during between over under again very just only".split()
)
# The lists of bm25s for languages whose words are told by spaces.
_STOP_LISTS = {"da": "DANISH", "de": "GERMAN", "es": "SPANISH", "fr": "FRENCH", "it": "ITALIAN", "nl": "DUTCH"}
_STOP_LISTS |= {"no": "NORWEGIAN", "pt": "PORTUGUESE", "ru": "RUSSIAN", "sv": "SWEDISH", "tr": "TURKISH"}
# Words beside the stop words that begin a sentence with a capital and are no names.
_BEGINNINGS = frozenset(
    "according additionally afterwards all although another any anyone both certainly despite each either even "  # noqa: SIM905 - as above
    "eventually every everyone everything few finally first further furthermore here however initially instead later "
    "like likewise many meanwhile most moreover much neither never next nobody nothing now often once one other "
    "others overall perhaps several since sometimes someone something soon still such similarly therefore though thus "
    "today together unless unlike until upon whereas whether yes yesterday yet".split()
)
# What an answer calls its evidence, and a number that is a passage's own.
_OWN = ("passage", "document", "evidence", "source", "text", "context", "section", "page")
_REFERENCE = re.compile(r"\b(?:passage|source|document)s?\s+\d+(?:(?:,| and|, and) \d+)*", re.IGNORECASE)
# Marks of a list, a heading or a quotation before a sentence.
LEAD = re.compile(r"(?:\s*(?:[-*\u2022+>]|#{1,6}|\(?\d{1,3}[.)])(?=\s))*\s*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['\u2019]s\Z")
# What follows a name that begins a sentence: another name, or a verb that a plural noun cannot have.
_AFTER_NAME = re.compile(r"(?:['\u2019]s)?\s+(?:[A-Z]|(?:was|is|has|had|does)\b)")
_SKIPPED, _BREAKS = ' *"\u201c\u2018(', ".!?:;\u2014[\n"
# Courtesies, whole or to the end of the sentence.
_COURTESY = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|great question|yes|no|thank you|thanks|\u662f\u7684|\u597d\u7684|"
    r"\u5f53\u7136)[.!,\u3002\uff01\uff0c]?\Z|"
    r"(?:i hope|let me know|please let|feel free|here (?:is|are)|i'm sorry|sorry,)\b)",
    re.IGNORECASE,
)
# That the evidence is silent, which no passage can support.
_SILENT = re.compile(
    r"\b(?:passages?|evidence|documents?|text|context|sources?)\b.{0,40}\b(?:(?:do|does|did)(?: not|n['\u2019]t)|no|"
    r"never|nowhere)\b.{0,30}\b(?:mention|say|state|contain|provide|specify|give|information|tell|answer|include)|"
    r"not (?:found|mentioned|stated|specified) in the (?:passages?|evidence|documents?|text|context)|"
    r"(?:\u6ca1\u6709|\u672a)(?:\u63d0\u5230|\u63d0\u53ca|\u627e\u5230|\u8bf4\u660e)",
    re.IGNORECASE,
)
# Where this share of the words has capitals, as in a title, they tell nothing.
_TITLE = 0.7


@dataclass(frozen=True)
class Claim:
    """What one sentence states. ``new`` are its terms beyond the question's; names are terms too."""

    terms: frozenset[str]
    new: frozenset[str]
    figures: frozenset[str]
    names: frozenset[str]

    @property
    def is_testable(self) -> bool:
        """Whether there is enough to look for: repeating the question, or a single word, proves nothing."""
        return len(self.terms) >= _LEAST and bool(self.new)


class Reader:
    """Reads claims out of the sentences of one answer, knowing the question and the words of the passages."""

    def __init__(self, question: str, texts: Sequence[str], language: str) -> None:
        self._language = language.partition("-")[0]
        self._stemmer = stemmer_of(language)
        self._stop_words = _STOP_WORDS | _listed(self._language)
        self._asked = frozenset(self.terms(question))
        self._asked_words = frozenset(self.stems(question))
        self._own = frozenset(self._stemmer.stemWords(list(_OWN)))
        # Words that the passages write without a capital; and those they write with one wherever they stand.
        self._small = {word for text in texts for word in _WORD.findall(text) if word[0].islower()}
        inside = (word.lower() for text in texts for word, is_first, _ in _capitalised(text) if not is_first)
        self._known = frozenset(inside) - self._small

    def stems(self, text: str) -> set[str]:
        """Return all that a text holds: its words, stemmed, and its figures ("=214")."""
        return {*words(text, self._stemmer), *(f"={figure}" for figure in figures(text))}

    def terms(self, text: str) -> set[str]:
        """Return what a text states: its content words, stemmed, and its figures."""
        plain = (w for w in words(text) if w not in self._stop_words and w not in NUMBER_WORDS and not w.isdigit())
        return {*self._stemmer.stemWords(list(plain)), *(f"={figure}" for figure in figures(text, is_strict=True))}

    def read(self, sentence: str) -> Claim:
        """Return what a sentence states; what it says of its evidence ("Passage 2 says") is left out."""
        sentence = _REFERENCE.sub(" ", sentence[LEAD.match(sentence).end() :])  # type: ignore[union-attr]  # may be empty
        terms = frozenset(self.terms(sentence)) - self._own
        names = frozenset(self._names(sentence)) - self._own - self._asked_words
        return Claim(terms, terms - self._asked, frozenset(figures(sentence, is_strict=True)), names)

    def _names(self, sentence: str) -> Iterator[str]:
        """Yield the stemmed parts of the names in a sentence."""
        found = list(_WORD.finditer(sentence))
        capitals = list(_capitalised(sentence))
        if self._language in _CAPITAL_NOUNS or (len(found) > 3 and len(capitals) >= _TITLE * len(found)):
            return
        for word, is_first, rest in capitals:
            small = word.lower()
            if len(word) < 2 or small in self._stop_words or small in _BEGINNINGS:
                continue
            is_ordinary = is_first and small not in self._known
            if not is_ordinary or (small not in self._small and _AFTER_NAME.match(sentence, rest)):
                yield from self.stems(word)


def states(sentence: str, is_line: bool) -> bool:
    """Whether a sentence states anything that a passage could support.

    A courtesy, a question, a heading, the opener of a list and "the passages do not say" do not. ``is_line`` tells that
    its line ends it, with more to follow: all of it in bold, it is a heading.
    """
    text = sentence[LEAD.match(sentence).end() :].strip(" *_")  # type: ignore[union-attr]  # LEAD may be empty
    if not _WORD.search(text) or text.endswith((":", "\uff1a", "?", "\uff1f")) or _COURTESY.match(text):
        return False
    is_bold = is_line and sentence.startswith("**") and sentence.endswith("**")
    is_heading = is_bold or sentence.startswith("#")
    return not is_heading and not _SILENT.search(text)


def unusual_names(text: str, language: str) -> list[str]:
    """Return the capitalised words inside a text's sentences, which name somebody or something.

    Those of a language that writes every noun so, and of a text that writes nearly every word so, tell nothing.
    """
    found = list(_capitalised(text))
    if language.partition("-")[0] in _CAPITAL_NOUNS or len(found) >= _TITLE * len(_WORD.findall(text)):
        return []
    return [word for word, is_first, _ in found if not is_first and len(word) > 1]


def _capitalised(text: str) -> Iterator[tuple[str, bool, int]]:
    """Yield the capitalised words of a text, whether each begins a sentence or a quotation, and where it ends."""
    for match in _WORD.finditer(text):
        if match[0][0].isupper():
            before = match.start() - 1
            while before >= 0 and text[before] in _SKIPPED:
                before -= 1
            word = _POSSESSIVE.sub("", match[0])
            yield word, before < 0 or text[before] in _BREAKS, match.start() + len(word)


@functools.cache
def _listed(language: str) -> frozenset[str]:
    """Return the words of a language that say nothing by themselves, as far as a list is known."""
    import bm25s.stopwords

    return frozenset(getattr(bm25s.stopwords, f"STOPWORDS_{_STOP_LISTS.get(language)}", ()))
