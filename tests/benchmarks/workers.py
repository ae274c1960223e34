"""What the benchmarks share: sides in processes of their own, memory that is watched, and how results are written.

Every side is a process of its own, so that its memory is its own, and sides take turns run by run, so that a slow
minute of the machine meets all of them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from engine.hardware import detect
from engine.hub import MINILM, SMOLLM2
from tests.benchmarks.speed import QUESTIONS

# Characters of the text that each side warms up on.
WARM_UP = 2000
# Seconds between two looks at what a process holds.
_LOOK = 0.01


# What runs in a worker's process: it holds one side.

_side: Any = None


def _open(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _side
    _side = make(*arguments)


def _do(method: str, *arguments: Any) -> Any:
    return getattr(_side, method)(*arguments)


def peak_rss() -> float:
    """Return the most memory that this process has had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def settled_rss() -> int:
    """Return how many bytes this process holds once all that is free was given back to the system.

    Without that, new memory would come from what earlier work left, and would not be seen to be taken.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


class Watch:
    """The most bytes that this process holds at a time, and the most that ``count`` finds, while a block runs."""

    def __init__(self, count: Callable[[], int]) -> None:
        self.rss, self.counted = 0, 0
        self._count, self._process, self._done = count, psutil.Process(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.rss = max(self.rss, self._process.memory_info().rss)
            self.counted = max(self.counted, self._count())
            if self._done.wait(_LOOK):
                return


class Worker:
    """One side, made by ``make`` in a process of its own, and all that it measured."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, _open, (make, arguments))
        self.found: dict[str, list[float]] = {}

    def do(self, method: str, *arguments: Any) -> Any:
        return self.pool.submit(_do, method, *arguments).result()

    def measure(self, method: str, *arguments: Any) -> None:
        for name, value in self.do(method, *arguments).items():
            self.found.setdefault(name, []).append(value)

    def note_peak(self, stage: str) -> None:
        self.found[f"peak_{stage}"] = [self.pool.submit(peak_rss).result()]

    def median(self, name: str) -> float:
        return statistics.median(self.found[name])

    def close(self) -> None:
        self.pool.shutdown()


def run(workers: Mapping[str, Worker], texts: Mapping[str, str], runs: int, folder: Path) -> None:
    """Measure all sides in turns, each with its text; ``folder`` takes the bundles."""
    for label, worker in workers.items():
        worker.do("memorise", texts[label][:WARM_UP])
        worker.do("ask", QUESTIONS[0])
        worker.do("save", folder / f"{label}-warm")
        worker.do("reload", folder / f"{label}-warm", QUESTIONS[0])
        worker.note_peak("loaded")
    asked = [QUESTIONS[i % len(QUESTIONS)] for i in range(runs)]
    in_turns(workers, runs, lambda label, worker, i: worker.measure("memorise", texts[label]))
    for worker in workers.values():
        worker.note_peak("memorised")
    in_turns(workers, runs, lambda label, worker, i: worker.measure("ask", asked[i]))
    for label, worker in workers.items():
        worker.note_peak("asked")
        worker.measure("save", folder / label)
    in_turns(workers, runs, lambda label, worker, i: worker.measure("reload", folder / label, asked[i]))


def in_turns(workers: Mapping[str, Worker], runs: int, work: Callable[[str, Worker, int], None]) -> None:
    for i in range(runs):
        for label, worker in workers.items():
            work(label, worker, i)


def machine() -> dict[str, Any]:
    """Return the facts that belong to any figure: where it was measured, and what else ran there."""
    hardware = detect("cpu")
    names = " + ".join(name.rpartition("/")[2] for name in (SMOLLM2, MINILM))
    return {
        "processor": processor(),
        "hardware": str(hardware),
        "load before": os.getloadavg()[0],
        "caption": f"{processor()}, {hardware.threads} threads, {hardware.dtype}; {names}",
    }


def processor() -> str:
    """Return the name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


def short(value: float) -> str:
    """Return three figures of a number, or a whole number as it is."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells, the first one the head, as a Markdown table with numbers to the right."""
    whole = [lines[0], ["---", *["---:"] * (len(lines[0]) - 1)], *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in whole)


def write(facts: Mapping[str, Any], file: Path, picture: Path | None) -> None:
    """Write the facts as JSON and, where a picture is wanted, the figure that is drawn from them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts, indent=1), "utf-8")
    if picture is not None:
        from tests.benchmarks import figures  # only who draws needs matplotlib

        figures.draw(facts, picture)
