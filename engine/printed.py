"""Printed pages -> text: running heads and page numbers are left out, printed lines become paragraphs again."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from engine.readers import Piece

_LIST_ITEM = re.compile(r"[-–•▪◦*]\s|\(?\d{1,3}[.)]\s")
_CJK_SEAM = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]{2}")
# Words that stand before a page number; any other single word with a number is a heading ("Chapter 3").
_PAGE_WORDS = {
    "page",
    "pages",
    "p",
    "pp",
    "pg",
    "seite",
    "página",
    "pagina",
    "pág",
    "pag",
    "s",
    "str",
    "strona",
    "sida",
    "side",
    "sivu",
    "стр",
    "oldal",
}
_DEEPEST = 2  # lines at an edge of a page that may be running ones
_LONGEST = 200  # characters of a running line
_FEWEST = 3  # pages that must share such a line


def as_text(pages: list[Piece]) -> list[Piece]:
    """Return the pages as text; each ``text`` comes as lines in the order in which they were drawn."""
    lines = [[" ".join(line.split()) for line in page.text.split("\n")] for page in pages]
    return [replace(page, text=_reflow(kept)) for page, kept in zip(pages, without_running(lines), strict=True)]


def without_running(pages: Sequence[list[str]]) -> list[list[str]]:
    """Leave out heads and feet: lines that more than half of the pages share at their upper or lower edge.

    Left and right pages may have their own. Numbers in them may differ only as those of pages do. Where nothing else is
    printed on any page, everything stays.
    """
    kept = [_trimmed(page) for page in pages]
    for from_end in (False, True):
        if from_end:
            kept = [page[::-1] for page in kept]
        kept = _peeled(kept)
        if from_end:
            kept = [page[::-1] for page in kept]
    return kept if any(map(any, kept)) else list(pages)


def _peeled(pages: list[list[str]]) -> list[list[str]]:
    """Take the running lines off the beginning of the pages, the outermost first."""
    for _ in range(_DEEPEST):
        edge = [(number, page[0]) for number, page in enumerate(pages) if page]
        running = [_running(edge) | _running([at for at in edge if at[0] % 2 == side]) for side in (0, 1)]
        pages = [
            _trimmed(page[1:]) if page and _key(page[0]) in running[number % 2] else page
            for number, page in enumerate(pages)
        ]
    return pages


def _running(edge: list[tuple[int, str]]) -> set[str]:
    """Return the keys that most of these lines have, each line given with the index of its page."""
    times = Counter(_key(line) for _, line in edge)
    often = {key for key, n in times.items() if n >= _FEWEST and n * 2 > len(edge)}
    return {key for key in often if _counts_pages([(n, line) for n, line in edge if _key(line) == key])}


def _counts_pages(lines: list[tuple[int, str]]) -> bool:
    """Tell whether each number in lines that are alike otherwise is the same on most pages, or grows with the page."""
    numbers = [(page, [int(found) for found in re.findall(r"\d{1,9}", line)]) for page, line in lines]
    for column in range(min(len(found) for _, found in numbers)):
        same = Counter(found[column] for _, found in numbers)
        growing = Counter(found[column] - page for page, found in numbers)
        if max(*same.values(), *growing.values()) * 2 <= len(lines):
            return False
    return True


def _key(line: str) -> str:
    """Return the line without its numbers; with them where they make a heading ("Chapter 3")."""
    if len(line) > _LONGEST:
        return line
    words = re.findall(r"[^\W\d_]+", line.lower())
    return line if len(words) == 1 and words[0] not in _PAGE_WORDS else re.sub(r"\d+", "#", line)


def _trimmed(lines: list[str]) -> list[str]:
    """Drop blank lines at both ends."""
    filled = [n for n, line in enumerate(lines) if line]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _reflow(raw: Sequence[str]) -> str:
    """Join lines into paragraphs: a line well short of the page's width ends one, a full line goes on."""
    lines = [re.sub("[\ufb00-\ufb06]", lambda ligature: unicodedata.normalize("NFKC", ligature[0]), x) for x in raw]
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    parts = lines[:1]
    for before, line in pairwise(lines):
        if re.search(r"[^\W\d_][-\u2010\u00ad]$", before) and line[:1].islower():
            parts[-1] = before[:-1]  # a word broken at the line's end
        else:
            parts.append(_between(before, line, width))
        parts.append(line)
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _between(before: str, line: str, width: int) -> str:
    """Choose what stands between two printed lines once they are text again."""
    short = len(before) < width * (0.85 if before.endswith(tuple('.!?:…。！？”"')) else 0.6)
    if not before or not line or short or _LIST_ITEM.match(line):
        return "\n"
    return "" if _CJK_SEAM.match(before[-1] + line[0]) else " "  # Chinese and Japanese have no spaces
