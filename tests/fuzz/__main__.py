"""Search for files that harm the readers.

An input is fine when ``read_document`` returns a sound document or refuses in a sentence. All else is a finding:
another error, a crash, too much time, too much memory. Each search runs in a process of its own that is watched from
here; the exit status is 1 when there were findings, and their inputs with what was seen are in the folder given by
--out.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.fuzz.lookout import keep
from tests.fuzz.oracle import Finding
from tests.fuzz.worker import ENGINES, READERS

ROOT = Path(__file__).parents[2]
_TICK = 0.2
# Seconds that a process may take to start, beyond those in which it searches.
_START = 60
# A machine under load gives little of its time: on the clock a look may take so many times longer.
_SLACK = 10


@dataclass(frozen=True)
class Search:
    """What to search, for how long, and what an input may take."""

    engine: str
    reader: str
    seconds: float
    seed: int
    input_seconds: float
    megabytes: int
    folder: Path

    @property
    def title(self) -> str:
        return f"{self.reader} by {self.engine}"


@dataclass
class Watched:
    """What was seen of a look that has not ended."""

    number: int = -1
    since: float = 0.0
    busy_since: float = 0.0  # seconds of the processor


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    engines = tuple(ENGINES) if given.engine == "both" else (given.engine,)
    if "atheris" in engines and importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed: pip install -r requirements-fuzz.txt\n")
        return 2
    readers = tuple(READERS) if given.reader == "all" else (given.reader,)
    pairs = [(engine, reader) for reader in readers for engine in engines]
    at_once = min(given.workers, len(pairs))
    seconds = given.minutes * 60 / math.ceil(len(pairs) / at_once)
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{len(pairs)} searches of {seconds:.0f} s each, {at_once} at once, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch, ThreadPoolExecutor(at_once) as pool:
        searches = [
            Search(
                engine,
                reader,
                seconds,
                given.seed,
                given.input_seconds,
                given.megabytes,
                Path(scratch, f"{engine}-{reader}"),
            )
            for engine, reader in pairs
        ]
        results = list(pool.map(run, searches))
        found = sum(_collect(search, given.out) for search in searches)
    broken = [search.title for search, looks in zip(searches, results, strict=True) if looks == 0]
    for title in broken:
        print(f"{title}: no input was looked at; the search itself is broken", file=sys.stderr)
    print(f"{sum(results):,} inputs, {found} findings" + (f" in {given.out}" if found else ""))
    return 1 if found or broken else 0


def run(search: Search) -> int:
    """Search until the time is over, with a new process for each that ended early; return the number of inputs."""
    search.folder.mkdir()
    deadline = time.monotonic() + search.seconds
    seeds = random.Random(search.seed)
    looks = 0
    while (left := deadline - time.monotonic()) > 0:
        before = looks
        (search.folder / "looks").unlink(missing_ok=True)
        fault = _watch(search, left, seeds.randrange(2**31 - 1))
        looks += _looks(search.folder) // 2
        if fault is not None:
            _keep_input(search, fault)
        elif looks == before:
            break  # it cannot even start
    print(f"{search.title}: {looks:,} inputs", flush=True)
    return looks


def _watch(search: Search, seconds: float, seed: int) -> str | None:
    """Run one process; return what went wrong with the input at which it ended, or None."""
    command = [sys.executable, "-m", "tests.fuzz.worker", search.engine, search.reader]
    command += [str(seconds), str(seed), str(search.megabytes), str(search.folder)]
    with (search.folder / "output").open("ab") as output:
        worker = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    watched, latest = Watched(), time.monotonic() + seconds + _START
    try:
        while worker.poll() is None and time.monotonic() < latest:
            time.sleep(_TICK)
            if _hangs(search, worker.pid, watched):
                return f"more than {search.input_seconds:g} s of the processor"
    finally:
        worker.kill()
        worker.wait()
    if time.monotonic() > latest:
        return None
    if _looks(search.folder) % 2 == 1 and worker.returncode:
        return f"the process ended with status {worker.returncode}"
    if worker.returncode:  # a fault of the search
        sys.stderr.write((search.folder / "output").read_text("utf-8", "replace")[-2000:])
    return None


def _hangs(search: Search, pid: int, watched: Watched) -> bool:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return False
    busy, now, number = times.user + times.system, time.monotonic(), _looks(search.folder)
    if number != watched.number:
        watched.number, watched.since, watched.busy_since = number, now, busy
    took = max(busy - watched.busy_since, (now - watched.since) / _SLACK)
    return number % 2 == 1 and took > search.input_seconds


def _looks(folder: Path) -> int:
    """Return twice the number of looks, less one while one is going on."""
    path = folder / "looks"
    return path.stat().st_size if path.exists() else 0


def _keep_input(search: Search, fault: str) -> None:
    data = (search.folder / "input").read_bytes()
    stack = (search.folder / "stack").read_text("utf-8", "replace") if (search.folder / "stack").exists() else ""
    # Each such input is a finding of its own: where a dead process was is not known well enough to tell them apart.
    finding = Finding(f"{fault}, input of {len(data)} bytes, {hash(data)}", f"{fault}\n{stack}")
    keep(search.folder, f".{search.reader}", finding, data)


def _collect(search: Search, out: Path) -> int:
    """Move what was found to where it is kept; return how many."""
    inputs = list(_found(search))
    for path in inputs:
        seen = path.with_name(path.name + ".seen")
        name = f"{search.reader}-{search.engine}-{path.stem}"
        shutil.copyfile(path, out / f"{name}{path.suffix}")
        shutil.copyfile(seen, out / f"{name}.seen.txt")
        print(f"{name}{path.suffix} ({path.stat().st_size} bytes): {seen.read_text('utf-8').splitlines()[0]}")
    return len(inputs)


def _found(search: Search) -> Iterator[Path]:
    return search.folder.glob(f"*.{search.reader}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="of the clock, for all searches together")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="hypothesis")
    parser.add_argument("--reader", choices=(*READERS, "all"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="searches at once")
    parser.add_argument("--input-seconds", type=float, default=10, help="of the processor that one input may take")
    parser.add_argument("--megabytes", type=int, default=512, help="of memory that one input may take")
    parser.add_argument("--out", type=Path, default=Path("artifacts/fuzz"), help="folder for findings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
