"""What several questions at once over one memory cost: waiting, answers a minute, and memory.

    python -m tests.benchmarks.concurrent TEXT_FILE [--questions 1 2 4 8 16] [--tokens 6000] [--runs 3]
        [--new-tokens 64] [--json FILE] [--plot FILE]

One process memorises the text, and k threads of it ask at the same moment, each another question, as the app's visitors
do (the page lets a few run and the others wait; here nobody waits). The numbers of questions take turns run by run,
after a warm-up; medians over the runs, of memory the most.

Before each turn all free memory is given back to the system, so that what a question takes shows: the peak above that
is what asking needs. Of it, tails are what questions read and write themselves, counted where the model allots them.
Some questions are also asked over a memory that is a few times as large and else the same, because it has read the
same gists a few times: a design that copies its memory takes more for every question by as much as that is larger.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

from engine import pipeline
from engine.gist import join
from tests.benchmarks.published import Limits
from tests.benchmarks.sides import Figures, Ours
from tests.benchmarks.workers import WARM_UP, Watch, Worker, machine, markdown, settled_rss, short, write

MEASURES = {
    "first_median": "question to first answer token, median (s)",
    "first_worst": "question to first answer token, last of all (s)",
    "all_answered": "until all are answered (s)",
    "answers_per_minute": "answers per minute",
    "rss_before": "RSS before asking (MB)",
    "rss_above": "peak RSS above that (MB)",
    "tails": "of that, tails (MB)",
}
# Questions at once over the large memory, at most, and how often that reads the gists.
_FEW, _TIMES = 4, 4
# Tokens of the model's window kept free for a question.
_RESERVE = 1024
# A difference of two memories that can be told from the noise of the system's own accounts, in bytes.
_TELLING = 8 * 2**20
# Shares of the bytes of a copy for each question that tell one from working space, and that from nothing.
_COPY, _NOTHING = 0.9, 0.25
# How many questions, and whether over the large memory.
Turn = tuple[int, bool]
BYTES = ("rss_before", "rss_above", "tails")
_FORMS = ("What does the text say about {}?", "Who speaks of {}?", "When does {} matter most?", "Why is {} mentioned?")
_SUBJECTS = ("the house", "the weather", "money", "a letter", "the journey", "a friend", "the night", "the end")


def questions() -> Iterator[str]:
    """Questions without end; 32 follow each other before one comes again."""
    return cycle(form.format(subject) for subject, form in product(_SUBJECTS, _FORMS))


@dataclass(frozen=True)
class Tails:
    """The tails that are in use, whoever made them."""

    held: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, tail: Any) -> None:
        with self.lock:
            self.held.add(tail)

    def nbytes(self) -> int:
        with self.lock:
            return sum(map(tail_bytes, list(self.held)))


def tail_bytes(tail: Any) -> int:
    """Return the bytes of a tail's own keys and values, which a tail of layers has in each, all of them alike."""
    layers = getattr(tail, "layers", [tail])
    held = (getattr(layers[0], name, None) for name in ("keys", "values"))
    return len(layers) * sum(tensor.nbytes for tensor in held if tensor is not None)


@dataclass(frozen=True)
class Showing:
    """A forward pass that shows the tails it makes."""

    forward: Any
    tails: Tails

    def tail(self, *given: Any, **named: Any) -> Any:
        tail = self.forward.tail(*given, **named)
        self.tails.add(tail)
        return tail

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.forward(*given, **named)


