"""The inside of a process that reads one file and nothing else; ``apart.py`` is the outside.

How it is confined is shared with the process that draws pages (``page_drawing.py``).

The request comes through standard input: one line of JSON with path, name, limits and password. Standard input then
stays open, and when it ends, whoever asked has gone, and so does this process. The answers are three files in the
working folder:

    progress    lines of JSON, [stage, done, total, eta]; only the last one counts
    text        the document's text in UTF-8
    facts       lines of JSON: what came of it, then for a document each mark as [start, page, section]

Whatever is known only in here (where the reader failed, say) goes into the facts without a word of the document.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from engine.documents import Document, Limits, read_document
from engine.errors import InputError
from engine.events import Progress

PROGRESS, TEXT, FACTS = "progress", "text", "facts"
# What may come of it, beside the names of errors that are meant for the visitor.
DOCUMENT, MEMORY, FAILURE = "document", "memory", "failure"
# Bytes that the facts may have at most.
MOST_FACTS = 16 * 2**20
# What a reader needs besides the file itself: modules, and files of its own installation.
_OPEN_FILES = 64
_NICENESS = 5
_SECONDS_BETWEEN = 0.1
_BLOCK = 2**20


def main() -> None:
    """Read the file that standard input names, leave the answers in the working folder, and end."""
    request = json.loads(sys.stdin.buffer.readline())
    limits = Limits(**request["limits"])
    leave_with_parent((PROGRESS, TEXT, FACTS))
    confine(limits.max_seconds, limits.max_memory_bytes, 4 * limits.max_characters + MOST_FACTS)
    with Path(PROGRESS).open("a", encoding="utf-8") as progress:
        facts = list(_read(request, limits, _Reporter(progress)))
    Path(FACTS).write_text("".join(json.dumps(fact) + "\n" for fact in facts), "utf-8")
    os._exit(0)  # at once: taking apart what a parser built may take longer than building it


def _read(request: dict[str, str | None], limits: Limits, report: _Reporter) -> Iterator[object]:
    """Yield the facts."""
    try:
        document = read_document(
            str(request["path"]), request["name"], limits, on_progress=report, password=request["password"]
        )
        _write(document)
    except Exception as error:
        yield _told(error)
        return
    yield {"outcome": DOCUMENT, "notes": document.notes}
    yield from ([mark.start, mark.page, mark.section] for mark in document.marks)


def _write(document: Document) -> None:
    with Path(TEXT).open("ab") as file:
        for start in range(0, len(document.text), _BLOCK):
            file.write(document.text[start : start + _BLOCK].encode("utf-8"))


def _told(error: Exception) -> dict[str, str]:
    """Tell an error as data. A reader may have wrapped what it was: want of memory is no damage of the file."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return {"outcome": MEMORY}
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, InputError):
        return {"outcome": type(error).__name__, "message": str(error)}
    place = traceback.extract_tb(error.__traceback__)[-1]
    return {"outcome": FAILURE, "message": f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"}


class _Reporter:
    """Writes progress a few times a second, and the end always."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next and progress.done < progress.total:
            return
        self._next = now + _SECONDS_BETWEEN
        self._file.write(json.dumps([progress.stage, progress.done, progress.total, progress.eta]) + "\n")
        self._file.flush()


def leave_with_parent(names: Sequence[str]) -> None:
    """From now on, when standard input ends, take these files, the working folder and this process away."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        for name in names:
            Path(name).unlink(missing_ok=True)
        with suppress(OSError):
            Path.cwd().rmdir()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def confine(max_seconds: float, max_memory_bytes: int, max_file_bytes: int) -> None:
    """Give up for good what reading does not need. Only POSIX systems can; Linux can do most.

    The bounds are of processor time, of address space, and of each file that is written.
    """
    if sys.platform == "win32":
        return
    import resource

    seconds = int(max_seconds)
    for kind, most, hard in (
        (resource.RLIMIT_AS, max_memory_bytes, max_memory_bytes),
        (resource.RLIMIT_CPU, seconds + 5, seconds + 10),  # at the first a signal that tells why, then a kill
        (resource.RLIMIT_FSIZE, max_file_bytes, max_file_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),  # a core would be a copy of the document
    ):
        with suppress(ValueError, OSError):  # where the system holds tighter limits already, or knows no such limit
            resource.setrlimit(kind, (most, hard))
    os.nice(_NICENESS)
    if sys.platform == "linux":
        import ctypes

        set_no_new_privs = 38  # from linux/prctl.h: programs started from here gain no rights of their owners
        ctypes.CDLL(None).prctl(set_no_new_privs, 1, 0, 0, 0)
