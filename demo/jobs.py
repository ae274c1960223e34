"""Longer work that the page watches: it runs in its own thread and outlives the page that started it.

One job runs at a time, because two would only slow each other down; the others wait their turn and say so. A second
request for the same work joins the job that is already running.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.errors import Cancelled, MemoRAGError
from engine.events import OnProgress, Progress, Stop

logger = logging.getLogger(__name__)

# How long a failed job stands for its key before the work is tried again.
FAILURE_SECONDS = 20.0

State = Literal["waiting", "running", "done", "failed", "stopped"]
Work = Callable[[OnProgress, Stop], None]


@dataclass(frozen=True)
class Snapshot:
    """How a job stands. ``error`` is the exception that ended it; ``seconds`` since it was asked for."""

    state: State
    progress: Progress | None
    error: Exception | None
    seconds: float

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")


class Job:
    """One piece of work in its own thread."""

    def __init__(self, work: Work, turn: threading.Lock) -> None:
        self._work, self._turn = work, turn
        self._stop, self._over = Stop(), threading.Event()
        self._state: State = "waiting"
        self._progress: Progress | None = None
        self._error: Exception | None = None
        self._began, self._ended = time.monotonic(), 0.0
        threading.Thread(target=self._run, name="memorag-job", daemon=True).start()

    def snapshot(self) -> Snapshot:
        """Return how the job stands now."""
        ended = self._ended or time.monotonic()
        return Snapshot(self._state, self._progress, self._error, ended - self._began)

    def is_past(self) -> bool:
        """Whether the job is over and, had it failed, was seen to have failed for long enough."""
        if self._state != "failed":
            return self._state in ("done", "stopped")
        return time.monotonic() - self._ended > FAILURE_SECONDS

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the end; return whether it is reached."""
        return self._over.wait(seconds)

    def stop(self) -> None:
        """Ask the job to end early."""
        self._stop.set()

    def _run(self) -> None:
        try:
            while not self._turn.acquire(timeout=0.2):
                self._stop.check()
            try:
                self._state = "running"
                self._stop.check()
                self._work(self._report, self._stop)
                self._finish("done")
            finally:
                self._turn.release()
        except Cancelled:
            self._finish("stopped")
        except MemoRAGError as error:
            self._finish("failed", error)
        except Exception as error:
            # The thread's last line of defence: the log gets the traceback, the page a sentence.
            logger.exception("A job failed unexpectedly.")
            self._finish("failed", error)

    def _report(self, progress: Progress) -> None:
        self._progress = progress

    def _finish(self, state: State, error: Exception | None = None) -> None:
        self._error, self._ended, self._state = error, time.monotonic(), state
        self._over.set()


class Jobs:
    """All jobs by key."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def start(self, key: str, work: Work) -> Job:
        """Start ``work`` under ``key``, or join the job of that key that is not over yet.

        A failure is kept for FAILURE_SECONDS, so that looking again shows it instead of failing again.
        """
        with self._lock:
            self._jobs = {k: job for k, job in self._jobs.items() if not job.is_past()}
            if key not in self._jobs:
                self._jobs[key] = Job(work, self._turn)
            return self._jobs[key]

    def __len__(self) -> int:
        with self._lock:
            return sum(not job.snapshot().is_over for job in self._jobs.values())
