"""How fast the app is on this machine: starting, memorising, answering. Prints a table and writes JSON.

    python -m tests.benchmarks.speed TEXT_FILE [--tokens 6000] [--runs 3] [--json FILE]

Medians over the runs, after one warm-up; nothing else should run meanwhile. Figures of different machines cannot be
compared.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from engine import MemoRAGLite
from engine.events import Answer, Token

QUESTIONS = ("Who is the main person of the text?", "What happens at the end?", "How do the places differ?")


def cut(pipeline, text, tokens):
    """The beginning of a text that has this many tokens of the memory model."""
    spans = pipeline.model.token_spans([text])[0]
    return text[: spans[min(tokens, len(spans)) - 1][1]]


def ask(pipeline, question, task):
    began = time.perf_counter()
    first = None
    for event in pipeline.stream(question, task_type=task, max_new_tokens=64):
        if isinstance(event, Token) and first is None:
            first = time.perf_counter() - began
        if isinstance(event, Answer):
            return first, time.perf_counter() - began, event.tokens
    raise AssertionError("a stream ends with an Answer")


def measure(path, tokens, runs, folder):
    began = time.perf_counter()
    pipeline = MemoRAGLite()
    rows = {"load models (s)": time.perf_counter() - began}
    text = cut(pipeline, path.read_text("utf-8"), tokens)
    memorise, load = [], []
    for _ in range(runs + 1):
        began = time.perf_counter()
        pipeline.memorize(text, save_dir=folder)
        memorise.append(time.perf_counter() - began)
        began = time.perf_counter()
        pipeline.fork().load(folder)
        load.append(time.perf_counter() - began)
    rows[f"memorise {tokens} tokens (s)"] = statistics.median(memorise[1:])
    rows["load the bundle (s)"] = statistics.median(load[1:])
    for task in ("memorag", "rag"):
        asked = [ask(pipeline, QUESTIONS[i % len(QUESTIONS)], task) for i in range(runs * len(QUESTIONS) + 1)][1:]
        rows[f"{task}: first token (s)"] = statistics.median(first for first, _, _ in asked)
        rows[f"{task}: whole answer (s)"] = statistics.median(whole for _, whole, _ in asked)
    rows["memory (MB)"] = pipeline.stats["memory_bytes"] / 2**20
    return {"hardware": str(pipeline.encoder.hardware), "model": pipeline.model.name, "figures": rows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("artifacts/speed.json"))
    given = parser.parse_args()
    found = measure(given.text, given.tokens, given.runs, Path("artifacts/speed-bundle"))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1), "utf-8")
    print(found["model"], "-", found["hardware"])
    for name, value in found["figures"].items():
        print(f"{name:32} {value:8.2f}")


if __name__ == "__main__":
    main()
