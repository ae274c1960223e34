"""TXT: what encoding a file is in, and its text block by block.

The file is read twice, each time from disk and in blocks: once to learn what it is, because the first byte that tells
may be its last, and once to decode it. No more than the text itself is ever held.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import ascii_letters
from typing import BinaryIO

from engine.encodings import guess
from engine.readers import CONTROLS, Limits, Opened, Piece, tidy

BLOCK = 2**20  # bytes
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STRANGE_BYTES = bytes(sorted({*range(32), 127} - set(b"\t\n\v\f\r\x1a\x1b")))
_ODD_BYTES = bytes(range(128, 256))
_HARMLESS = "\t\n\v\f\r\x1a\ufeff\u00ad\u200b\u200c\u200d\u200e\u200f"
_REPLACEMENT = "\ufffd".encode()
# A legacy character may end in ASCII from "0" on; what follows a lower byte begins a character.
_ODD = re.compile(rb"[\x30-\x7e]{0,30}[\x80-\xff]")
_ALIGNED = re.compile(rb"[\t-/][\x30-\x7e]*[\x80-\xff]")
_WINDOW, _WINDOWS = 1024, 64  # bytes, and how many are judged
# What fills texts in any script: letters and marks of ASCII, and full-width marks.
_EVERYDAY = re.compile("[\t\n\r\x20-\x7e\u3001\u3002\uff01\uff0c\uff1a\uff1f]")


def read_text(file: BinaryIO, name: str, limits: Limits, password: str | None) -> Opened:
    """Open a text of any encoding that people have; steps are counted in bytes.

    Raises:
        ValueError: it is no text but a binary file.
    """
    total = file.seek(0, 2)
    file.seek(0)
    scan = _Scan()
    encoding = _wide(file.read(BLOCK)) or scan.run(file)
    file.seek(0)
    notes = []
    if scan.broken and encoding == "utf-8":
        notes.append(f'"{name}" holds {scan.broken:,} broken characters; each is shown as \ufffd.')
    return Opened(total, _blocks(file, encoding), notes=notes)


def _blocks(file: BinaryIO, encoding: str) -> Iterator[tuple[int, Piece]]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    held, first, strange, length, ended = "", True, 0, 0, False
    while not ended:
        block = file.read(BLOCK)
        ended = len(block) < BLOCK
        text = held + decoder.decode(block, ended)
        if first:
            text, first = text.removeprefix("\ufeff"), False
        held = "\r" if text.endswith("\r") and not ended else ""  # perhaps half a newline
        if encoding.startswith("utf-") and encoding != "utf-8":
            strange += text.count("\ufffd") + len(CONTROLS.findall(text))
        length += len(text)
        yield file.tell(), Piece(tidy(text[: len(text) - len(held)]), gap="")
    # One of them is what a cut file ends in.
    if strange > 1 + length // 20:
        raise ValueError("too many characters that no text holds")


def _wide(head: bytes) -> str:
    """Return which encoding of two or four bytes a character the file begins in, or "" for none of them.

    Windows saves "Unicode" without a byte order mark, too: then NUL bytes stand beside every ASCII character.
    """
    for mark, encoding in _BOMS:
        if head.startswith(mark) and not (encoding == "utf-32-le" and len(head) % 4):
            if _oddness(head, encoding) > 0.05:
                raise ValueError("a byte order mark before what is no text")
            return encoding
    if b"\0" not in head:
        return ""
    found = {encoding: _EVERYDAY.findall(_sample(head, encoding)) for encoding in ("utf-16-le", "utf-16-be")}
    best = max(found, key=lambda encoding: len(found[encoding]))
    text = _sample(head, best)
    # Two ASCII letters look like one Chinese character; but few Chinese characters look like two letters.
    letters = sum(chr(ord(c) >> 8) in ascii_letters and chr(ord(c) & 0xFF) in ascii_letters for c in text)
    # At least one character in fifty is an everyday one, in whatever script.
    if _oddness(head, best) > 0.02 or len(found[best]) * 50 < len(text) or letters * 2 > len(text):
        raise ValueError("NUL bytes in what is not UTF-16")
    return best


def _sample(head: bytes, encoding: str) -> str:
    text = head[: 2**16].decode(encoding, "replace")
    cut = len(head) % 4 or len(head) > 2**16
    return text.removesuffix("\ufffd") if cut else text


def _oddness(head: bytes, encoding: str) -> float:
    """Return the share of characters that are controls, unassigned, private or undecodable."""
    text = _sample(head, encoding)
    odd = sum(c == "\ufffd" or (unicodedata.category(c)[0] == "C" and c not in _HARMLESS) for c in text)
    return odd / max(1, len(text) - 1)


@dataclass
class _Scan:
    """The first reading of a file: is it a text, is it UTF-8, and which odd parts tell what else it is."""

    samples: list[bytes] = field(default_factory=list)
    broken: int = 0  # byte sequences that are not UTF-8
    valid: int = 0  # characters of two bytes and more that are
    _tail: bytes = b""

    def run(self, file: BinaryIO) -> str:
        """Return the encoding, one that keeps ASCII as it is.

        Raises:
            ValueError: there are NUL bytes, or too many control characters.
        """
        size = strange = file.seek(0)
        while block := file.read(BLOCK):
            size += len(block)
            strange += len(block) - len(block.translate(None, _STRANGE_BYTES))
            if b"\0" in block:
                raise ValueError("NUL bytes")
            if self._tail or not block.isascii():
                self._look(block, first=size == len(block))
        if strange > size // 20:
            raise ValueError("too many control characters")
        self.broken += bool(self._tail)
        # Some broken characters among more that are sound are damage; no other encoding looks so by chance.
        if self.broken * 2 <= self.valid or not self.broken:
            return "utf-8"
        step = -(-len(self.samples) // _WINDOWS)
        return guess(self.samples[::step])

    def _look(self, block: bytes, first: bool) -> None:
        at = 0
        for part in range(4):
            at = max(at, len(block) * part // 4)
            # The first odd byte of a file begins a character, and where nothing else is to be had, that of a block.
            found = _ODD.search(block) if first and not part else _ALIGNED.search(block, at)
            found = found or (None if self.samples else _ODD.search(block))
            if not found:
                break
            at = found.start() + _WINDOW
            sample = block[found.start() : at]
            self.samples.append(sample if at >= len(block) else _whole(sample))
        if self.broken > 1000 + self.valid:
            return  # certainly something else, and each error is slow
        data = self._tail + block
        text, used = codecs.utf_8_decode(data, "replace", False)
        data, self._tail = data[:used], data[used:]
        broken = text.count("\ufffd") - data.count(_REPLACEMENT)
        self.broken += broken
        self.valid += len(text) - broken - len(data.translate(None, _ODD_BYTES))


def _whole(sample: bytes) -> bytes:
    """Let a sample that was cut end where a character ends, unless too little would be left."""
    end = 1 + max(sample.rfind(end) for end in (b"\n", b" ", b",", b"."))
    return sample[:end] if end * 2 > len(sample) else sample
