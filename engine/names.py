"""The names that texts mention: people, places, ships, spells; told by their capitals, whole ("Isolde Marrick").

Only for languages that keep capitals for names. A word that begins a sentence counts where it is capitalised inside one
too, or where it goes on as a longer name.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.figures import NUMBER_WORDS
from engine.wording import FUNCTION, GENERIC, IMPERATIVES

# Capitals begin every noun there, so they tell no names.
_CAPITAL_NOUNS = ("de", "lb")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NO_NAMES = FUNCTION | GENERIC | IMPERATIVES | NUMBER_WORDS
# What may stand between two words of one name: "Order of the Phoenix", "T. M. Riddle", "Mrs. Norris".
_JOINT = re.compile(r" (?:(?:of|de|du|von|van) (?:the |la |der )?)?")
_ABBREVIATED = re.compile(r"[^\W\d_]|Mr|Mrs|Ms|Dr|St")
_POSSESSIVE = re.compile(r"['\u2019]s?\Z")
_ENDS = ".!?:;\u2014["
_SKIPPED = " \t*_>-\"'\u201c\u2018("
# What follows a name that begins a sentence: its verb, another name, or nothing at all.
_AFTER_NAME = re.compile(r"(?:['\u2019]s)?\s+(?:was|is|has|had|does|were)\b|['\u2019]s\b|,? (?:and )?[^\W\d_a-z]|\W*\Z")
_DATES = frozenset(word.lower() for word in (*calendar.month_name[1:], *calendar.day_name))
# A line of at most so many words that ends without punctuation is a heading, where others follow.
_HEADING = 12


def names(texts: Sequence[str], language: str) -> Counter[str]:
    """Return the names in some texts with how often each stands there, in the order in which they come first.

    A part of a longer name counts for it, where it is part of no other.
    """
    if language.partition("-")[0] in _CAPITAL_NOUNS:
        return Counter()
    lines = [line.strip() for text in texts for line in _lines(text)]
    small = {word for line in lines for word in _WORD.findall(line) if word[0].islower()}
    found = [run for line in lines for run in _runs(line)]
    inside = {word for run, is_open in found for word in run.split()[is_open:]}
    counted: Counter[str] = Counter()
    for run, is_open in found:
        parts = run.split()
        is_sure = not is_open or len(parts) > 1 or parts[0] in inside
        if is_sure and any(part.lower() not in small and part.lower() not in _DATES for part in parts):
            counted[run] += 1
    return _merged(counted)


def _lines(text: str) -> list[str]:
    """Return the lines of a text without its headings; broken lines of prose stay together."""
    blocks = re.split(r"\n\s*\n|\n(?=[-*#])", text.strip())
    whole = [" ".join(block.split()) for block in blocks]
    if len(whole) < 2:
        return whole
    return [line for line in whole if line[-1:] in ".!?\"'\u201d\u2019)]" or len(line.split()) > _HEADING]


def _runs(line: str) -> Iterator[tuple[str, bool]]:
    """Yield each run of capitalised words that may be a name, and whether it may be no more than a beginning."""
    run: list[re.Match[str]] = []
    for word in [*(word for word in _WORD.finditer(line) if word[0][0].isupper()), None]:
        if word is not None and run and _joins(line, run[-1], word):
            run.append(word)
            continue
        if run and (text := _bare(line, run)):
            is_whole = len(text) >= run[-1].end() - run[0].start() - 2
            is_named = is_whole and _AFTER_NAME.match(line, run[-1].end())
            yield text, _begins(line, run[0].start()) and not is_named
        run = [word] if word is not None else []


def _joins(line: str, left: re.Match[str], right: re.Match[str]) -> bool:
    gap = line[left.end() : right.start()]
    if _ABBREVIATED.fullmatch(left[0]) and gap.startswith("."):
        gap = gap[1:]
    return bool(_JOINT.fullmatch(gap)) and not _POSSESSIVE.search(left[0])


def _bare(line: str, run: list[re.Match[str]]) -> str:
    """Return a run without the words before the name ("The", "When", "Describe"), or nothing."""
    words = list(run)
    while words and len(words[0][0]) > 1 and words[0][0].lower() in _NO_NAMES:
        words.pop(0)
    text = _POSSESSIVE.sub("", line[words[0].start() : words[-1].end()]) if words else ""
    return text if len(text) > 1 else ""


def _begins(line: str, place: int) -> bool:
    before = line[:place].rstrip(_SKIPPED)
    return not before or before[-1] in _ENDS


def _merged(counted: Counter[str]) -> Counter[str]:
    merged: Counter[str] = Counter()
    for name in counted:
        longer = [other for other in counted if other != name and f" {name} " in f" {other} "]
        merged[longer[0] if len(longer) == 1 else name] += counted[name]
    return merged
