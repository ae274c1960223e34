"""Vectors on disk while they are being made, so that hours of embedding go on where they were interrupted.

A file of rows of 16-bit numbers behind a line that says what they are vectors of. It only ever grows at its end, so
whatever ends the program leaves whole rows and perhaps a part of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from engine.errors import BundleError

# Bytes of the line that begins the file, padded with spaces.
_HEAD = 128
# How far the length of a saved vector may be from 1. A text without a token has the zero vector.
_CLOSE = 0.01


class Checkpoint:
    """The vectors made so far of the texts that ``key`` stands for."""

    def __init__(self, path: Path, key: str, dimension: int) -> None:
        """Take a file that may be there; one about something else is started anew."""
        self._path, self._dimension = path, dimension
        self._head = key[:_HEAD].ljust(_HEAD).encode("ascii", "replace")

    def rows(self) -> np.ndarray:
        """Return the rows made so far [m, dimension] float16, up to the first that is damaged."""
        try:
            data = self._path.read_bytes()
        except OSError:
            data = b""
        width = 2 * self._dimension
        count = (len(data) - _HEAD) // width if data[:_HEAD] == self._head else 0
        rows = np.frombuffer(data, np.float16, max(0, count) * self._dimension, _HEAD if count > 0 else 0)
        rows = rows.reshape(-1, self._dimension)
        lengths = np.linalg.norm(rows.astype(np.float32), axis=1) if len(rows) else np.zeros(0)
        odd = np.flatnonzero(~((np.abs(lengths - 1) < _CLOSE) | (lengths == 0)))
        return rows[: odd[0]] if len(odd) else rows

    def keep(self, count: int) -> None:
        """Begin the file, or cut it after ``count`` rows.

        Raises:
            BundleError: it cannot be written (a full disk, say).
        """
        with _told(self._path):
            whole = count > 0
            with self._path.open("r+b" if whole else "wb") as file:
                if whole:
                    file.truncate(_HEAD + count * 2 * self._dimension)
                else:
                    file.write(self._head)

    def append(self, rows: np.ndarray) -> None:
        """Add unit vectors [m, dimension] float32; they are on the disk when this returns.

        Raises:
            BundleError: as ``keep``.
        """
        with _told(self._path), self._path.open("ab") as file:
            file.write(rows.astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"{path.name!r} could not be written: {reason}; free some space and try again.") from error
