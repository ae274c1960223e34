"""Which language a text is in: langdetect over samples of the whole text, each of which has a vote.

langdetect (Nakatani Shuyo's n-gram profiles, 55 languages) takes short Chinese and Japanese for Korean, whose profile
holds Chinese characters too. So the script decides between the three, and langdetect only between the two ways to
write Chinese.
"""

from __future__ import annotations

import random
import re
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

# Samples of a text, and the characters of each. One costs a millisecond.
_SAMPLES, _SAMPLE = 48, 400
_HAN = re.compile(r"[\u3005\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9f]")
_HANGUL = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
# A character of these scripts says about as much as three letters of an alphabet.
_EAST_ASIAN_WEIGHT = 3
_CHINESE = {"zh-cn": 0.5, "zh-tw": 0.5}
# Loading the profiles takes a third of a second: threads that ask first wait for the one that does it.
_LOADING = threading.Lock()


def language_of(texts: Sequence[str]) -> str:
    """Return the language code of most of what the texts say ("en", "zh-cn", ...), as langdetect names it.

    The same texts always give the same answer, whatever was asked before or is asked at the same time; "en" where there
    is nothing to go by, such as figures only.
    """
    votes: dict[str, float] = defaultdict(float)
    # Both ways to write Chinese together: they must not lose for being two.
    families: dict[str, float] = defaultdict(float)
    for sample in _samples(texts):
        for code, weight in _votes(sample):
            votes[code] += weight
            families[code[:2]] += weight
    if not votes:
        return "en"
    family = _most(families)
    return _most({code: weight for code, weight in votes.items() if code[:2] == family})


def _most(votes: Mapping[str, float]) -> str:
    return min(votes, key=lambda code: (-votes[code], code))


def _samples(texts: Sequence[str]) -> Iterator[str]:
    """Yield one sample from each of many equal parts of the texts, taken together as one."""
    ends = list(accumulate(map(len, texts)))
    total = ends[-1] if ends else 0
    if not total:
        return
    count = min(_SAMPLES, -(-total // _SAMPLE))
    part = total // count
    size = min(part, _SAMPLE)
    # Not at equal distances: a text may change its language at equal distances too.
    places = random.Random(0)  # noqa: S311 - the same places every time are wanted
    for begin in range(0, part * count, part):
        yield _window(texts, ends, begin + places.randrange(part - size + 1), size)


def _window(texts: Sequence[str], ends: Sequence[int], start: int, size: int) -> str:
    """Return ``size`` characters from ``start`` on, running on into the next texts; ``ends`` adds up their lengths."""
    pieces: list[str] = []
    for number in range(bisect_right(ends, start), len(texts)):
        offset = start - ends[number] + len(texts[number])
        pieces.append(texts[number][offset : offset + size])
        start, size = ends[number], size - len(pieces[-1])
        if not size:
            break
    return " ".join(pieces)


def _votes(sample: str) -> Iterator[tuple[str, float]]:
    """Yield (language code, weight); the weights together say how much the sample says, in letters."""
    han, kana, hangul = (len(script.findall(sample)) for script in (_HAN, _KANA, _HANGUL))
    east_asian = han + kana + hangul
    others = sum(map(str.isalpha, sample)) - east_asian
    weight = east_asian * _EAST_ASIAN_WEIGHT
    if weight < others:
        found = _detect(sample)
        weight = others
    elif 5 * hangul > east_asian:  # Korean may hold many Chinese characters, Chinese hardly any Hangul
        found = [("ko", 1.0)]
    elif 10 * kana > east_asian:  # even a Japanese title has some kana
        found = [("ja", 1.0)]
    else:
        found = _detect(" ".join(re.findall(f"{_HAN.pattern}+", sample)), _CHINESE)
    yield from ((code, share * weight) for code, share in found)


def _detect(text: str, among: dict[str, float] | None = None) -> list[tuple[str, float]]:
    """Return langdetect's guesses with their probabilities; none where a text has no letters that it knows."""
    from langdetect import LangDetectException

    with _LOADING:
        detector = _factory().create()
    if among:
        detector.set_prior_map(among)
    # Words in capitals are passed over as names and abbreviations, which in a text all in capitals leaves nothing.
    detector.append(text.lower() if text.isupper() else text)
    try:
        return [(str(guess.lang), float(guess.prob)) for guess in detector.get_probabilities()]
    except LangDetectException:
        return []


@cache
def _factory() -> Any:  # noqa: ANN401 - langdetect has no types
    """Return a detector factory of our own: the library's is shared, and half-loaded while another thread makes it."""
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    factory.set_seed(0)
    return factory
