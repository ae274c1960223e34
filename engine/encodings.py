"""Which legacy encoding a text is in: chardet's guess, from the words that tell.

In a long English text with a few foreign words, what is plain ASCII tells nothing and outvotes what does. So only the
words that hold other bytes are looked at, with a few around them, which tell what language they stand in.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence

# Words kept on each side of one that tells.
_AROUND = 3
# Where chardet is less sure than this, or there is but one odd letter, those that stand alone among others are taken
# for Western European. With all of this, 1,434 of 1,472 texts in 32 encodings and 25 languages were read exactly.
_SURE = 0.05
_USUAL = "cp1252"
_SPACE, _ODD = re.compile(rb"[\x00-\x20]+"), re.compile(rb"[\x80-\xff]+")


def guess(samples: Sequence[bytes]) -> str:
    """Return the codec's name for a text that is not UTF-8, "cp1252" where nothing tells.

    ``samples`` are parts of it that begin where a character begins, and hold the bytes to judge by.
    """
    import chardet
    from chardet.enums import EncodingEra

    telling = _telling(b"\n".join(samples))
    found = chardet.detect(telling, encoding_era=EncodingEra.MODERN_WEB | EncodingEra.LEGACY_ISO)
    try:
        codec = codecs.lookup(found["encoding"] or _USUAL).name
    except LookupError:  # one that Python has no codec for
        return _USUAL
    runs = _ODD.findall(telling)
    if 2 * sum(len(run) == 1 for run in runs) < sum(map(len, runs)):
        return codec
    is_doubtful = found["confidence"] < _SURE or len(set(runs)) == 1
    return _USUAL if is_doubtful or not _is_latin(telling, codec) else codec


def _is_latin(sample: bytes, codec: str) -> bool:
    """Whether most letters beyond ASCII are of the Latin script: one of another does not stand alone among these."""
    letters = [letter for letter in sample.decode(codec, "replace") if letter.isalpha() and not letter.isascii()]
    return 2 * sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters) > len(letters)


def _telling(sample: bytes) -> bytes:
    words = _SPACE.split(sample)
    odd = [not word.isascii() for word in words]
    near = (any(odd[max(0, i - _AROUND) : i + _AROUND + 1]) for i in range(len(words)))
    return b" ".join(word for word, is_near in zip(words, near, strict=True) if is_near)
