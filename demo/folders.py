"""Folders and small files that only this server's user may read, and a root that only one server uses."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.storage import swap

# Servers on one machine that may share a cache folder.
_MOST_SERVERS = 100


class Root:
    """A folder that no other server uses meanwhile: where one does, this one takes the next number."""

    def __init__(self, wanted: Path) -> None:
        """Claim ``wanted``, else ``wanted-2``, and so on.

        Raises:
            OSError: no folder can be made there.
        """
        for number in range(1, _MOST_SERVERS + 1):
            self.path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
            make(self.path)
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._lock = os.fdopen(handle, "r+b")
            if _is_locked(handle):
                return
            self._lock.close()
        raise OSError(f"{_MOST_SERVERS} servers use {wanted.name!r} already")

    @staticmethod
    def unused(wanted: Path) -> Iterator[Path]:
        """Yield the folders that servers claimed for ``wanted`` and that none uses now; none can meanwhile."""
        for path in sorted(wanted.parent.glob(f"{wanted.name}*")):
            if not re.fullmatch(rf"{re.escape(wanted.name)}(-[0-9]+)?", path.name) or not (path / ".lock").is_file():
                continue
            with (path / ".lock").open("r+b") as lock:
                if _is_locked(lock.fileno()):
                    yield path

    def close(self) -> None:
        """Let another server have it."""
        self._lock.close()


def _is_locked(handle: int) -> bool:
    """Lock an open file for as long as it is open; return whether that worked."""
    try:
        import fcntl
    except ImportError:  # a system without such locks: one server is all there may be
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; yields whether it could be had: another program may hold it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b"):
        yield _is_locked(handle)


def make(folder: Path) -> Path:
    """Make a folder, with those above it, for this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a small file as a whole or not at all."""
    write_bytes(path, json.dumps(facts).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return what ``write_json`` wrote.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    facts = json.loads(path.read_text("utf-8"))
    if not isinstance(facts, dict):
        raise ValueError("not an object")
    return facts


def put_in_place(partial: Path, folder: Path) -> None:
    """Make a complete folder take the place of another, or of none; if that fails, the old one is there again.

    Raises:
        OSError: it cannot be done, and nothing has changed.
    """
    make(folder.parent)
    swap(partial, folder)


def delete(path: Path) -> None:
    """Delete a file, a link (not what it leads to) or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder; files that vanish meanwhile count nothing."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - many files, and no need of objects
            except FileNotFoundError:
                continue
    return total
