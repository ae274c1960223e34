"""Which language a text is in."""

from __future__ import annotations

from collections.abc import Sequence

_SAMPLE = 2000


def language_of(texts: Sequence[str]) -> str:
    """Return the language code of texts ("en", "zh-cn", ...), from samples of their beginning, middle and end.

    The same text always gives the same answer; "en" where there is nothing to go by, such as figures only.
    """
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0
    longest = max(texts, key=len)
    middle = len(longest) // 2
    sample = " ".join((longest[:_SAMPLE], longest[middle : middle + _SAMPLE], longest[-_SAMPLE:]))
    try:
        return str(detect(sample))
    except LangDetectException:
        return "en"
