"""Reading the files of strangers, each in a process of its own: a bomb, a loop or a crash costs that file alone.

The process is a fresh interpreter (a fork would copy the locks of this one's threads) without this one's environment,
confined before it looks at the file (see ``alone.py``), and killed when its time is over, when the caller asks to stop,
and whenever this side leaves, for whatever reason. A hostile file may have taken it over, so what it answers is data
of a stranger: read only once it is dead, checked for type, size and order, never executed, and never logged.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, cast

from engine.alone import DOCUMENT, FACTS, FAILURE, MEMORY, MOST_FACTS, PROGRESS, TEXT
from engine.documents import DEFAULT_LIMITS, Document, Limits, Mark, display_name
from engine.errors import DocumentError, InputError, PasswordError
from engine.events import OnProgress, Progress, Stop
from engine.readers import megabytes

_START = "import sys; sys.path[:] = sys.argv[1:]; from engine.alone import main; main()"
_TICK = 0.05  # seconds between two looks at the process
_LONGEST_LINE = 2**20  # bytes of one line of facts
_LONGEST_MESSAGE = 1000
_REFUSALS = {error.__name__: error for error in (DocumentError, PasswordError, InputError)}
_MALFORMED = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


def read_apart(
    path: str | os.PathLike[str],
    name: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    password: str | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Document:
    """Read a file as ``read_document`` does, in a process of its own.

    ``limits.max_seconds`` of wall time hold everywhere; ``limits.max_memory_bytes`` only where the system can hold a
    process to them (Linux). Blocks the calling thread; a ``stop`` is noticed within a tenth of a second.

    Raises:
        PasswordError: the file asks for a password, or for another one.
        DocumentError: it cannot be read, or not within the limits, or it made its reader crash.
        Cancelled: ``stop`` was set.
    """
    shown = display_name(name or os.fspath(path))
    request = {"path": str(Path(path).absolute()), "name": name, "limits": asdict(limits), "password": password}
    with (
        tempfile.TemporaryDirectory(prefix="memorag-reading-", ignore_cleanup_errors=True) as folder,
        # Made and opened here, so that nothing put in their place is ever followed.
        Path(folder, PROGRESS).open("x+b") as progress,
        Path(folder, TEXT).open("x+b") as text,
        Path(folder, FACTS).open("x+b") as facts,
    ):
        with child(folder, json.dumps(request), _START) as process:
            _follow(process, progress, shown, limits, on_progress, stop)
        try:
            return _answer(facts, text, process.returncode, shown, limits)
        except InputError:
            raise
        except _MALFORMED as error:
            raise _crash(shown) from error


@contextmanager
def child(folder: str, request: str, start: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with the code ``start`` in a folder of its own, and hand it its request: one line of ASCII.

    The code finds the places to import from in ``sys.argv``. When the block is left, the process and all that it
    started are dead.
    """
    here = str(Path(__file__).parents[1])
    # -I and -S: neither the environment nor the user's own start-up files; what this interpreter finds, it finds too.
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", start, here, *filter(os.path.isabs, sys.path)]
    process = subprocess.Popen(  # noqa: S603 - this very interpreter, and nothing of the visitor's in its arguments
        command,
        cwd=folder,
        env={"TMPDIR": folder},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ear = cast("BinaryIO", process.stdin)
    try:
        with suppress(OSError):  # it is dead already, which its exit status will tell
            ear.write(request.encode("ascii") + b"\n")
            ear.flush()
        yield process
    finally:
        _kill(process)
        with suppress(OSError):
            ear.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # nobody of its group is left
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _follow(
    process: subprocess.Popen[bytes],
    progress: BinaryIO,
    shown: str,
    limits: Limits,
    on_progress: OnProgress | None,
    stop: Stop | None,
) -> None:
    """Wait until the process ends by itself."""
    told = None
    try:
        for _ in looks(process, limits.max_seconds, stop):
            now = _latest(progress) if on_progress is not None else None
            if on_progress is not None and now is not None and now != told:
                told = now
                on_progress(now)
    except subprocess.TimeoutExpired as error:
        raise _late(shown, limits) from error


def looks(process: subprocess.Popen[bytes], seconds: float, stop: Stop | None = None) -> Iterator[None]:
    """Yield now and then until a process has ended by itself, and once after it.

    Raises:
        subprocess.TimeoutExpired: it is not over after so many seconds.
        Cancelled: ``stop`` was set.
    """
    deadline = time.monotonic() + seconds
    while process.returncode is None:
        if stop is not None:
            stop.check()
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired("", seconds)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_TICK)
        yield


