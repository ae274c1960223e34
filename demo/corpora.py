"""The catalogue of ready-made corpora: one folder each under ``cached_corpora``, with a manifest and texts.

    python -m demo.corpora list
    python -m demo.corpora build harry-potter my_books/*.txt     memorise your own copies under the same entry
    python -m demo.corpora remove harry-potter                   back to the text that ships with the project

What is built is kept in the cache folder, never in the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.documents import Document, Limits, read_document
from engine.errors import BundleError, InputError, MemoRAGError
from engine.events import OnProgress, Progress, Stop
from engine.settings import Settings, from_environment

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite

logger = logging.getLogger(__name__)
FOLDER = Path(__file__).resolve().parent.parent / "cached_corpora"


@dataclass(frozen=True)
class Entry:
    """One ready-made corpus. ``questions`` are examples, and ``kinds`` says for each what it takes to answer it."""

    slug: str
    title: str
    description: str
    language: str
    licence: str
    files: tuple[Path, ...]
    sums: tuple[str, ...]
    questions: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def examples(self) -> tuple[str, ...]:
        """One question of each kind: a fact, and what needs the whole text."""
        first = {kind: question for question, kind in reversed(list(zip(self.questions, self.kinds, strict=True)))}
        return tuple(question for question in self.questions if question in first.values())


def catalogue(folder: Path = FOLDER) -> dict[str, Entry]:
    """Return the entries by slug; one with an unreadable manifest is left out and noted in the log."""
    entries = {}
    for manifest in sorted(folder.glob("*/manifest.json")):
        try:
            entry = _entry(manifest)
        except (OSError, ValueError, KeyError, TypeError):
            logger.exception("The corpus manifest of %s cannot be read.", manifest.parent.name)
            continue
        entries[entry.slug] = entry
    return entries


def _entry(manifest: Path) -> Entry:
    facts = json.loads(manifest.read_text("utf-8"))
    return Entry(
        slug=facts["slug"],
        title=facts["title"],
        description=facts["description"],
        language=facts["language"],
        licence=facts["licence"],
        files=tuple(manifest.parent / name for name in facts["documents"]),
        sums=tuple(facts["sha256"][name] for name in facts["documents"]),
        questions=tuple(question["question"] for question in facts["questions"]),
        kinds=tuple(question.get("kind", "") for question in facts["questions"]),
    )


def open_entry(
    entry: Entry,
    pipeline: MemoRAGLite,
    settings: Settings,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> None:
    """Load an entry into ``pipeline``: the visitor's own build, else the kept bundle, else memorise its texts.

    Raises:
        MemoRAGError: its texts are damaged, or cannot be memorised.
    """
    own = _own_folder(entry.slug, settings)
    if own.exists():
        try:
            pipeline.load(own, on_progress=on_progress, stop=stop)
            pipeline.memorized.ensure(stop)  # damage must be noticed here, where it can be made good
            return
        except BundleError as error:
            raise BundleError(f"{error} Build it again: python -m demo.corpora build {entry.slug} FILES") from error
    kept = _kept_folder(entry, pipeline, settings)
    if kept.exists():
        try:
            pipeline.load(kept, on_progress=on_progress, stop=stop)
            pipeline.memorized.ensure(stop)  # damage must be noticed here, where it can be made good
            return
        except BundleError as error:
            logger.warning("The kept bundle of %s is made again: %s", entry.slug, error)
    pipeline.memorize(_texts(entry), on_progress=on_progress, stop=stop)
    try:
        pipeline.save(kept)
    except BundleError as error:
        logger.warning("%s can be asked, but will be memorised again at the next start: %s", entry.slug, error)


def _texts(entry: Entry) -> list[Document]:
    for path, expected in zip(entry.files, entry.sums, strict=True):
        if not path.is_file():
            raise InputError(f"The text of {entry.title!r} is missing; restore {path.name}.")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise InputError(f"The text of {entry.title!r} was changed; restore {path.name} or its checksum.")
    return [read_document(path) for path in entry.files]


def _own_folder(slug: str, settings: Settings) -> Path:
    return settings.cache_dir / "corpora" / "own" / slug


def _kept_folder(entry: Entry, pipeline: MemoRAGLite, settings: Settings) -> Path:
    """Name the kept bundle after everything it depends on, so that a stale one is never looked at."""
    parts = (*entry.sums, pipeline.memorizer.recipe)
    return settings.cache_dir / "corpora" / f"{entry.slug}-{hashlib.sha256('-'.join(parts).encode()).hexdigest()[:12]}"


def load_models(settings: Settings) -> MemoRAGLite:
    """Load the models that the settings name, with nothing memorised; takes seconds.

    Raises:
        MemoRAGError: they cannot be found or loaded, or the device is not there.
    """
    from engine.hardware import detect
    from engine.memorag_lite import MemoRAGLite

    return MemoRAGLite(
        settings.model,
        settings.retriever,
        cache_dir=settings.cache_dir,
        access_token=settings.hf_token or None,
        hardware=detect(settings.device, settings.threads, exact=settings.exact),
    )


def build(
    slug: str,
    files: Sequence[Path],
    pipeline: MemoRAGLite,
    settings: Settings,
    on_progress: OnProgress | None = None,
) -> None:
    """Memorise ``files`` under the entry ``slug``, outside the repository.

    Raises:
        MemoRAGError: a file that cannot be read, or a bundle that cannot be written.
    """
    documents = [read_document(path, limits=Limits(max_bytes=settings.max_file_bytes)) for path in files]
    pipeline.memorize(documents, save_dir=_own_folder(slug, settings), on_progress=on_progress)


def remove(slug: str, settings: Settings) -> bool:
    """Delete the own build of ``slug``; return whether there was one."""
    folder = _own_folder(slug, settings)
    found = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.corpora", description="Manage the ready-made corpora.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the entries")
    builder = commands.add_parser("build", help="memorise your own files under an entry")
    builder.add_argument("slug")
    builder.add_argument("files", nargs="+", type=Path)
    commands.add_parser("remove", help="delete your own build of an entry").add_argument("slug")
    given = parser.parse_args(arguments)
    try:
        settings, entries = from_environment(), catalogue()
        if given.command == "list":
            for slug, entry in entries.items():
                own = " (your own build)" if _own_folder(slug, settings).exists() else ""
                _say(f"{slug}: {entry.title}{own}")
            return 0
        if given.slug not in entries:
            raise InputError(f"There is no entry {given.slug!r}; there are: {', '.join(entries)}.")
        if given.command == "remove":
            _say("Removed." if remove(given.slug, settings) else "There was no build of your own.")
            return 0
        _build(given.slug, given.files, settings)
    except MemoRAGError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _build(slug: str, files: Sequence[Path], settings: Settings) -> None:
    if missing := [path for path in files if not path.is_file()]:
        raise InputError(f"There is no file {missing[0].name!r}; give TXT, PDF or DOCX files.")
    pipeline = load_models(settings)
    build(slug, files, pipeline, settings, _report)
    _say(f"Memorised {len(files)} file(s) under {slug}: {pipeline.stats['context_tokens']} tokens.")


def _report(progress: Progress) -> None:
    eta = "" if progress.eta is None else f", {progress.eta:.0f} s left"
    sys.stderr.write(f"\r{progress.stage}: {progress.done} of {progress.total}{eta}          ")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
