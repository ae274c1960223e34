"""Texts in the encodings that people have, with damage."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

DATA = Path(__file__).parents[1] / "data"
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp1252", "cp1250", "cp1251"),
    *("iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "koi8-r", "gb18030", "big5", "cp932"),
    *("euc_jp", "euc_kr", "iso2022_jp", "cp037"),
)
SENTENCES = (
    "The keeper wrote the wind and the oil into his book.\r\n",
    "L’été, le gardien – très âgé – répétait “déjà vu”.\n",
    "Маяк был построен в 1874 году на острове.\n",
    "灯塔建于一八七四年。守塔人喜欢在海边散步。\n",
    "灯台は1874年に建てられました。\n",
    "등대는 1874년에 세워졌습니다.\n",
    "Ο φάρος χτίστηκε το 1874.\t\f\v\n",
    "Żółta łódź, říční přístav, ğüşiöç.\n",
    "🌊🗼 A wave and a tower.\x1b[0m\x85\u2028",
)
# Where readers may cut a file into blocks.
EDGES = (2**10, 2**12, 2**14, 2**16, 2**18, 2**20)


@cache
def seeds() -> tuple[bytes, ...]:
    whole = "".join(SENTENCES)
    return (
        (DATA / "lighthouse.txt").read_bytes()[:2000],
        *(whole.encode(encoding, "ignore") for encoding in ENCODINGS),
        b"<!doctype html><p>Hello</p>",
        b"\x7fELF\x02\x01\x01" + bytes(40),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"SQLite format 3\0" + bytes(60),
    )


def damage(data: bytes, chance: random.Random) -> bytes:
    """Change a few places: flip, cut, repeat, insert, or put bytes of elsewhere in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        end = min(len(changed), at + chance.choice((1, 2, 4, 16, 200)))
        kind = chance.randrange(5)
        if kind == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del changed[at:end]
        elif kind == 2:
            changed[at:at] = changed[at:end] * chance.choice((1, 2, 50))
        elif kind == 3:
            changed[at:at] = chance.choice((b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x80", b"\xf0\x9f", b"\x1a"))
        else:
            other = chance.randrange(len(changed) + 1)
            changed[at:end] = changed[other : other + end - at]
    return bytes(changed)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Damage a text, this one or a sound one; without new ones, what is left after a while are a few odd bytes."""
    if chance.random() < 0.5:
        data = "".join(chance.choices(SENTENCES, k=chance.randint(1, 8))).encode(chance.choice(ENCODINGS), "ignore")
    return damage(data, chance) if chance.random() < 0.9 else data


@st.composite
def damaged(draw: st.DrawFn, whole: tuple[bytes, ...]) -> bytes:
    """One of these, or two spliced, with damage or cut short."""
    data = draw(st.sampled_from(whole))
    chance = random.Random(draw(st.integers(0, 2**32)))
    way = draw(st.sampled_from(("damage", "cut", "splice")))
    if way == "cut":
        return data[: chance.randrange(len(data) + 1)]
    if way == "splice":
        other = draw(st.sampled_from(whole))
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    return damage(data, chance)


@st.composite
def encoded(draw: st.DrawFn) -> bytes:
    """Text of any script in any encoding, with odd bytes near where blocks may end."""
    parts = st.lists(st.sampled_from(SENTENCES) | st.text(max_size=30), min_size=1, max_size=8)
    text = "".join(draw(parts))
    data = text.encode(draw(st.sampled_from(ENCODINGS)), "ignore")
    if draw(st.booleans()):
        data = draw(damaged((data or b"x",)))
    if draw(st.integers(0, 9)) == 0:
        near = draw(st.sampled_from(EDGES)) + draw(st.integers(-4, 4))
        data = b"plain words \n" * (near // 13) + b"." * (near % 13) + data
    return data


def files() -> st.SearchStrategy[bytes]:
    return st.binary(max_size=300) | encoded() | encoded() | damaged(seeds())
