"""What visitors thought of answers, for whoever runs the page: how each was made and liked, and no word of a text."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from demo.conversations import Exchange

FILE = "feedback.jsonl"
_MOST_BYTES = 16 * 2**20
_lock = threading.Lock()


def note(cache_dir: Path, exchange: Exchange, corpus: str) -> None:
    """Note a judgement. ``corpus`` is the name of a ready-made corpus, or "" for a visitor's own.

    Raises:
        OSError: the disk does not take it.
    """
    final = exchange.reply.final
    facts = {
        "at": round(time.time()),
        "liked": exchange.liked,
        "mode": exchange.question.mode,
        "generator": exchange.question.generator,
        "corpus": corpus,
        "seconds": round(final.timings["total"], 2) if final is not None else None,
        "passages": len(exchange.reply.passages or ()),
    }
    path = cache_dir / FILE
    with _lock:
        if path.is_file() and path.stat().st_size > _MOST_BYTES:
            path.replace(path.with_suffix(".old.jsonl"))
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(facts) + "\n")
