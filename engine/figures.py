"""The figures that a text states, however it writes them: 1,280 and 1280, twelve and 12, 一八七四 and 1874.

An answer that turns the "two hundred and fourteen steps" of a passage into "214" agrees with it; one that makes them
241 does not. Words for numbers are known in English and, as characters, in Chinese and Japanese.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    "twelfth",
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_NUMBERS = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * value for value, word in enumerate(_TENS, 2)}
    | {word: value for value, word in enumerate(_ORDINALS, 1)}
    | {"once": 1, "twice": 2, "both": 2, "pair": 2, "couple": 2, "thrice": 3, "dozen": 12}
)
NUMBER_WORDS = frozenset([*_NUMBERS, *_SCALES])
# Words that state no figure in most sentences: "one of them", "at first", "a second later".
_LOOSE = frozenset(["one", "first", "second", "once", "both", "pair", "couple", "zero"])
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*[\u4e07\u4ebf]?|[a-z]+|[^\W\da-z]|[,;:.]")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}")
_AND = "and"
_HAN_DIGITS = {sign: value for value, sign in enumerate("\u96f6\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d")}
_HAN_DIGITS |= {"\u3007": 0, "\u4e24": 2}
_HAN_UNITS = {"\u5341": 10, "\u767e": 100, "\u5343": 1000}
_HAN_SCALES = {"\u4e07": 10**4, "\u4ebf": 10**8}
_HAN_RUN = re.compile(f"[{''.join([*_HAN_DIGITS, *_HAN_UNITS, *_HAN_SCALES])}]+")
# 万一 (in case), 千万 (by all means), 一一 (one by one)
_HAN_WORDS = frozenset(["\u4e07\u4e00", "\u5343\u4e07", "\u4e00\u4e00"])


def figures(text: str, is_strict: bool = False) -> set[str]:
    """Return the figures of a text as plain decimals ("1280", "3.5").

    With ``is_strict``, only what is surely meant as a figure: no "one of them", no single Chinese character.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    reader = _Reader(is_strict)
    for token in _TOKEN.findall(text):
        reader.take(token)
    reader.end()
    for run in _HAN_RUN.findall(text):
        if not is_strict or (len(run) > 1 and run not in _HAN_WORDS):
            reader.found.add(str(_han(run)))
    return reader.found


class _Reader:
    """Joins words and digits to figures: "two hundred and fourteen" and "5 million" are one each."""

    def __init__(self, is_strict: bool) -> None:
        self.found: set[str] = set()
        self._is_strict = is_strict
        self._tokens: list[str] = []  # of the figure being read
        self._large = self._small = Decimal(0)  # its thousands and more, and the rest

    def take(self, token: str) -> None:
        """Take the next word or number in lower case."""
        if self._tokens and token == _AND and self._small % 100 == 0:
            return
        if self._tokens and token in _SCALES:
            self._scale(_SCALES[token])
            return
        values = [Decimal(_NUMBERS[token])] if token in _NUMBERS else _digits(token)
        if not (values and token.isalpha() and self._goes_on(values[0])):
            self.end()
        self.found.update(_plain(value) for value in values[1:])
        if values:
            self._small += values[0]
            self._tokens.append(token)
        elif token in ("hundred", "thousand"):  # "a hundred men"
            self._small = Decimal(_SCALES[token])
            self._tokens.append(token)

    def end(self) -> None:
        """Keep the figure that was read so far."""
        is_loose = len(self._tokens) == 1 and self._tokens[0] in _LOOSE
        if self._tokens and not (self._is_strict and is_loose):
            self.found.add(_plain(self._large + self._small))
        self._tokens, self._large, self._small = [], Decimal(0), Decimal(0)

    def _scale(self, scale: int) -> None:
        self._tokens.append("")
        if scale == 100:
            self._small *= 100
        else:
            self._large, self._small = self._large + (self._small or 1) * scale, Decimal(0)

    def _goes_on(self, value: Decimal) -> bool:
        """Whether a number word goes on with what was read: "twenty" with "one", "hundred" with "fourteen"."""
        rest = self._small % 100
        return rest == 0 or (value < 10 and rest >= 20 and rest % 10 == 0)


def _digits(token: str) -> list[Decimal]:
    """Return the numbers that a token of digits holds: one, or several where its commas divide no thousands."""
    if not token[:1].isdigit():
        return []
    scale = _HAN_SCALES.get(token[-1], 1)
    token = token.rstrip("\u4e07\u4ebf")
    if _GROUPED.fullmatch(token):
        token = token.replace(",", "") if "," in token else token.replace(".", "")
    parts = token.split(",") if token.count(".") < 2 else re.split("[.,]", token)
    try:
        return [Decimal(part) * scale for part in parts]
    except InvalidOperation:  # digits of a script that Decimal does not read
        return []


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _han(run: str) -> int:
    """Return the value of Chinese number characters, by place (一八七四) or by unit (一千二百)."""
    if len(run) > 1 and all(sign in _HAN_DIGITS for sign in run):
        return int("".join(str(_HAN_DIGITS[sign]) for sign in run))
    total = section = digit = 0
    for sign in run:
        if sign in _HAN_DIGITS:
            digit = _HAN_DIGITS[sign]
        elif sign in _HAN_UNITS:
            section, digit = section + (digit or 1) * _HAN_UNITS[sign], 0
        else:
            total, section, digit = (total + section + digit) * _HAN_SCALES[sign], 0, 0
    return total + section + digit
