"""How soon ready-made corpora can be asked on this machine. Prints a table and writes JSON.

    python -m tests.benchmarks.corpora [TEXT_FILE] [--runs 5] [--switches 60] [--starts 3] [--json FILE]

Each corpus that ships is opened with nothing kept of it (its passages and vectors come from the repository, its memory
is read) and again with its memory kept; TEXT_FILE is built and opened likewise. Then twenty corpora are opened in turn
with room for a few, and ``app.py`` is started with a warm cache. Medians; nothing else should run meanwhile.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo import building, opening
from demo.catalogue import SHIPPED, Catalogue, Places
from demo.held import Held, Library
from demo.models import load_models
from engine.documents import read_document
from engine.settings import from_environment
from engine.storage import read_manifest, without_memory

TWENTY = 20
ROOM_FOR = 5


def opened(entry, pipeline, at):
    """Seconds until an entry can be asked, and until all of it is there; and its pipeline."""
    fork, ready, began = pipeline.fork(), [], time.perf_counter()
    opening.open_entry(entry, fork, at, on_ready=lambda: ready.append(time.perf_counter() - began))
    return ready[0], time.perf_counter() - began, fork


def times(entry, pipeline, at, runs):
    """Medians for one entry, with nothing kept and with its memory kept; the first run warms up."""
    fresh, kept = [], []
    for _ in range(runs + 1):
        shutil.rmtree(at.kept, ignore_errors=True)
        fresh.append(opened(entry, pipeline, at)[:2])
        kept.append(opened(entry, pipeline, at)[0])
    fork = opened(entry, pipeline, at)[2]
    return {
        "tokens": fork.stats["context_tokens"],
        "held_mb": fork.memorized.nbytes / 2**20,
        "asked_after": statistics.median(first for first, _ in fresh[1:]),
        "memory_after": statistics.median(whole for _, whole in fresh[1:]),
        "kept_asked_after": statistics.median(kept[1:]),
    }


def built(path, pipeline, at):
    """Build a text; return its entry and the seconds that took."""
    began = time.perf_counter()
    building.build(building.Wanted("long"), [read_document(path)], (), pipeline.fork(), at)
    seconds = time.perf_counter() - began
    return Catalogue(at.added, at.root / "nothing").entries()["long"], seconds


def without(entry):
    """The same entry with its memory left out, as it comes from a repository for another model."""
    without_memory(entry.bundle)
    building.seal_and_write(entry.folder, entry.manifest)
    return Catalogue(entry.folder.parent, entry.folder / "nothing").entries()[entry.slug]


def switching(entry, pipeline, at, switches):
    """Open twenty corpora in turn with room for a few: the most that was held, and seconds a switch."""
    size = opened(entry, pipeline, at)[2].memorized.nbytes
    library, most, seconds = Library(int(size * (ROOM_FOR + 0.5))), 0, []
    for number in range(switches):
        name, began = f"corpus-{number * 7 % TWENTY}", time.perf_counter()
        if library.get(name) is None:
            library.make_room(opening.held_bytes(entry, pipeline.memorizer, at))
            fork = pipeline.fork()

            def hold(name=name, fork=fork):
                library.put(name, Held.of(fork))

            opening.open_entry(entry, fork, at, on_progress=lambda _: None, on_ready=hold)
            seconds.append(time.perf_counter() - began)
        most = max(most, library.nbytes)
    return {
        "budget_mb": library.most / 2**20,
        "most_held_mb": most / 2**20,
        "opened": len(seconds),
        "seconds": statistics.median(seconds),
    }


def started(cache):
    """Seconds from the start of ``app.py`` to the page, and to the first corpus that can be asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MEMORAG_CACHE_DIR": str(cache), "MEMORAG_PORT": str(port)}
    began, found = time.perf_counter(), {}
    process = subprocess.Popen([sys.executable, "app.py"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "Open http" in line:
                found["page"] = time.perf_counter() - began
            if re.search(r"can be asked after", line):
                return found | {"asked": time.perf_counter() - began}
    finally:
        process.terminate()
        process.wait()
    raise AssertionError("the app ended before anything could be asked")


def measure(pipeline, path, runs, switches, starts, settings, shipped=SHIPPED):
    found = {"hardware": str(pipeline.encoder.hardware), "model": pipeline.model.name, "corpora": {}}
    with tempfile.TemporaryDirectory() as folder:
        at = Places(Path(folder))
        entries = Catalogue(at.added, shipped).entries()
        for slug, entry in entries.items():
            found["corpora"][slug] = times(entry, pipeline, at, runs)
        first = next(iter(entries.values()))
        opened(first, pipeline, at)
        found["switching"] = switching(first, pipeline, at, switches)
        if path is not None:
            entry, seconds = built(path, pipeline, at)
            whole = statistics.median(opened(entry, pipeline, at)[0] for _ in range(runs))
            size = sum(int(facts["bytes"]) for facts in read_manifest(entry.bundle)["files"].values())
            rows = times(without(entry), pipeline, at, runs)
            found["corpora"]["(a text of one's own)"] = rows | {
                "built_after": seconds,
                "own_memory_asked_after": whole,
                "disk_mb": size / 2**20,
            }
    runs_of_app = [started(settings.cache_dir) for _ in range(starts + 1 if starts else 0)][1:]
    for name in ("page", "asked") if runs_of_app else ():
        found[f"start_to_{name}"] = [run[name] for run in runs_of_app]
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--switches", type=int, default=60)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("artifacts/corpora.json"))
    given = parser.parse_args(arguments)
    settings = from_environment()
    found = measure(load_models(settings), given.text, given.runs, given.switches, given.starts, settings)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1), "utf-8")
    print(found["model"], "-", found["hardware"])
    print(f"{'corpus':24}{'tokens':>9}{'asked after':>13}{'memory after':>14}{'asked, kept':>13}{'held MB':>9}")
    for slug, row in found["corpora"].items():
        print(
            f"{slug:24}{row['tokens']:9,}{row['asked_after']:13.2f}{row['memory_after']:14.2f}"
            f"{row['kept_asked_after']:13.3f}{row['held_mb']:9.1f}"
        )
    print(json.dumps({name: value for name, value in found.items() if name.startswith(("switch", "start"))}))
    if given.text is not None:
        print(json.dumps(found["corpora"]["(a text of one's own)"]))


if __name__ == "__main__":
    main()
