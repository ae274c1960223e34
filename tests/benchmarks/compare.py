"""How much faster this engine is than the published algorithm, and how near to what the machine can do.

    python -m tests.benchmarks.compare TEXT_FILE [--tokens 6000] [--runs 3] [--new-tokens 64]
        [--gists abstractive|extractive|both] [--gist-tokens 512] [--clue-tokens 128] [--exact] [--json FILE]
        [--plot FILE]

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
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.gist import GIST_TOKENS
from tests.benchmarks.published import Limits
from tests.benchmarks.sides import PUBLISHED, side
from tests.benchmarks.workers import Worker, machine, markdown, run, short, write

KINDS = ("extractive", "abstractive")
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
# Ratios that are wanted, and ones beyond that; chosen gists are measured against written ones.
TARGETS = {
    ("memorise", "extractive"): (30, 60),
    ("memorise", "abstractive"): (8, 12),
    ("first_token", None): (8, 15),
    ("total", None): (6, 10),
    ("first_clue", None): (1, None),
    ("memory_ram", None): (2, 4),
    ("memory_disk", None): (2, 4),
}


def table(workers: dict[str, Worker], kinds: list[str]) -> str:
    """Return the comparison as a Markdown table; a ratio above 1 is in our favour."""
    lines = [["measure", PUBLISHED, *(f"ours, {kind}" for kind in kinds), *(f"ratio, {kind}" for kind in kinds)]]
    for name, title in MEASURES.items():
        theirs, ours = workers[PUBLISHED].median(name), [workers[kind].median(name) for kind in kinds]
        ratios = ["" if name.startswith("written") else f"{theirs / value:.1f}x" for value in ours]
        lines.append([title, short(theirs), *map(short, ours), *ratios])
    return markdown(lines)


def ratios(workers: dict[str, Worker], kinds: list[str]) -> list[dict[str, Any]]:
    """Return the ratios that have a target, for the figure."""
    return [
        {
            "measure": MEASURES[name].rpartition(" (")[0],
            "gists": kind,
            "ratio": workers[PUBLISHED].median(name) / workers[kind].median(name),
            "target": target,
            "stretch": stretch,
        }
        for (name, only), (target, stretch) in TARGETS.items()
        for kind in kinds
        if only in (kind, None)
    ]


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
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
    parser.add_argument("--plot", type=Path, help="draw the ratios and their targets to this .png or .svg file")
    return parser.parse_args(given)


def main(line: Sequence[str] | None = None) -> None:
    given = arguments(line)
    kinds = list(KINDS) if given.gists == "both" else [given.gists]
    limits = Limits(gist=given.gist_tokens, clue=given.clue_tokens, answer=given.new_tokens, exact=given.exact)
    facts = {"benchmark": "compare", **machine(), "limits": asdict(limits)}
    workers = {label: Worker(side, label, limits) for label in (*kinds, PUBLISHED)}
    text = workers[kinds[0]].do("cut", given.text.read_text("utf-8"), given.tokens)
    with tempfile.TemporaryDirectory() as folder:
        run(workers, dict.fromkeys(workers, text), given.runs, Path(folder))
    roofline = workers[kinds[0]].do("roofline", text, given.runs)
    for worker in workers.values():
        worker.close()
    print(f"{facts['processor']}; {facts['hardware']}; {given.tokens} tokens, medians of {given.runs}\n")
    print(table(workers, kinds))
    print(
        "\n" + markdown([["near the hardware (ours)", ""], *([name, short(value)] for name, value in roofline.items())])
    )
    measured = {label: worker.found for label, worker in workers.items()}
    facts |= {"tokens": given.tokens, "runs": given.runs, "measured": measured, "roofline": roofline}
    write(facts | {"ratios": ratios(workers, kinds)}, given.json, given.plot)


if __name__ == "__main__":
    main()
