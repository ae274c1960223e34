"""What a very large file costs: seconds to every stage of memorising it, questions meanwhile, and peak memory.

    python -m tests.benchmarks.large TEXT_FILE [--megabytes 200] [--save DIR] [--stop-at SHARE] [--json FILE]

Sentences of TEXT_FILE are recombined into a text of so many megabytes (0: the file as it is) whose paragraphs are all
different. It is read as the app reads uploads, memorised with the models that the settings name, and asked a question
at every stage. With ``--stop-at 0.1`` work is stopped after a tenth of the vectors, as if the app had been ended, and
gone on with. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.apart import read_apart
from engine.chunking import sentences
from engine.command import load_pipeline
from engine.errors import Cancelled
from engine.events import Answer, Progress, Stop, Token
from engine.forecast import forecast
from engine.settings import from_environment

QUESTION = "Who arrived at the house, and what was said about it?"


def recombined(text: str, size: int, seed: int = 7) -> Iterator[str]:
    """Paragraphs of halves of a text's sentences, with a number and made-up names, until they have ``size`` bytes."""
    chance = random.Random(seed)
    parts = [" ".join(text[a:b].split()) for a, b in sentences(text)]
    parts = [part for part in parts if len(part) > 20]
    written = number = 0
    while written < size:
        number += 1
        halves = [part[: len(part) // 2].rpartition(" ")[0] for part in chance.choices(parts, k=5)]
        name = "".join(chance.choices("bdfgklmnprstvw", k=2)).capitalize().join("".join(chance.choices("aeiou", k=3)))
        paragraph = f"{number}. {name} tells: " + ". ".join(filter(None, halves)) + ".\n\n"
        written += len(paragraph.encode())
        yield paragraph


def peak() -> float:
    """Peak RSS of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Log:
    """What was reached when: seconds since the file was given, and the peak memory by then."""

    def __init__(self) -> None:
        self.began, self.rows, self.stages = time.perf_counter(), list[dict[str, Any]](), dict[str, list[float]]()

    def note(self, what: str, **facts: object) -> None:
        """Note that something was reached."""
        row = {
            "what": what,
            "seconds": time.perf_counter() - self.began,
            "peak_mb": peak(),
            **facts,
        }
        self.rows.append(row)
        print(f"{row['seconds']:9.1f} s  {row['peak_mb']:7.0f} MB  {what}  {facts or ''}", flush=True)

    def progress(self, progress: Progress) -> None:
        """Keep the first and last moment of every stage, and say what a fresh stage expects."""
        now = time.perf_counter() - self.began
        times = self.stages.setdefault(progress.stage, [now, now])
        times[1] = now


def ask(pipeline: Any, log: Log, what: str) -> None:
    """Ask a question and note how long it took."""
    began, first = time.perf_counter(), None
    for event in pipeline.stream(query=QUESTION, max_new_tokens=32):
        if isinstance(event, Token) and first is None:
            first = time.perf_counter() - began
        if isinstance(event, Answer):
            log.note(what, first_word=first, whole_answer=time.perf_counter() - began, passages=len(event.evidence))


def memorise(path: Path, folder: Path, stop_at: float) -> dict[str, Any]:
    """Read and memorise a file, asking at every stage; return what was noted."""
    settings = from_environment()
    pipeline = load_pipeline("memorag-lite", settings)
    with path.open(encoding="utf-8", errors="replace") as file:
        told = forecast(pipeline, path.stat().st_size, file.read(20_000))
    print(told)
    log, stop = Log(), Stop()
    document = read_apart(path)
    log.note("read", characters=len(document.text))

    def on_progress(progress: Progress) -> None:
        log.progress(progress)
        if progress.stage == "embedding" and stop_at and progress.done >= stop_at * progress.total:
            stop.set()

    def on_ready() -> None:
        missing = pipeline.memorized.missing
        log.note("can be asked", missing=missing, held_mb=pipeline.memorized.nbytes // 2**20)
        ask(pipeline, log, "asked " + (f"without {' and '.join(missing)}" if missing else "with all"))

    try:
        pipeline.memorize(document, folder, on_progress=on_progress, stop=stop, on_ready=on_ready)
    except Cancelled:
        log.note("stopped", missing=pipeline.memorized.missing)
        began, pipeline = time.perf_counter(), pipeline.fork()
        pipeline.load(folder)
        log.note("opened again", seconds_to_open=time.perf_counter() - began)
        pipeline.complete(folder, on_progress=log.progress, on_ready=on_ready)
    size = sum(file.stat().st_size for file in folder.iterdir())
    log.note("done", disk_mb=size // 2**20, chunks=len(pipeline.memorized.chunks))
    return {"rows": log.rows, "stages": log.stages, "hardware": str(pipeline.encoder.hardware)}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--save", type=Path, help="where the bundle goes (default: a temporary folder)")
    parser.add_argument("--stop-at", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--json", type=Path, default=Path("artifacts/large.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = given.text
        if given.megabytes:
            path = Path(scratch, "large.txt")
            with path.open("w", encoding="utf-8") as file:
                file.writelines(recombined(given.text.read_text("utf-8"), given.megabytes * 2**20 - 4096))
        found = memorise(path, given.save or Path(scratch, "bundle"), given.stop_at)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
