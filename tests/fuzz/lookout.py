"""The files by which a search tells what it does, so that whoever watches it knows, whatever becomes of the process.

``input`` is what is looked at; ``looks`` has a "<" for each look begun and a ">" for each ended; a finding is kept as
its input, and beside it ``.seen``, what was seen.
"""

from __future__ import annotations

import math
import os
import resource
import time
from pathlib import Path

from tests.fuzz.oracle import Finding, look


class Lookout:
    """Looks at inputs until the time is over, and keeps the smallest for each finding.

    The time, in seconds, begins with the first look; the next look after it ends the process. While it looks, the
    process may grow by so many megabytes; a reader that wants more gets a MemoryError.
    """

    def __init__(self, reader: str, folder: Path, seconds: float, megabytes: int) -> None:
        self.suffix, self.folder = f".{reader}", folder
        self._seconds, self._began, self._megabytes = seconds, math.nan, megabytes
        self.known = {path.stem for path in folder.glob(f"*{self.suffix}")}
        self._input = folder / "input"
        self._looks = os.open(folder / "looks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def look(self, data: bytes) -> Finding | None:
        """Return what was found, and keep it, unless it is known."""
        now = time.monotonic()
        self._began = now if math.isnan(self._began) else self._began
        if now - self._began > self._seconds:
            os._exit(0)
        self._input.write_bytes(data)
        finding = self._watched()
        if finding is None or finding.name in self.known:
            return None
        keep(self.folder, self.suffix, finding, data)
        return finding

    def _watched(self) -> Finding | None:
        os.write(self._looks, b"<")
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + self._megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
        try:
            look(self._input, self.suffix)
        except Finding as finding:
            return finding
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            os.write(self._looks, b">")
        return None


def keep(folder: Path, suffix: str, finding: Finding, data: bytes) -> None:
    """Keep an input and what was seen, unless a smaller one is kept."""
    path = folder / f"{finding.name}{suffix}"
    if path.exists() and path.stat().st_size <= len(data):
        return
    path.write_bytes(data)
    words = f"{finding.signature}\n\n{finding.details}"
    path.with_name(f"{path.name}.seen").write_text(words, "utf-8", "backslashreplace")
