"""Work on a thread of its own, beside what its caller does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def beside(work: Callable[[], Result]) -> Future[Result]:
    """Begin ``work``; return what will hold its result, or what it raised.

    Unlike a pool's, the thread does not keep the program alive: who ends it does not wait for a download.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever waits for the result is told
            future.set_exception(error)

    threading.Thread(target=run, name="memorag-beside", daemon=True).start()
    return future
