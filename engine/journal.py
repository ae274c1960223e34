"""A file of JSON lines that is only ever added to, so that work which is cut off goes on where it stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError

Entry = Mapping[str, Any]


class Journal:
    """Entries found again by their ``key``; the last one of a key counts.

    An entry also names the ``code`` that made it. One of other code is as good as none, unless ``any_code``.
    """

    def __init__(self, path: Path, any_code: bool = False) -> None:
        """Read what is there; what was cut off in the middle of a line is taken out of the file.

        Raises:
            InputError: the file holds something else, or cannot be read.
        """
        self._path, self._any_code = path, any_code
        self._entries: dict[str, Entry] = {}
        try:
            text = path.read_bytes() if path.exists() else b""
            whole = text.rfind(b"\n") + 1
            if whole < len(text):
                with path.open("r+b") as file:
                    file.truncate(whole)
        except OSError as error:
            raise InputError(f"The file {path.name!r} cannot be read: {error.strerror}.") from error
        for number, line in enumerate(text[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                self._entries[str(entry["key"])] = entry
                str(entry["code"])
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"Line {number} of {path.name!r} is no entry of an evaluation; give another folder, or move that "
                    "file away."
                ) from error

    def get(self, key: str, code: str) -> Entry | None:
        """Return the last entry of a key that counts."""
        entry = self._entries.get(key)
        return entry if entry is not None and (self._any_code or entry["code"] == code) else None

    def add(self, entry: Entry) -> None:
        """Append an entry, which has a key and a code, and hand it over to the system at once.

        Raises:
            OSError: it cannot be written.
        """
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._path.open("ab") as file:
            file.write(line)
        self._entries[str(entry["key"])] = entry
