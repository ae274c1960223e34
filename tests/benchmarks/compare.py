"""How much faster this engine is than the published algorithm, and how near to what the machine can do.

    python -m tests.benchmarks.compare TEXT_FILE [--tokens 6000] [--runs 3] [--new-tokens 64]
        [--gists abstractive|extractive|both] [--gist-tokens 512] [--clue-tokens 128] [--exact] [--json FILE]

Same machine, models, text, passages and token limits. Every side is a process of its own, and they take turns run by
run, so that a slow minute of the machine meets both; each warms up on the text's beginning; medians over the runs.
Answers are forced to the same number of new tokens: ours is written by a model without end tokens, the published one
may not choose them before its last token. Gists and clues end where the model ends them, up to the same limits: how
many tokens were written is in the table. ``--exact`` forces them to their limits as well, so that both sides write
equally much; what is found with such clues then says nothing. "First token" times the first token handed out, although
the published algorithm itself shows an answer only when it is whole. Everything runs on the CPU, where nothing else
should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.gist import GIST_TOKENS
from engine.hardware import detect
from tests.benchmarks.published import Limits
from tests.benchmarks.sides import Ours, Reference
from tests.benchmarks.speed import QUESTIONS

PUBLISHED = "published"
KINDS = ("extractive", "abstractive")
# Characters of the text that each side warms up on.
WARM_UP = 2000
# Names of the measures, and the units that stand in the table.
MEASURES = {
    "memorise": "memorise (s)",
    "first_token": "question to first answer token (s)",
    "total": "question to complete answer (s)",
    "written_for_gists": "tokens written for gists",
    "written_for_clues": "tokens written for clues",
    "first_clue": "load bundle to first clue token (s)",
    "memory_ram": "memory in RAM (bytes per remembered token)",
    "memory_disk": "memory on disk (bytes per remembered token)",
    "peak_loaded": "peak RSS, models loaded and warm (MB)",
    "peak_memorised": "peak RSS, after memorising (MB)",
    "peak_asked": "peak RSS, after asking (MB)",
}


# The worker processes: each holds one side.

_side: Any = None


def open_side(label: str, limits: Limits) -> None:
    global _side
    _side = Reference(limits) if label == PUBLISHED else Ours(label, limits)


def do(method: str, *arguments: Any) -> Any:
    return getattr(_side, method)(*arguments)


def peak_rss() -> float:
    """Return the most memory that this process has had, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


class Worker:
    """One side in a process of its own, and all that it measured."""

    def __init__(self, label: str, limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, context, open_side, (label, limits))
        self.found: dict[str, list[float]] = {}

    def do(self, method: str, *arguments: Any) -> Any:
        return self.pool.submit(do, method, *arguments).result()

    def measure(self, method: str, *arguments: Any) -> None:
        for name, value in self.do(method, *arguments).items():
            self.found.setdefault(name, []).append(value)

    def note_peak(self, stage: str) -> None:
        self.found[f"peak_{stage}"] = [self.pool.submit(peak_rss).result()]

    def median(self, name: str) -> float:
        return statistics.median(self.found[name])


def run(workers: dict[str, Worker], text: str, runs: int, folder: Path) -> None:
    """Measure all sides in turns."""
    for label, worker in workers.items():
        worker.do("memorise", text[:WARM_UP])
        worker.do("ask", QUESTIONS[0])
        worker.do("save", folder / f"{label}-warm")
        worker.do("reload", folder / f"{label}-warm", QUESTIONS[0])
        worker.note_peak("loaded")
    asked = [QUESTIONS[i % len(QUESTIONS)] for i in range(runs)]
    in_turns(workers, runs, lambda label, worker, i: worker.measure("memorise", text))
    for worker in workers.values():
        worker.note_peak("memorised")
    in_turns(workers, runs, lambda label, worker, i: worker.measure("ask", asked[i]))
    for label, worker in workers.items():
        worker.note_peak("asked")
        worker.measure("save", folder / label)
    in_turns(workers, runs, lambda label, worker, i: worker.measure("reload", folder / label, asked[i]))


def in_turns(workers: dict[str, Worker], runs: int, work: Callable[[str, Worker, int], None]) -> None:
    for i in range(runs):
        for label, worker in workers.items():
            work(label, worker, i)


def table(workers: dict[str, Worker], kinds: list[str]) -> str:
    """Return the comparison as a Markdown table; a ratio above 1 is in our favour."""
    head = ["measure", PUBLISHED, *(f"ours, {kind}" for kind in kinds), *(f"ratio, {kind}" for kind in kinds)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, title in MEASURES.items():
        theirs, ours = workers[PUBLISHED].median(name), [workers[kind].median(name) for kind in kinds]
        ratios = ["" if name.startswith("written") else f"{theirs / value:.1f}x" for value in ours]
        lines.append([title, short(theirs), *map(short, ours), *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: float) -> str:
    """Return three figures of a number, or a whole number as it is."""
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"


def processor() -> str:
    """Return the name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text("utf-8").splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare with the published algorithm.")
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=6000, help="tokens of the text that are memorised")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of every answer, on both sides")
    parser.add_argument("--gists", choices=(*KINDS, "both"), default="both", help="our gists")
    parser.add_argument("--gist-tokens", type=int, default=GIST_TOKENS, help="most tokens of a written gist")
    parser.add_argument("--clue-tokens", type=int, default=128, help="most tokens of recall, and of rewrite")
    parser.add_argument("--exact", action="store_true", help="gists and clues have as many tokens as they may have")
    parser.add_argument("--json", type=Path, default=Path("artifacts/compare.json"))
    return parser.parse_args()


def main() -> None:
    given = arguments()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # who waits for its turn must not spin
    kinds = list(KINDS) if given.gists == "both" else [given.gists]
    limits = Limits(gist=given.gist_tokens, clue=given.clue_tokens, answer=given.new_tokens, exact=given.exact)
    workers = {label: Worker(label, limits) for label in (*kinds, PUBLISHED)}
    load = os.getloadavg()[0]
    text = workers[kinds[0]].do("cut", given.text.read_text("utf-8"), given.tokens)
    with tempfile.TemporaryDirectory() as folder:
        run(workers, text, given.runs, Path(folder))
    roofline = workers[kinds[0]].do("roofline", text, given.runs)
    facts = {"processor": processor(), "hardware": str(detect("cpu")), "load before": load, "limits": asdict(limits)}
    for worker in workers.values():
        worker.pool.shutdown()
    print(f"{facts['processor']}; {facts['hardware']}; {given.tokens} tokens, medians of {given.runs}\n")
    print(table(workers, kinds))
    print("\n| near the hardware (ours) | |\n| --- | ---: |")
    print("\n".join(f"| {name} | {short(value)} |" for name, value in roofline.items()))
    measured = {label: worker.found for label, worker in workers.items()}
    facts |= {"tokens": given.tokens, "runs": given.runs, "measured": measured, "roofline": roofline}
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(facts, indent=1), "utf-8")


if __name__ == "__main__":
    main()
