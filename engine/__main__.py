"""The engine from a command line.

    python -m engine memorize FILE... --save DIR     read documents once, keep them as a bundle
    python -m engine ask DIR "question"              answer from a bundle, with cited evidence
    python -m engine info DIR                        what a bundle holds, and whether it is whole

With ``--json`` the result is one JSON object on standard output. Progress goes to standard error, and so do errors, in
a sentence each; the exit status is then 1. Models and devices come from the flags, else from the environment (see
``engine/settings.py``).
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

from engine.apart import read_apart
from engine.command import add_model_flags, load_pipeline, progress_bar, run_command, settings_of
from engine.documents import Document, Limits
from engine.errors import InputError, PasswordError
from engine.events import Answer, Event, OnProgress, Passage, Task, Token
from engine.settings import Settings
from engine.strategy import strategy_for

_SHOWN = 200  # characters of a passage in the list of evidence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args(arguments)
    return run_command(lambda: given.run(given, settings_of(given)))


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    add_model_flags(shared)
    parser = argparse.ArgumentParser(prog="python -m engine", description="Memorise documents and ask about them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    memorize = commands.add_parser("memorize", parents=[shared], help="read documents once and keep them as a bundle")
    memorize.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a TXT, PDF or DOCX file")
    memorize.add_argument(
        "--save", required=True, type=Path, metavar="DIR", help="a new folder, or a bundle to replace"
    )
    memorize.add_argument("--full", action="store_true", help="let the memory read the text itself instead of gists")
    memorize.set_defaults(run=_memorize)
    ask = commands.add_parser("ask", parents=[shared], help="answer a question from a bundle")
    ask.add_argument("bundle", type=Path, metavar="DIR")
    ask.add_argument("question", nargs="?", help="may be left out for --task summarize")
    ask.add_argument(
        "--task", default="memorag", choices=get_args(Task), help="memorag (default), qa, rag, summarize or full"
    )
    ask.add_argument(
        "--rerank",
        type=int,
        metavar="N",
        help="passages that the model judges anew (default: some, if it is fast)",
    )
    ask.add_argument("--max-new-tokens", type=int, default=256)
    ask.add_argument("--temperature", type=float, default=0.0)
    ask.set_defaults(run=_ask)
    info = commands.add_parser("info", parents=[shared], help="say what a bundle holds, and check it")
    info.add_argument("bundle", type=Path, metavar="DIR")
    info.set_defaults(run=_info)
    return parser


def _memorize(given: argparse.Namespace, settings: Settings) -> None:
    limits = Limits(max_bytes=settings.max_file_bytes)
    with progress_bar() as on_progress:
        documents = [_read(path, limits, on_progress) for path in given.files]
        pipeline = load_pipeline("memorag" if given.full else "memorag-lite", settings)
        pipeline.memorize(documents, save_dir=given.save, on_progress=on_progress)
    facts = {"bundle": str(given.save), "documents": [d.name for d in pipeline.memorized.documents], **pipeline.stats}
    _tell(facts, given.json)


def _read(path: Path, limits: Limits, on_progress: OnProgress) -> Document:
    """Read a file; ask for its password where it has one and somebody is there to be asked."""
    try:
        return read_apart(path, limits=limits, on_progress=on_progress)
    except PasswordError:
        if not sys.stdin.isatty():
            raise
        password = getpass.getpass(f"Password of {path.name}: ")
        return read_apart(path, limits=limits, password=password, on_progress=on_progress)


def _ask(given: argparse.Namespace, settings: Settings) -> None:
    from engine.storage import read_manifest

    if given.task != "summarize" and not (given.question or "").strip():
        raise InputError("The question is empty; write a question, or ask for --task summarize.")
    strategy = None if given.rerank is None else replace(strategy_for(given.task, reads_fast=True), rerank=given.rerank)
    with progress_bar() as on_progress:
        pipeline = load_pipeline(str(read_manifest(given.bundle).get("kind")), settings)
        pipeline.load(given.bundle, on_progress=on_progress)
    events = pipeline.stream(
        query=given.question,
        task_type=given.task,
        max_new_tokens=given.max_new_tokens,
        temperature=given.temperature,
        strategy=strategy,
    )
    answer = _shown(events, quiet=given.json)
    if given.json:
        _tell(asdict(answer), as_json=True)
        return
    sys.stdout.write("\n")
    for passage in answer.evidence:
        sys.stdout.write(f"\n[{passage.number}] {_place(passage)}\n    {_beginning(passage.text)}\n")


def _info(given: argparse.Namespace, settings: Settings) -> None:
    from engine import storage
    from engine.bundle import contents_of

    bundle = storage.read(given.bundle)
    made = contents_of(bundle, given.bundle.resolve().name)
    if bundle.verification is not None:
        bundle.verification.wait()
    facts = {
        "bundle": str(given.bundle),
        "kind": made.kind,
        "documents": [document.name for document in made.documents],
        "gists": len(made.gists),
        "memory_model": made.memory_model[0],
        "retriever": made.retriever[0],
        "chunk_tokens": made.chunk_size,
        "bytes": sum(int(facts["bytes"]) for facts in bundle.manifest["files"].values()),
        "missing": list(made.missing),
        "versions": made.versions,
        **made.stats,
    }
    _tell(facts, given.json)


def _shown(events: Iterator[Event], quiet: bool) -> Answer:
    """Write the answer as it comes, unless ``quiet``; return it whole."""
    for event in events:
        if isinstance(event, Token) and not quiet:
            sys.stdout.write(event.text)
            sys.stdout.flush()
        if isinstance(event, Answer):
            return event
    raise AssertionError("a stream ends with an Answer")


def _tell(facts: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        return
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {part}" for key, part in value.items())
        sys.stdout.write(f"{name.replace('_', ' ')}: {_printable(str(shown))}\n")


def _place(passage: Passage) -> str:
    page = f", page {passage.page}" if passage.page is not None else ""
    section = f", {passage.section}" if passage.section else ""
    return _printable(f"{passage.document}{page}{section}")


def _printable(text: str) -> str:
    """Return text without what could steer a terminal."""
    return "".join(character for character in text if character.isprintable())


def _beginning(text: str) -> str:
    line = _printable(" ".join(text.split()))
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN].rsplit(' ', 1)[0]} ..."


if __name__ == "__main__":
    sys.exit(main())