def _latest(file: BinaryIO, longest: int = 512) -> Progress | None:
    """Return what the last whole line says; there may be any number of lines, and anything in them."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - longest))
    lines = file.read(longest).split(b"\n")
    try:
        stage, done, total, eta = json.loads(lines[-2])
        if stage == "reading" and 0 <= done <= total < 2**53 and (eta is None or 0 <= eta < math.inf):
            return Progress(stage, int(done), int(total), eta if eta is None else float(eta))
    except (*_MALFORMED, IndexError):
        pass
    return None


def _answer(facts: BinaryIO, text: BinaryIO, status: int, shown: str, limits: Limits) -> Document:
    """Return the document, or raise what came of it instead; one of ``_MALFORMED`` where the answer makes no sense."""
    if os.fstat(facts.fileno()).st_size > MOST_FACTS:
        raise ValueError("too many facts")
    first = facts.readline(_LONGEST_LINE)
    if not first:
        raise _death(status, shown, limits)
    told = json.loads(first)
    if told["outcome"] != DOCUMENT:
        raise _refusal(told, shown, limits)
    notes = tuple(_words(note) for note in told["notes"])
    whole = _text(text, limits.max_characters)
    return Document(shown, whole, tuple(_marks(facts, len(whole))), notes)


def _text(file: BinaryIO, most: int) -> str:
    """Decode the text from where it lies, so that there is one copy of it here."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as encoded:
        if len(encoded) > 4 * most:
            raise ValueError("too much text")
        text = str(encoded, "utf-8")
    if len(text) > most:
        raise ValueError("too much text")
    return text


def _marks(lines: BinaryIO, length: int) -> Iterator[Mark]:
    """Read marks, in order and inside a text of ``length`` characters."""
    last = 0
    while line := lines.readline(_LONGEST_LINE):
        start, page, section = json.loads(line)
        if type(start) is not int or not last <= start < length:
            raise ValueError("a mark out of order or out of the text")
        if page is not None and (type(page) is not int or page < 1):
            raise ValueError("a page that is none")
        last = start
        yield Mark(start, page, None if section is None else _words(section, _LONGEST_LINE))


def _words(value: object, longest: int = _LONGEST_MESSAGE) -> str:
    if type(value) is not str or len(value.encode("utf-8")) > longest:
        raise ValueError("words that are none")
    return value


def _refusal(told: Mapping[str, object], shown: str, limits: Limits) -> InputError:
    if told["outcome"] == MEMORY:
        return _greedy(shown, limits)
    message = _words(told["message"])
    if told["outcome"] == FAILURE:  # a fault of the engine, so its place belongs in the traceback
        raise ValueError(f"the reader failed: {message}")
    return _REFUSALS[str(told["outcome"])](message)


def _death(status: int, shown: str, limits: Limits) -> DocumentError:
    """Say why a process ended without a word, from its exit status."""
    if sys.platform != "win32" and status == -signal.SIGXCPU:
        return _late(shown, limits)
    # Nobody here killed it then, so the system did: it was short of memory.
    return _greedy(shown, limits) if sys.platform != "win32" and status == -signal.SIGKILL else _crash(shown)


def _late(shown: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f'"{shown}" took longer than {limits.max_seconds:g} s to read. Split it, or save it as TXT, and upload that.'
    )


def _greedy(shown: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f'"{shown}" takes more than {megabytes(limits.max_memory_bytes)} of memory to read. '
        "Split it, or save it as TXT, and upload that."
    )


def _crash(shown: str) -> DocumentError:
    return DocumentError(
        f'"{shown}" made its reader crash. Open it in the program it comes from, save it again and upload the copy.'
    )
