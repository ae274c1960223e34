"""A process that reads one file as the app does and tells what that took: run by ``documents.py``, once for each case.

The request comes through standard input, the answer goes to standard output, both as JSON. It stays fresh: what makes
files or judges texts is never imported here, so that the peak is that of reading.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.apart import read_apart
from engine.documents import Limits
from engine.errors import InputError

_UNIT = 2**20 if sys.platform == "darwin" else 2**10  # what ru_maxrss of getrusage has to a MB


def answer(path: str, name: str | None, limits: dict[str, Any], password: str | None, text: str) -> dict[str, Any]:
    """Read the file at ``path``; what it says goes to the file ``text``."""
    began = time.perf_counter()
    try:
        document, error = read_apart(path, name, Limits(**limits), password), None
    except InputError as refusal:
        document, error = None, refusal
    found = {
        "seconds": time.perf_counter() - began,
        "reader_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _UNIT,
        "app_mb": peak(),
    }
    if document is None:
        return found | {"outcome": "refused", "error": type(error).__name__, "message": str(error)}
    Path(text).write_bytes(document.text.encode("utf-8"))
    told = {"outcome": "read", "name": document.name, "notes": document.notes}
    return found | told | {"marks": [asdict(mark) for mark in document.marks]}


def peak() -> float:
    """Return the most memory that this process has had, in MB.

    On Linux getrusage would tell that of whoever started it, where that was more.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text("ascii"))[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNIT


if __name__ == "__main__":
    print(json.dumps(answer(**json.load(sys.stdin))))
