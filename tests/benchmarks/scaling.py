"""How memorising, asking, loading and memory grow with the length of the corpus.

    python -m tests.benchmarks.scaling TEXT_FILE [--tokens 4000 16000 64000 128000] [--runs 3] [--new-tokens 64]
        [--published 0] [--json FILE] [--plot FILE]

Ours as the app has it: chosen sentences as gists, the embedded models, and no more tokens for clues than the app gives
them; only the answer is forced to a number of tokens. Every length is a process of its own, so that its peak is its
own, and they take turns run by run; each warms up on the text's beginning; medians over the runs. ``--published`` also
measures the published algorithm, with the same limits, at the lengths up to so many tokens: that takes minutes, and
near an hour for 128,000.

A text that is shorter than asked for is repeated. Copies have a numbered heading before every six hundred characters
or so, so that their passages are passages of their own, of which nothing is left out or embedded once for several; how
many copies there are, and the share of passages that are not like another, is in the JSON. Sentences stay what they
are: within a stretch of 4,096 tokens, gists count one that stands there twice only once, so give a text that is longer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import pipeline
from tests.benchmarks.published import Limits
from tests.benchmarks.sides import PUBLISHED, side
from tests.benchmarks.workers import Worker, machine, markdown, run, short, write

OURS = "ours"
# Measures of a row, and their titles in the table.
MEASURES = {
    "copies": "copies of the text",
    "memorise": "memorise (s)",
    "tokens_per_second": "memorise (tokens/s)",
    "first_token": "question to first answer token (s)",
    "total": "question to complete answer (s)",
    "first_clue": "load bundle to first clue token (s)",
    "remembered_tokens": "remembered tokens",
    "memory_ram": "memory in RAM (bytes per remembered token)",
    "memory_disk": "memory on disk (bytes per remembered token)",
    "memory_mb": "memory in RAM (MB)",
    "peak_loaded": "peak RSS, models loaded and warm (MB)",
    "peak_memorised": "peak RSS, after memorising (MB)",
    "peak_asked": "peak RSS, after asking (MB)",
}


def row(name: str, tokens: int, worker: Worker) -> dict[str, Any]:
    """Return the medians of one side at one length."""
    found = {measure: worker.median(measure) for measure in worker.found}
    speed, size = tokens / found["memorise"], found["memory_ram"] * found["remembered_tokens"]
    return {"side": name, "tokens": tokens, **found, "tokens_per_second": speed, "memory_mb": size / 2**20}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the measures as a Markdown table with a column for every side and length."""
    head = ["measure", *(f"{row['side']}, {row['tokens']:,} tokens" for row in rows)]
    return markdown([head, *([title, *(short(row[name]) for row in rows)] for name, title in MEASURES.items())])


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what grows with the length of the corpus.")
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4000, 16000, 64000, 128000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of every answer")
    parser.add_argument("--published", type=int, default=0, help="longest text for the published algorithm (tokens)")
    parser.add_argument("--json", type=Path, default=Path("artifacts/scaling.json"))
    parser.add_argument("--plot", type=Path, help="draw the curves to this .png or .svg file")
    return parser.parse_args(given)


def main(line: Sequence[str] | None = None) -> None:
    given = arguments(line)
    limits = Limits(clue=pipeline.CLUE_TOKENS_SMALL, answer=given.new_tokens)
    facts = {"benchmark": "scaling", **machine(), "limits": asdict(limits), "runs": given.runs}
    asked = [(OURS, tokens) for tokens in sorted(set(given.tokens))]
    asked += [(PUBLISHED, tokens) for _, tokens in asked if tokens <= given.published]
    labels = {f"{name}-{tokens}": (name, tokens) for name, tokens in asked}
    workers = {
        label: Worker(side, "extractive" if name == OURS else name, limits) for label, (name, _) in labels.items()
    }
    filling, source = workers[next(iter(workers))], given.text.read_text("utf-8")
    filled = {label: filling.do("fill", source, tokens) for label, (_, tokens) in labels.items()}
    with tempfile.TemporaryDirectory() as folder:
        run(workers, {label: text for label, (text, _) in filled.items()}, given.runs, Path(folder))
    rows = []
    for label, (name, tokens) in labels.items():
        distinct = workers[label].do("distinct") if name == OURS else {}
        rows.append(row(name, tokens, workers[label]) | {"copies": filled[label][1], **distinct})
        workers[label].close()
    print(f"{facts['processor']}; {facts['hardware']}; medians of {given.runs}\n\n{table(rows)}")
    measured = {label: worker.found for label, worker in workers.items()}
    write(facts | {"rows": rows, "measured": measured}, given.json, given.plot)


if __name__ == "__main__":
    main()
