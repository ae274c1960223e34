"""What a memory says becomes clues: one a line, cleaned of whatever is no hint."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.events import Clue, ClueKind, Reply
from engine.prompt import Prompts

# A bullet or a number of a list; "3.5 metres", "10:30" and "J. Smith" are none.
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u00b7>#]+\s*|\(?\d{1,2}(?:[.):]\s+|\u3001\s*)|\(?[a-z]\)\s+)")
_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f", '"', "\u201d", ")")
_CLUE_CHARACTERS = 300


def clean_clues(replies: Sequence[tuple[ClueKind, Reply]], question: str, prompts: Prompts) -> tuple[Clue, ...]:
    """Turn a model's replies into clues: one a line, without bullets, echoes, repetitions and cut-off last lines."""
    seen = {_plain(question), _plain(prompts.acknowledge)}
    clues: list[Clue] = []
    for kind, reply in replies:
        lines = [_BULLET.sub("", line).strip().strip('"') for line in reply.text.splitlines() if line.strip()]
        if len(lines) > 1 and not lines[-1].endswith(_ENDS):
            lines.pop()
        for line in lines:
            key = _plain(line)
            if len(key) >= 4 and key not in seen and not line.endswith((":", "\uff1a")):
                seen.add(key)
                clues.append(Clue(kind, line[:_CLUE_CHARACTERS]))
    return tuple(clues)


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()