class Crowd(Ours):
    """Ours with many who ask at once."""

    def __init__(self, limits: Limits) -> None:
        super().__init__("extractive", limits)
        self.tails, self.questions = Tails(), questions()
        showing = Showing(self.decoder.forward, self.tails)
        self.pipeline.model.decoder = self.decoder = replace(self.decoder, forward=showing)
        self.endless.decoder = replace(self.endless.decoder, forward=showing)

    def enlarge(self) -> list[dict[str, int]]:
        """Make the large memory; return the facts of the usual one and of that."""
        held = self.pipeline.memorized
        memory = copy.copy(held.memory)
        room = memory.context_length - _RESERVE
        memory.memorize("\n\n".join([join(held.gists)] * max(1, min(_TIMES, room // memory.tokens))), memory.prompts)
        self.large = replace(held, memory=memory)
        return [{"memory_bytes": of.memory.nbytes, "memory_tokens": of.memory.tokens} for of in (held, self.large)]

    def at_once(self, count: int, over_large: bool = False) -> Figures:
        """Ask so many questions at the same moment."""
        asked, held = list(islice(self.questions, count)), self.large if over_large else self.pipeline.memorized
        start, found = threading.Barrier(count + 1), []

        def work(question: str) -> None:
            start.wait()
            found.append(self.seconds(question, held))

        threads = [threading.Thread(target=work, args=(question,)) for question in asked]
        before = settled_rss()
        with Watch(self.tails.nbytes) as watch:
            for thread in threads:
                thread.start()
            start.wait()
            began = time.perf_counter()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - began
        if len(found) < count:
            raise RuntimeError(f"{count - len(found)} of {count} questions were not answered; their errors are above.")
        firsts = [first for first, _ in found]
        return {
            "first_median": statistics.median(firsts),
            "first_worst": max(firsts),
            "all_answered": seconds,
            "answers_per_minute": 60 * count / seconds,
            "rss_before": before,
            "rss_above": watch.rss - before,
            "tails": watch.counted,
        }


def per_question(rows: Sequence[Figures], name: str) -> float:
    """Return how much each further question adds."""
    fewest, most = rows[0], rows[-1]
    if most is fewest:
        return most[name] / most["questions"]
    return (most[name] - fewest[name]) / (most["questions"] - fewest["questions"])


def verdict(count: int, larger: float, more: float) -> str:
    """Say whether the memory is copied: ``count`` questions took ``more`` over a memory ``larger`` by so many bytes.

    Reading a memory takes working space, which may grow with it too, so less than a copy for each is none.
    """
    told = f"Over a memory {larger / 2**20:.1f} MB larger, {count} at once took {more / 2**20:.1f} MB more"
    if larger < _TELLING:
        return f"{told}: whether the memory is copied does not show, take a longer text."
    share = max(0.0, more / (count * larger))
    if share < _NOTHING:
        found = "nothing of the size of the memory is added"
    elif share < _COPY:
        found = "the memory is not copied, but working space grows with it"
    else:
        found = "that is a copy for each question"
    return f"{told}, {share:.0%} of what a copy for each would take: {found}."


def table(rows: Sequence[Figures]) -> str:
    """Return the measures as a Markdown table with a column for every number of questions."""
    lines = [["questions at once", *(f"{row['questions']}" for row in rows)]]
    for name, title in MEASURES.items():
        lines.append([title, *(short(row[name] / 2**20 if name in BYTES else row[name]) for row in rows)])
    return markdown(lines)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure several questions at once over one memory.")
    parser.add_argument("text", type=Path)
    parser.add_argument("--questions", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--tokens", type=int, default=6000, help="tokens of the text that are memorised")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of every answer")
    parser.add_argument("--json", type=Path, default=Path("artifacts/concurrent.json"))
    parser.add_argument("--plot", type=Path, help="draw the curves to this .png or .svg file")
    return parser.parse_args(given)


def measure(worker: Worker, turns: Sequence[Turn], runs: int) -> dict[Turn, list[Figures]]:
    """Ask in turns, after a warm-up; return the figures of each run."""
    found: dict[Turn, list[Figures]] = {turn: [] for turn in turns}
    worker.do("at_once", *turns[-1])
    for _ in range(runs):
        for turn in turns:
            found[turn].append(worker.do("at_once", *turn))
    return found


def row(count: int, found: Sequence[Figures]) -> Figures:
    """Return the medians of the runs, and of memory the most."""
    of = {name: max if name in BYTES else statistics.median for name in MEASURES}
    return {"questions": count, **{name: pick(run[name] for run in found) for name, pick in of.items()}}


def main(line: Sequence[str] | None = None) -> None:
    given = arguments(line)
    limits = Limits(clue=pipeline.CLUE_TOKENS_SMALL, answer=given.new_tokens)
    facts = {"benchmark": "concurrent", **machine(), "limits": asdict(limits), "runs": given.runs}
    worker = Worker(Crowd, limits)
    text, facts["copies"] = worker.do("fill", given.text.read_text("utf-8"), given.tokens)
    worker.do("memorise", text[:WARM_UP])
    worker.do("memorise", text)
    usual, large = worker.do("enlarge")
    counts = sorted(set(given.questions))
    few = max((count for count in counts if count <= _FEW), default=counts[0])
    found = measure(worker, [*((count, False) for count in counts), (few, True)], given.runs)
    worker.close()
    *rows, over_large = [row(count, figures) for (count, _), figures in found.items()]
    larger = large["memory_bytes"] - usual["memory_bytes"]
    more = over_large["rss_above"] - rows[counts.index(few)]["rss_above"]
    facts |= {
        "tokens": given.tokens,
        **usual,
        "rows": rows,
        "measured": {str(count): figures for (count, is_large), figures in found.items() if not is_large},
        "added_per_question": per_question(rows, "rss_above"),
        "tails_per_question": per_question(rows, "tails"),
        "large_memory": {**large, **over_large},
        "verdict": verdict(few, larger, more),
    }
    about = f"{given.tokens} tokens, {facts['memory_tokens']} remembered, medians of {given.runs}, of memory the most"
    added, tails = (facts[f"{name}_per_question"] / 2**20 for name in ("added", "tails"))
    told = f"The memory has {facts['memory_bytes'] / 2**20:.1f} MB; each further question adds {added:.1f} MB"
    print(f"{facts['processor']}; {facts['hardware']}; {about}\n\n{table(rows)}\n\n{told}, {tails:.1f} MB of it tails.")
    print(facts["verdict"])
    write(facts, given.json, given.plot)


if __name__ == "__main__":
    main()
