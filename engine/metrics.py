"""What answers and evidence are measured by: plain functions of texts.

Texts are compared by their tokens as SQuAD does it (Rajpurkar et al. 2016): lower case, without punctuation and
articles; a Chinese or Japanese character is a token of its own, so that no word list is needed. ROUGE-L is Lin's (2004)
with equal weights.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from engine.chunking import sentences
from engine.lexical import words

# Scripts whose characters are tokens of their own: Han with its radicals, kana, and their compatibility forms.
_CJK = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\s{_CJK}]+")
_ARTICLE = re.compile(r"\b(?:an?|the)\b")
# ASCII signs that Unicode does not count as punctuation, and marks that part words.
_SIGNS, _PARTING = frozenset("$+<=>^`|~"), frozenset("-/\u2013\u2014")
# Tokens in a row that have to agree before a passage counts as holding a part of an evidence string, and the share of
# the string's tokens that such runs have to cover.
_RUN, _FOUND = 5, 0.6
# How like a choice a free answer has to be, and how much more like it than like any other choice.
_LIKE, _LIKER = 0.5, 0.05
# The share of a sentence's content words that the passages it cites have to hold.
_SUPPORT = 0.5
# Answers that no passage holds, and that nothing can be said about from their words.
_VERDICTS = frozenset(("yes", "true", "false", "correct"))
_CITATION = re.compile(r"\s*\[([0-9]{1,3})\]")
_FIGURE = re.compile(r"[0-9]+(?:[.,:][0-9]+)*")


# Texts


class _Plain(dict[int, str]):
    """A table for str.translate that is filled in as characters are met: punctuation goes, dashes part words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        goes = character in _SIGNS or unicodedata.category(character).startswith("P")
        self[code] = " " if character in _PARTING else "" if goes else character
        return self[code]


_PLAIN = _Plain()


def normalise(text: str) -> str:
    """Return text in lower case, full-width forms folded, without punctuation and articles, with single spaces."""
    plain = unicodedata.normalize("NFKC", text).lower().translate(_PLAIN)
    return " ".join(_ARTICLE.sub(" ", plain).split())


def tokens(text: str) -> list[str]:
    """Return the words of the normalised text; characters where Chinese or Japanese is written."""
    return _TOKEN.findall(normalise(text))


# Answers


def exact_match(answer: str, accepted: Sequence[str]) -> float:
    """Return 1.0 where the answer has the tokens of one of the accepted ones, in order, else 0.0."""
    given = tokens(answer)
    return float(any(given == tokens(text) for text in accepted))


def token_f1(answer: str, accepted: Sequence[str]) -> float:
    """Return the F1 of the answer's tokens, in any order, against the accepted answer it is most like; 0 to 1."""
    given = tokens(answer)
    return max((_overlap(given, tokens(text)) for text in accepted), default=0.0)


def rouge_l(answer: str, accepted: Sequence[str]) -> float:
    """Return the F-measure of the longest common subsequence of tokens, against the best accepted answer; 0 to 1."""
    given = tokens(answer)
    return max((_f_measure(_common(given, wanted), given, wanted) for wanted in map(tokens, accepted)), default=0.0)


def _overlap(given: Sequence[str], wanted: Sequence[str]) -> float:
    if not given and not wanted:
        return 1.0
    return _f_measure((Counter(given) & Counter(wanted)).total(), given, wanted)


