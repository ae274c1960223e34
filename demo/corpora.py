"""The command line of the catalogue: what there is, one's own texts in it, and bundles from and to the Hub.

    python -m demo.corpora list [--repo OWNER/NAME]
    python -m demo.corpora build SLUG SOURCE...       files, folders, http(s) addresses, hf://datasets/OWNER/NAME/FILE
    python -m demo.corpora verify [SLUG...]
    python -m demo.corpora remove SLUG
    python -m demo.corpora prune
    python -m demo.corpora publish SLUG... --repo OWNER/NAME
    python -m demo.corpora pull [SLUG...] --repo OWNER/NAME[@REVISION]
    python -m demo.corpora ship SLUG...               make the parts anew that are kept in the repository

What is built or pulled is kept in the cache folder, never in the repository. A server that runs shows it at once.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demo import building, folders, opening, sharing, sources, upkeep
from demo.catalogue import BUNDLE, MANIFEST, Catalogue, Entry, Places, places, sum_of
from demo.models import load_models
from engine.command import progress_bar, run_command
from engine.documents import Limits
from engine.errors import BundleError, InputError
from engine.settings import Settings, from_environment

if TYPE_CHECKING:
    from engine.memorag_lite import MemoRAGLite


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args(arguments)

    def work() -> None:
        settings = from_environment()
        at = places(settings.cache_dir)
        given.run(given, settings, at, Catalogue(at.added))

    return run_command(work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.corpora", description="Manage the ready-made corpora.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: object, words: str, slugs: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=words, description=words)
        made.set_defaults(run=run)
        if slugs is not None:
            made.add_argument("slugs", nargs=slugs, metavar="SLUG", help="name of a corpus, such as harry-potter")
        return made

    lister = command("list", _list, "list the corpora that are here, or those of a repository")
    lister.add_argument("--repo", metavar="OWNER/NAME[@REVISION]", help="dataset repository on the Hub")
    builder = command("build", _build, "memorise texts of your own under a name")
    builder.add_argument("slug", metavar="SLUG", help="name of the corpus; one that is there is replaced")
    builder.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="file (TXT, PDF, DOCX), folder, http(s) address, or hf://datasets/OWNER/NAME[@REVISION]/FILE; an address "
        "may end in #sha256=HEX",
    )
    builder.add_argument("--title", default="", help="what it is called on the page")
    builder.add_argument("--description", default="", help="a sentence about it")
    builder.add_argument("--licence", default="", help="licence of the texts, such as CC0-1.0")
    builder.add_argument("--questions", type=Path, help="example questions: one on each line, or a JSON list")
    builder.add_argument("--shared", action="store_true", help="offer it to all visitors, and allow to publish it")
    command("verify", _verify, "compare corpora with their checksums and with the models in use", "*")
    command("remove", _remove, "delete what was built or pulled under a name", "+")
    command("prune", _prune, "delete what is left over in the cache folder")
    publisher = command("publish", _publish, "upload corpora to a dataset repository on the Hugging Face Hub", "+")
    publisher.add_argument("--repo", required=True, metavar="OWNER/NAME", help="dataset repository; made if missing")
    publisher.add_argument("--public", action="store_true", help="make a new repository public, not private")
    puller = command("pull", _pull, "download corpora from a dataset repository on the Hub (all without names)", "*")
    puller.add_argument("--repo", metavar="OWNER/NAME[@REVISION]", help="dataset repository")
    command("ship", _ship, "make the parts anew that the repository keeps of corpora that ship", "+")
    return parser


def _chosen(slugs: Sequence[str], catalogue: Catalogue) -> list[Entry]:
    """Return the entries of these names, all where there are none.

    Raises:
        InputError: there is no such entry.
    """
    entries = catalogue.entries()
    if unknown := [slug for slug in slugs if slug not in entries]:
        raise InputError(f"There is no corpus {unknown[0]!r}; there are: {', '.join(entries) or 'none'}.")
    return [entries[slug] for slug in slugs] if slugs else list(entries.values())


# The commands


def _list(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    if given.repo:
        manifests, commit = sharing.listing(given.repo, token=settings.hf_token)
        for slug, known in manifests.items():
            _say(f"{slug}: {known.title} ({known.language}, {known.licence})")
        _say(f"This is {sharing.repository_of(given.repo)[0]}@{commit}.")
        return
    for entry in catalogue.entries().values():
        state = opening.condition(entry, at)
        marks = [entry.origin, *(["private"] if entry.manifest.private else [])]
        marks += [state.state] if state.state in ("stale", "damaged") else []
        _say(f"{entry.slug}: {entry.title} ({', '.join((entry.manifest.language, *marks))})")
    for folder in catalogue.broken():
        _say(f"{folder.name}: its manifest cannot be read; build or pull it again, or remove it")


def _build(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    building.check_slug(given.slug)
    questions = building.examples_of(given.questions) if given.questions is not None else ()
    title, description, licence = map(_line, (given.title, given.description, given.licence))
    wanted = building.Wanted(given.slug, title, description, licence, questions, given.shared)
    limits = Limits(max_bytes=settings.max_file_bytes)
    with progress_bar() as on_progress:
        found = sources.gather(
            given.sources, at.fetched, max_bytes=limits.max_bytes, token=settings.hf_token, on_progress=on_progress
        )
        documents = building.read(found, limits, on_progress)
        pipeline = load_models(settings)
        like = catalogue.entries().get(given.slug)
        building.build(wanted, documents, found.made_from, pipeline, at, like, on_progress)
    building.forget(found, at)
    for sentence in (*found.skipped, *(note for document in documents for note in document.notes)):
        _say(sentence)
    seen = "all visitors" if given.shared else "this computer alone: give --shared to offer it to all visitors"
    _say(f"Built {given.slug}: {len(documents)} document(s), {pipeline.stats['context_tokens']:,} tokens, for {seen}.")


def _line(words: str) -> str:
    """Return words as one line."""
    if len(words) > 1000 or not words.isprintable():
        raise InputError("A title, description or licence is one line of at most 1,000 characters.")
    return words.strip()


def _verify(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    broken = {folder.name for folder in catalogue.broken()} & set(given.slugs or [f.name for f in catalogue.broken()])
    known = [slug for slug in given.slugs if slug not in broken]
    chosen = _chosen(known, catalogue) if known or not given.slugs else []
    reader, bad = load_models(settings).memorizer, len(broken)
    for entry in chosen:
        found = upkeep.verify(entry, at, reader)
        is_bad = found.state in ("stale", "damaged")
        bad += is_bad
        words = [found.state, found.reason.rstrip("."), upkeep.advice(entry) if is_bad else ""]
        _say(f"{entry.slug}: {'. '.join(filter(None, words))}")
    for slug in sorted(broken):
        _say(f"{slug}: damaged. Its manifest cannot be read; build or pull it again, or remove it")
    if bad:
        raise BundleError(f"Corpora that cannot be used as they are: {bad}.")


def _remove(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    shipping = catalogue.shipping()
    for slug in given.slugs:
        if upkeep.remove(slug, at):
            _say(f"Removed {slug}." + (" The text that ships with the project is back." if slug in shipping else ""))
        elif slug in shipping:
            _say(f"{slug} ships with the project; nothing was built or pulled in its place.")
        else:
            raise InputError(f"There is no corpus {slug!r}; there are: {', '.join(catalogue.entries())}.")


def _prune(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    freed = 0
    for leftover in upkeep.leftovers(catalogue, at, load_models(settings).memorizer):
        folders.delete(leftover.path)
        freed += leftover.size
        _say(f"Deleted {leftover.path.name} ({leftover.size / 1e6:,.1f} MB).")
    _say(f"{freed / 1e6:,.1f} MB are free again." if freed else "There was nothing left over.")


def _publish(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    chosen = _chosen(given.slugs, catalogue)
    with progress_bar() as on_progress:
        commit = sharing.publish(
            chosen,
            given.repo,
            token=settings.hf_token,
            private=not given.public,
            bundles=_best_bundles(chosen, at, settings),
            on_progress=on_progress,
        )
    _say(f"Published {', '.join(entry.slug for entry in chosen)} as {given.repo}@{commit}.")


def _best_bundles(entries: Iterable[Entry], at: Places, settings: Settings) -> dict[str, Path]:
    """Return the bundles with their memory, where they were made for the models in use."""
    reader = load_models(settings).memorizer
    unchanged = [entry for entry in entries if opening.texts_sum(entry) == entry.manifest.texts_sum]
    kept = {entry.slug: opening.kept_folder(entry, reader, at) for entry in unchanged}
    return {slug: folder for slug, folder in kept.items() if folder.is_dir()}


def _pull(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    repository = given.repo or settings.corpora_repo
    if not repository:
        raise InputError("Name the repository: --repo OWNER/NAME, or the variable MEMORAG_CORPORA_REPO.")
    memory_model = load_models(settings).memorizer.model.fingerprint
    with progress_bar() as on_progress:
        found = sharing.pull(
            repository,
            given.slugs or settings.corpora,
            at,
            token=settings.hf_token,
            memory_model=memory_model,
            on_progress=on_progress,
        )
    for slug, what in found.items():
        _say(f"{slug}: {what}")
    if any(what not in ("pulled", "unchanged") for what in found.values()):
        raise BundleError("Not all of them were pulled.")


def _ship(given: argparse.Namespace, settings: Settings, at: Places, catalogue: Catalogue) -> None:
    shipping = catalogue.shipping()
    if unknown := [slug for slug in given.slugs if slug not in shipping]:
        raise InputError(f"{unknown[0]!r} does not ship with the project; there are: {', '.join(shipping)}.")
    pipeline = load_models(settings)
    for slug in given.slugs:
        ship(shipping[slug], pipeline.fork())
        _say(f"Made {slug} anew: {folders.size_of(shipping[slug].bundle) / 1000:,.0f} kB beside its texts.")


def ship(entry: Entry, pipeline: MemoRAGLite) -> None:
    """Write the sums of an entry's texts into its manifest, and beside it the bundle without the memory."""
    pipeline.memorize(opening.texts(entry))
    names = entry.manifest.documents
    sums = {name: sum_of(path) for name, path in zip(names, entry.files, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        pipeline.save(Path(folder) / BUNDLE, with_memory=False)
        shutil.rmtree(entry.bundle, ignore_errors=True)
        shutil.copytree(Path(folder) / BUNDLE, entry.bundle, copy_function=shutil.copyfile)
    building.seal_and_write(entry.folder, entry.manifest.model_copy(update={"sha256": sums}))
    (entry.folder / MANIFEST).chmod(0o644)  # for whoever may read the project


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
