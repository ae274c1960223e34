"""Longer work that the page watches: it runs in its own thread and outlives the page that started it.

One job computes at a time, because two would only slow each other down; the others wait their turn and say so. A job
that has something to show already lets those who wait go first, and goes on afterwards. A second request for the same
work joins the job that is already running.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from demo.turns import Turns
from engine.errors import Cancelled, MemoRAGError
from engine.events import OnProgress, Progress, Stop

logger = logging.getLogger(__name__)

# How long a failed job stands for its key before the work is tried again.
FAILURE_SECONDS = 20.0

# Visitors whose files are read at once. Each reading may take 3 GiB of address space at worst.
_READERS = 3

State = Literal["waiting", "running", "done", "failed", "stopped"]
Read = Callable[[OnProgress, Stop], None]


class Work(Protocol):
    """What a job does. It calls ``on_ready`` when the first useful part is done."""

    def __call__(self, on_progress: OnProgress, stop: Stop, on_ready: Callable[[], None]) -> None:
        """Do it."""


@dataclass(frozen=True)
class Snapshot:
    """How a job stands. ``error`` is the exception that ended it; ``seconds`` since it was asked for.

    ``is_ready`` says whether a first part can be used already.
    """

    state: State
    progress: Progress | None
    error: Exception | None
    seconds: float
    is_ready: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")


@dataclass(frozen=True)
class Plan:
    """The parts of a job: ``read`` runs before its turn to compute, ``over`` in any case when all has ended.

    Files are read in a process of their own, which may take long: that must hold up nobody who computes, and no file of
    another visitor (``who``).
    """

    work: Work
    read: Read | None = None
    over: Callable[[Snapshot], None] | None = None
    who: str = ""


class Job:
    """One piece of work in its own thread."""

    def __init__(self, plan: Plan, reading: Turns, computing: Turns) -> None:
        self._plan, self._reading, self._computing = plan, reading, computing
        self._stop, self._over = Stop(), threading.Event()
        self._state: State = "waiting"
        self._progress: Progress | None = None
        self._is_ready = False
        self._error: Exception | None = None
        self._began, self._ended = time.monotonic(), 0.0
        threading.Thread(target=self._run, name="memorag-job", daemon=True).start()

    def snapshot(self) -> Snapshot:
        """Return how the job stands now."""
        ended = self._ended or time.monotonic()
        return Snapshot(self._state, self._progress, self._error, ended - self._began, self._is_ready)

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
            if self._plan.read is not None:
                with self._reading.turn(self._stop, self._plan.who):
                    self._state = "running"
                    self._plan.read(self._note, self._stop)
                self._state = "waiting"
            with self._computing.turn(self._stop):
                self._state = "running"
                self._stop.check()
                self._plan.work(self._report, self._stop, self._ready)
            self._finish("done")
        except Cancelled:
            self._finish("stopped")
        except MemoRAGError as error:
            self._finish("failed", error)
        except Exception as error:
            # The thread's last line of defence: the log gets the traceback, the page a sentence.
            logger.exception("A job failed unexpectedly.")
            self._finish("failed", error)

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def _ready(self) -> None:
        self._is_ready = True

    def _report(self, progress: Progress) -> None:
        self._progress = progress
        if self._is_ready and self._computing.is_wanted:
            self._state = "waiting"
            self._computing.give_way(self._stop)
            self._state = "running"

    def _finish(self, state: State, error: Exception | None = None) -> None:
        ended = time.monotonic()
        if self._plan.over is not None:
            try:
                self._plan.over(Snapshot(state, self._progress, error, ended - self._began, self._is_ready))
            except Exception:  # whoever waits for this job must still see its end
                logger.exception("What follows a job failed unexpectedly.")
        self._error, self._ended, self._state = error, ended, state
        self._over.set()


class Jobs:
    """All jobs by key."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._reading, self._computing = Turns(_READERS), Turns()

    def start(self, key: str, plan: Plan) -> Job:
        """Start the work under ``key``, or join the job of that key that is not over yet.

        A failure is kept for FAILURE_SECONDS, so that looking again shows it instead of failing again.
        """
        with self._lock:
            self._jobs = {k: job for k, job in self._jobs.items() if not job.is_past()}
            if key not in self._jobs:
                self._jobs[key] = Job(plan, self._reading, self._computing)
            return self._jobs[key]

    def running(self, key: str) -> Job | None:
        """Return the job under ``key`` that is not over yet, if there is one."""
        with self._lock:
            job = self._jobs.get(key)
        return None if job is None or job.snapshot().is_over else job

    def failure(self, key: str) -> Exception | None:
        """Return what ended the job under ``key``, where it failed a moment ago."""
        with self._lock:
            job = self._jobs.get(key)
        return None if job is None or job.is_past() else job.snapshot().error

    def __len__(self) -> int:
        with self._lock:
            return sum(not job.snapshot().is_over for job in self._jobs.values())
