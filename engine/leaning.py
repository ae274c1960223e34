"""Whether a question leans on what was said before, told without a model: "Why did he leave?", "And in 2021?", "Why?".

Made to leave alone what can stand alone. English and Chinese are read word by word; of other languages only questions
of a word or two lean.
"""

from __future__ import annotations

import re

from engine.leaning_en import EnglishQuestion
from engine.leaning_zh import HAN, KANA, leans_in_chinese
from engine.wording import ENGLISH

# A question of so many characters says enough by itself.
_LONG = 300
# Letters of a question in another language that can hardly stand alone; of scripts that set no words apart, fewer.
_TINY, _TINY_UNSPACED = 12, 5
_UNSPACED = re.compile(rf"{KANA.pattern}|[\u0e00-\u0eff\uac00-\ud7a3]")


def leans(question: str, language: str) -> bool:
    """Return whether a question needs what was said before it; ``language`` is that of the corpus ("en", "zh-cn")."""
    if len(question) > _LONG:
        return False
    if HAN.search(question) and not KANA.search(question):
        return leans_in_chinese(question)
    english, is_usual = EnglishQuestion(question), language.startswith("en")
    known = len(ENGLISH & set(english.words))
    if known >= (1 if is_usual else 2) or (is_usual and question.isascii()):
        return english.leans
    words = re.findall(r"\w+", question)
    letters = sum(map(len, words))
    if _UNSPACED.search(question):
        return len(words) <= 1 and letters <= _TINY_UNSPACED
    return len(words) <= 2 and letters <= _TINY