def _f_measure(shared: int, given: Sequence[str], wanted: Sequence[str]) -> float:
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence: one row of its table as the bits of a number.

    (Allison and Dix 1986: a whole row by one addition.)
    """
    places: dict[str, int] = {}
    for place, token in enumerate(left):
        places[token] = places.get(token, 0) | 1 << place
    row = 0
    for token in right:
        either = row | places.get(token, 0)
        row = either & ~(either - (row << 1 | 1))
    return row.bit_count()


def choice_of(answer: str, choices: Sequence[str]) -> int | None:
    """Return the number of the choice that a free answer names, from 0, or None where it names none or several.

    Looked for in this order: the choice's own words and no others, a letter at the beginning, a single letter named
    anywhere ("the answer is B", "(B)"), the words of a single choice among others, and the choice it is clearly most
    like.
    """
    said = answer.strip().translate(_HALF_WIDTH)
    plain, options = normalise(said), [normalise(choice) for choice in choices]
    same = [number for number, option in enumerate(options) if option and option == plain]
    if len(same) == 1:  # before letters: an answer such as "A lighthouse" may begin with one
        return same[0]
    if (number := _letter(said, len(choices))) is not None:
        return number
    inside = [number for number, option in enumerate(options) if option and option in plain]
    return inside[0] if len(inside) == 1 else _nearest(tokens(said), choices)


_HALF_WIDTH = str.maketrans("\uff08\uff09\uff3b\uff3d\uff1a\uff0c\uff0e", "()[]:,.")
# What names a choice, and what may stand between that and its letter; in English and Chinese.
_NOUN = r"(?:answer|option|choice|statement|\u7b54\u6848|\u9009\u9879)"
_LINK = r"\s*(?:is|\u662f|\u4e3a)?\s*[:\-]?\s*[(\[]?"
_OPENING = rf"\W*(?:the\s+)?(?:(?:correct|right|best)\s+)?{_NOUN}?{_LINK}"


def _letter(said: str, count: int) -> int | None:
    """Return the number of the choice whose letter an answer begins with, or names alone."""
    if not count:
        return None
    letter = f"([A-{chr(64 + min(count, 26))}])"
    if first := re.match(rf"{_OPENING}{letter}(?:[)\].:,\u3001\u3002]|\s*$)", said, re.IGNORECASE):
        return ord(first[1].upper()) - 65
    named = {found.upper() for found in re.findall(rf"{_NOUN}{_LINK}{letter}\b", said, re.IGNORECASE)}
    named = named or set(re.findall(rf"\({letter}\)", said))
    return ord(named.pop()) - 65 if len(named) == 1 else None


def _nearest(given: Sequence[str], choices: Sequence[str]) -> int | None:
    likeness = [_overlap(given, tokens(choice)) for choice in choices]
    best, *others = sorted(likeness, reverse=True) or [0.0]
    if best <= _LIKE or (others and best - others[0] <= _LIKER):
        return None
    return likeness.index(best)


# Evidence


def evidence_coverage(passages: Sequence[str], evidence: Sequence[str]) -> list[float]:
    """Return for each evidence string the share of its tokens that lie in a run of five found in some passage.

    A string of fewer tokens has to be found whole. One that a passage's border cuts counts as found where both halves
    were, for its runs may come from several passages.
    """
    held, known = [tokens(passage) for passage in passages], dict[int, set[tuple[str, ...]]]()
    shares = []
    for text in evidence:
        wanted = tokens(text)
        size = min(_RUN, len(wanted))
        if size not in known:
            known[size] = {run for passage in held for run in _runs(passage, size)}
        found = {place + i for place, run in enumerate(_runs(wanted, size)) if run in known[size] for i in range(size)}
        shares.append(len(found) / len(wanted) if wanted else 0.0)
    return shares


def _runs(given: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(given[i:] for i in range(size)), strict=False)


def evidence_recall(passages: Sequence[str], evidence: Sequence[str], any_evidence: bool = False) -> float | None:
    """Return the share of the evidence strings that the passages hold, each by 60 % at least; None without evidence.

    With ``any_evidence`` the strings are alternatives, and one of them is enough for 1.0.
    """
    if not evidence:
        return None
    found = [share >= _FOUND for share in evidence_coverage(passages, evidence)]
    return float(any(found)) if any_evidence else sum(found) / len(found)


# Citations


def without_citations(answer: str) -> str:
    """Return an answer without its [n], which are no words of it."""
    return _CITATION.sub("", answer)


def citation_support(answer: str, passages: Mapping[int, str]) -> float | None:
    """Return the share of the sentences with [n] that the passages they cite support; None where none says anything.

    An automatic proxy, no judgement of meaning: a sentence counts as supported where the cited passages together hold
    half of its content words (stemmed by the rules for English) and every figure it states, in the same digits. So a
    paraphrase may count as unsupported, and a sentence that twists the passage's words as supported. The answers'
    own citations are made by another rule (citation.py), which this one shares nothing with.
    """
    verdicts = []
    for sentence, cited in _cited_sentences(answer):
        content, figures = _content(sentence), set(_figures(sentence))
        if not content and not figures:
            continue
        source = "\n".join(passages.get(number, "") for number in cited)
        shared = len(content & _content(source))
        verdicts.append(shared >= _SUPPORT * len(content) and figures <= set(_figures(source)))
    return sum(verdicts) / len(verdicts) if verdicts else None


def _cited_sentences(answer: str) -> Iterator[tuple[str, list[int]]]:
    """Yield (sentence without citations, numbers cited); citations after a full stop belong to what it ends."""
    # Before the full stop they are out of the way of finding where sentences end.
    moved = re.sub(rf"([.!?\u3002\uff01\uff1f][\"'\u201d\u2019)]*)((?:{_CITATION.pattern})+)", r"\2\1", answer)
    for start, end in sentences(moved):
        if numbers := [int(number) for number in _CITATION.findall(moved[start:end])]:
            yield without_citations(moved[start:end]), numbers


def _content(text: str) -> frozenset[str]:
    import Stemmer

    found = [word for word in words(text) if word not in _stop_words() and not word.isdigit()]
    return frozenset(Stemmer.Stemmer("en").stemWords(found))


@cache
def _stop_words() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    return frozenset(STOPWORDS_EN_PLUS) | _VERDICTS


def _figures(text: str) -> list[str]:
    """Return the numbers in digits that a text states; commas that part thousands do not matter."""
    return [figure.replace(",", "") for figure in _FIGURE.findall(unicodedata.normalize("NFKC", text))]
