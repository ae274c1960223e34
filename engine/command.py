"""What the command lines share: flags, loading the models, a progress bar, and how a command ends.

A command's result goes to standard output, progress and errors to standard error. The exit status is 0, or 1 with the
error in a sentence, or 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import InputError, MemoRAGError
from engine.events import OnProgress, Progress
from engine.hardware import DEVICES
from engine.settings import Settings, from_environment

if TYPE_CHECKING:
    from engine.memorag import MemoRAG
    from engine.memorag_lite import MemoRAGLite
    from engine.request import Generator

_STOPPED = 130  # the usual exit status after Ctrl-C
_LINE_EVERY = 30.0  # seconds between two lines of progress, where no bar can be drawn


def run_command(work: Callable[[], None]) -> int:
    """Do a command's work; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names and answers may hold what a terminal cannot show
            stream.reconfigure(errors="replace")
    with _interrupts() as interrupts:
        status = _status_of(work)
    if interrupts:
        sys.stderr.write("\nStopped.\n")
        return _STOPPED
    return status


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that ``settings_of`` reads."""
    parser.add_argument("--model", help="memory model and generator: auto, a Hub name or a folder")
    parser.add_argument("--retriever", help="retriever: auto, a Hub name or a folder")
    parser.add_argument("--device", choices=DEVICES)
    parser.add_argument("--threads", help="CPU threads for the models")


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the settings: flags first, then the environment.

    Raises:
        InputError: one that cannot be read.
    """
    return from_environment(model=given.model, retriever=given.retriever, device=given.device, threads=given.threads)


def load_pipeline(kind: str, settings: Settings, generator: Generator | None = None) -> MemoRAG | MemoRAGLite:
    """Load the models for a kind of pipeline, "memorag" or "memorag-lite"; takes seconds.

    Raises:
        InputError: an unknown kind.
        ModelError: a model that cannot be found, verified or loaded.
    """
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
        customized_gen_model=generator,
        cache_dir=settings.cache_dir,
        access_token=settings.hf_token or None,
        hardware=detect(settings.device, settings.threads, exact=settings.exact),
    )


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
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
            bar.set_postfix_str(_left(progress), refresh=True)

        yield on_progress


@contextmanager
def progress_lines() -> Iterator[OnProgress]:
    """Yield a progress callback for hours of work: the bar on a terminal, else a line from time to time."""
    if sys.stderr.isatty():
        with progress_bar() as on_bar:
            yield on_bar
        return
    told = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told >= _LINE_EVERY:
            told = time.monotonic()
            left = _left(progress)
            sys.stderr.write(f"{progress.stage}: {progress.done} of {progress.total}{left and ', '}{left}\n")
            sys.stderr.flush()

    yield on_progress


def _left(progress: Progress) -> str:
    if progress.eta is None:
        return ""
    minutes = progress.eta / 60
    return f"{progress.eta:.0f} s left" if minutes < 2 else f"{minutes:.0f} min left"


def _status_of(work: Callable[[], None]) -> int:
    """Do the work; say in a sentence what went wrong. Return the exit status."""
    try:
        work()
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
