"""The dataset card of a repository of corpora: what people see of it on the Hub."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from demo.catalogue import Manifest

_BEGIN, _END = "<!-- corpora -->", "<!-- end of corpora -->"
_MARKED = re.compile(rf"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
_ACTIVE = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


def card(repository: str, before: str, corpora: Mapping[str, Manifest]) -> str:
    """Return ``README.md``: made new where there was none ``before``, else with its list of corpora made anew."""
    table = "\n".join([_BEGIN, "", *_table(corpora), "", _END])
    if _MARKED.search(before):
        return _MARKED.sub(lambda _: table, before)
    return f"{before.rstrip() or _opening(repository)}\n\n{table}\n"


def _opening(repository: str) -> str:
    return (
        "---\ntags:\n- memorag\nviewer: false\n---\n\n"
        "# Memorised corpora\n\n"
        "Each folder holds a corpus that was memorised: its description, its texts in passages with their vectors, "
        "and for some the memory of one model. Nothing in it is run when it is loaded. To have them all:\n\n"
        f"    python -m demo.corpora pull {repository}"
    )


def _table(corpora: Mapping[str, Manifest]) -> list[str]:
    rows = [
        f"| {slug} | {_plain(held.title)} | {_plain(held.language)} | {_plain(held.licence)} |"
        for slug, held in sorted(corpora.items())
    ]
    return ["| corpus | title | language | licence |", "|---|---|---|---|", *rows]


def _plain(text: str) -> str:
    """Return a line so that it is shown as it is."""
    return _ACTIVE.sub(r"\\\1", html.escape(text, quote=False))
