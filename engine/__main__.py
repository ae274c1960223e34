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
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from engine.documents import Limits, read_document
from engine.errors import InputError, MemoRAGError
from engine.events import Answer, Event, OnProgress, Passage, Progress, Task, Token
from engine.hardware import DEVICES
from engine.settings import Settings, from_environment

if TYPE_CHECKING:
    from engine.memorag import MemoRAG
    from engine.memorag_lite import MemoRAGLite

_STOPPED = 130  # the usual exit status after Ctrl-C
_SHOWN = 200  # characters of a passage in the list of evidence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names and answers may hold what a terminal cannot show
            stream.reconfigure(errors="replace")
    with _interrupts() as interrupts:
        status = _run(given)
    if interrupts:
        sys.stderr.write("\nStopped.\n")
        return _STOPPED
    return status


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Let Ctrl-C end the block by SystemExit; yield a list that then is not empty, whatever became of the exception.

    Some libraries pass a KeyboardInterrupt on as an error of their own, and Python ends in another way after one that
    went through code it compiled while running.
    """
    came: list[int] = []

    def interrupt(number: int, *_: object) -> None:
        came.append(number)
        raise SystemExit(_STOPPED)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in the background of a shell
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield came
    except BaseException:
        if not came:
            raise
    finally:
        signal.signal(signal.SIGINT, before)


def _run(given: argparse.Namespace) -> int:
    """Run a command; say in a sentence what went wrong. Return the exit status."""
    try:
        settings = from_environment(
            model=given.model, retriever=given.retriever, device=given.device, threads=given.threads
        )
        given.run(given, settings)
        sys.stdout.flush()
    except MemoRAGError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:  # the reader has seen enough; nothing more can be said to it, also not at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        sys.stderr.write(f"The result could not be written: {error.strerror}.\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON object")
    shared.add_argument("--model", help="memory model and generator: auto, a Hub name or a folder")
    shared.add_argument("--retriever", help="retriever: auto, a Hub name or a folder")
    shared.add_argument("--device", choices=DEVICES)
    shared.add_argument("--threads", help="CPU threads for the models")
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
        "--task", default="memorag", choices=get_args(Task), help="memorag (default), qa, rag or summarize"
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
    with _bar() as on_progress:
        documents = [read_document(path, limits=limits, on_progress=on_progress) for path in given.files]
        pipeline = _pipeline("memorag" if given.full else "memorag-lite", settings)
        pipeline.memorize(documents, save_dir=given.save, on_progress=on_progress)
    facts = {"bundle": str(given.save), "documents": [d.name for d in pipeline.memorized.documents], **pipeline.stats}
    _tell(facts, given.json)


def _ask(given: argparse.Namespace, settings: Settings) -> None:
    from engine.storage import read_manifest

    if given.task != "summarize" and not (given.question or "").strip():
        raise InputError("The question is empty; write a question, or ask for --task summarize.")
    with _bar() as on_progress:
        pipeline = _pipeline(str(read_manifest(given.bundle).get("kind")), settings)
        pipeline.load(given.bundle, on_progress=on_progress)
    events = pipeline.stream(
        query=given.question,
        task_type=given.task,
        max_new_tokens=given.max_new_tokens,
        temperature=given.temperature,
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
        "versions": made.versions,
        **made.stats,
    }
    _tell(facts, given.json)


def _pipeline(kind: str, settings: Settings) -> MemoRAG | MemoRAGLite:
    """Load the models for a kind of pipeline; takes seconds."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    from engine.hardware import detect
    from engine.memorag import MemoRAG
    from engine.memorag_lite import MemoRAGLite

    disable_progress_bar()
    set_verbosity_error()
    kinds: Mapping[str, type[MemoRAG | MemoRAGLite]] = {"memorag": MemoRAG, "memorag-lite": MemoRAGLite}
    if kind not in kinds:
        raise InputError(f"The bundle is of the kind {kind!r}; known are {', '.join(kinds)}.")
    return kinds[kind](
        settings.model,
        settings.retriever,
        cache_dir=settings.cache_dir,
        access_token=settings.hf_token or None,
        hardware=detect(settings.device, settings.threads, exact=settings.exact),
    )


def _shown(events: Iterator[Event], quiet: bool) -> Answer:
    """Write the answer as it comes, unless ``quiet``; return it whole."""
    for event in events:
        if isinstance(event, Token) and not quiet:
            sys.stdout.write(event.text)
            sys.stdout.flush()
        if isinstance(event, Answer):
            return event
    raise AssertionError("a stream ends with an Answer")


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """Yield a progress callback that draws one bar a stage on standard error, where that is a terminal."""
    from tqdm import tqdm

    with tqdm(
        file=sys.stderr,
        disable=None,
        leave=False,
        bar_format="{desc}{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}",
    ) as bar:

        def on_progress(progress: Progress) -> None:
            bar.set_description(progress.stage, refresh=False)
            bar.total, bar.n = progress.total, progress.done
            left = "" if progress.eta is None else f"{progress.eta:.0f} s left"
            bar.set_postfix_str(left, refresh=True)

        yield on_progress


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
