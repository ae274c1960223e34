"""Python's search for unused objects, done rarely while the program starts.

Starting makes a million objects that all stay: modules, classes, functions. The search looks at them again and again
and finds nothing, and takes a third of the time that starting takes. Afterwards they are left out of it for good, so
that it takes milliseconds, and no longer stops every thread for a third of a second.
"""

from __future__ import annotations

import gc
import threading

# New objects after which the search begins while the program starts: more than starting makes, but not without end.
_MANY = 2_000_000

_lock = threading.Lock()
_usual: tuple[int, int, int] | None = None


def collect_rarely() -> None:
    """Search rarely, until ``collect_as_usual``."""
    global _usual
    with _lock:
        if _usual is None:
            _usual = gc.get_threshold()
            gc.set_threshold(_MANY)


def collect_as_usual() -> None:
    """Search as usual again, and never among what is there now. Does nothing without ``collect_rarely`` before."""
    global _usual
    with _lock:
        if _usual is not None:
            gc.freeze()
            gc.set_threshold(*_usual)
            _usual = None
