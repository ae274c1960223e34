"""How soon work that runs ends when it is asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from engine.errors import Cancelled
from engine.events import Stop


def seconds_to_stop(work: Callable[[Stop], object], after: float = 0.3) -> float:
    """Run work in a thread, ask it to stop a moment later, and return the seconds until it did, by Cancelled."""
    stop, ended = Stop(), list[float]()

    def run() -> None:
        with pytest.raises(Cancelled):
            work(stop)
        ended.append(time.perf_counter())

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(after)
    assert thread.is_alive(), "it was still at work"
    asked = time.perf_counter()
    stop.set()
    thread.join(60)
    return ended[0] - asked
