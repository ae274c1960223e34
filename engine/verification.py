"""Whether a large file of a bundle still holds what was saved: found out beside other work, in a thread of its own.

A checksum takes time in proportion to the file, and nobody should wait for it before a first question. So the file is
read in the background, which also brings it into the system's cache, and who depends on it asks for the verdict:
``check`` for what is known by now, ``wait`` for certainty.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

from engine.errors import BundleError
from engine.events import Stop

# Bytes read between two looks at the stop flag: half a millisecond of hashing. A buffer of 16 MiB takes so long to make
# that a thread which gives way kept the interpreter from all others for up to 0.7 s, on a processor that was busy.
_PIECE = 2**20


def compare_size(path: Path, found: int, expected: int) -> None:
    """Raise BundleError unless a bundle's file has as many bytes as expected."""
    _compare(path, f"{found} bytes", f"{expected} bytes")


def compare_sum(path: Path, found: str, expected: str) -> None:
    """Raise BundleError unless a bundle's file has the SHA-256 sum (hex) that is expected."""
    _compare(path, f"the checksum {found}", f"the checksum {expected}")


def _compare(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise BundleError(
            f"The bundle {path.parent.name!r} is damaged: {path.name} has {found}, but {expected} when it was saved; "
            "memorise the text again."
        )


class Verification:
    """The size and SHA-256 sum of one file, compared with what they were when it was saved.

    The very file that was opened is meant, whatever is put in its place later. Reading ends when nobody holds this
    object any more, or when the interpreter ends. Any number of threads may use it at once.
    """

    def __init__(self, path: Path, size: int, checksum: str) -> None:
        """Compare the size (bytes) at once, and begin to compute the checksum (SHA-256, hex).

        Raises:
            BundleError: the size is another one.
            OSError: the file cannot be opened.
        """
        self._path, self._size, self._expected = path, size, checksum
        self._file, self._sum, self._waiting = FileIO(path), _Sum(), threading.Lock()
        weakref.finalize(self, self._sum.settled.set)
        weakref.finalize(self, self._file.close).atexit = False  # a question may still run then
        self.check()
        # The thread must not know this object, or it would keep it alive.
        given = FileIO(path), self._sum
        threading.Thread(target=_read_aside, args=given, name="memorag-verification", daemon=True).start()

    def is_of(self, path: Path) -> bool:
        """Whether ``path`` still leads to the file that was opened."""
        return os.path.samestat(os.fstat(self._file.fileno()), path.stat())

    def check(self) -> None:
        """Return at once, unless damage is known by now.

        Raises:
            BundleError: the file holds something else than was saved, was cut since, or cannot be read.
        """
        try:
            # Also when all was verified: who reads a mapping beyond the end of its file is killed by the system.
            compare_size(self._path, os.fstat(self._file.fileno()).st_size, self._size)
            if self._sum.problem is not None:
                raise OSError(self._sum.problem)
        except OSError as error:
            raise BundleError(
                f"The bundle {self._path.parent.name!r} cannot be read: {self._path.name} has the error "
                f"{error.strerror or error}; memorise the text again."
            ) from error
        compare_sum(self._path, self._sum.found or self._expected, self._expected)

    def wait(self, stop: Stop | None = None) -> None:
        """Return when it is known that the file is whole. Reads it here: the thread in the background gives way to all.

        Raises:
            BundleError: as ``check``.
            Cancelled: ``stop`` was set.
        """
        with self._waiting:
            if not self._sum.settled.is_set():
                self._file.seek(0)
                self._sum.read(self._file, stop)
        self.check()


class _Sum:
    """The SHA-256 sum of a file (hex) or why it cannot be read, both None until ``settled``."""

    def __init__(self) -> None:
        self.found: str | None = None
        self.problem: str | None = None
        self.settled = threading.Event()

    def read(self, file: FileIO, stop: Stop | None = None) -> None:
        """Compute the sum in pieces, unless it is settled meanwhile."""
        digest, piece = hashlib.sha256(), bytearray(_PIECE)
        try:
            while count := file.readinto(piece):
                if self.settled.is_set():
                    return
                if stop is not None:
                    stop.check()
                digest.update(memoryview(piece)[:count])
            self.found = digest.hexdigest()
        except OSError as error:
            self.problem = error.strerror or str(error)
        self.settled.set()


def _read_aside(file: FileIO, found: _Sum) -> None:
    """Compute a sum while processors have nothing better to do."""
    if sys.platform == "linux":  # elsewhere not the thread but the whole process would be slowed down
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    with file:
        found.read(file)
