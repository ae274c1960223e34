"""Corpora out of a dataset repository: what is needed of each is downloaded, verified, and put in place as a whole.

What is here and was not pulled is never replaced. A corpus that is here already, from this commit or with the same
contents, is left as it is; of one that changed only the files that did are downloaded.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from demo import catalogue, folders
from demo.catalogue import BUNDLE, HUB, MANIFEST, Manifest, Places, Seal, Source
from demo.repositories import Snapshot, is_commit, is_lost, repository_of
from engine import storage
from engine.errors import BundleError
from engine.events import Meter, OnProgress, Stop

PULLED, UNCHANGED = "pulled", "unchanged"
_REPOSITORY: Literal["repository"] = "repository"
Result = TypeVar("Result")


def pull(
    repository: str,
    slugs: Collection[str],
    places: Places,
    *,
    token: str = "",
    memory_model: str | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> dict[str, str]:
    """Download corpora, all where ``slugs`` is empty, verify them and put them among those that were added.

    A memory that another memory model made than ``memory_model`` (a fingerprint) is left out. For each corpus "pulled",
    "unchanged", or what was wrong is returned; what is wrong with one keeps none of the others back.

    Raises:
        InputError, BundleError: there is no such repository or revision, or the Hub refuses or cannot be reached.
        Cancelled: stopped; what was finished stays, and files that were downloaded are used the next time.
    """
    name, revision = repository_of(repository)
    if slugs and is_commit(revision) and all(_is_there(places, slug, f"{name}@{revision}/{slug}") for slug in slugs):
        return dict.fromkeys(slugs, UNCHANGED)
    folder = places.fetched / HUB / f"bundles--{name.replace('/', '--')}"
    pulling = _Pulling(Snapshot.open(repository, token, folder), places, memory_model, stop)
    results = dict.fromkeys(slugs or pulling.snapshot.slugs, UNCHANGED)
    plans = {slug: plan for slug, plan in _each(results, pulling.plan, results).items() if plan is not None}
    pulling.meter = Meter("downloading", sum(plan.nbytes for plan in plans.values()), on_progress)
    results |= dict.fromkeys(_each(plans, lambda slug: pulling.take(slug, plans[slug]), results), PULLED)
    if all(result in (PULLED, UNCHANGED) for result in results.values()):
        folders.delete(folder)
    return results


def manifest_of(snapshot: Snapshot, slug: str, stop: Stop | None = None) -> Manifest:
    """Return the manifest of an entry of a repository.

    Raises:
        BundleError: there is none, or it is not one that ``publish`` writes.
    """
    if f"{slug}/{MANIFEST}" not in snapshot.files or not catalogue.is_slug(slug):
        found = ", ".join(snapshot.slugs) or "none"
        raise BundleError(f"The repository {snapshot.name!r} has no corpus {slug!r}; it has: {found}.")
    try:
        manifest = catalogue.parse(snapshot.read(f"{slug}/{MANIFEST}", stop))
    except ValueError as error:
        raise BundleError(f"The manifest of {slug!r} in {snapshot.name!r} cannot be read; publish it again.") from error
    seal = manifest.bundle
    if manifest.slug != slug or manifest.private or seal is None or seal.texts != manifest.texts_sum:
        raise BundleError(f"The manifest of {slug!r} in {snapshot.name!r} does not belong to it; publish it again.")
    return manifest


def written(manifest: Manifest) -> bytes:
    """Return what ``manifest.json`` holds."""
    return (manifest.model_dump_json(indent=1, exclude_defaults=True) + "\n").encode()


@dataclass(frozen=True)
class _Plan:
    """What to have of one corpus: its manifest, its bundle's, and the bundle's files (bytes and sum) by name."""

    manifest: Manifest
    bundle: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    @property
    def nbytes(self) -> int:
        """What its files have together."""
        return sum(int(facts["bytes"]) for facts in self.files.values())


class _Pulling:
    """One pull: plans what to have of a corpus, then takes it."""

    def __init__(self, snapshot: Snapshot, places: Places, memory_model: str | None, stop: Stop | None) -> None:
        self.snapshot, self._places, self._memory_model, self._stop = snapshot, places, memory_model, stop
        self.meter: Meter | None = None
        self._done = 0  # bytes

    def plan(self, slug: str) -> _Plan | None:
        """Return what to have of a corpus; None where it is here already.

        Raises:
            BundleError: the repository does not have it whole, or what is here was not pulled.
        """
        if catalogue.is_slug(slug) and (self._places.added / slug).exists():
            if _pulled(self._places, slug) is None:
                raise BundleError(f"The corpus {slug!r} that is here was not pulled, so it stays; remove it first.")
            if _is_there(self._places, slug, _place(self.snapshot, slug)):
                return None
        manifest = manifest_of(self.snapshot, slug, self._stop)
        bundle = self._bundle(manifest)
        plan = _Plan(manifest, bundle, self._files(slug, bundle))
        return None if _is_same(self._places, slug, plan) else plan

    def _bundle(self, manifest: Manifest) -> dict[str, Any]:
        """Return the manifest of a corpus's bundle."""
        path = f"{manifest.slug}/{BUNDLE}/{storage.MANIFEST}"
        data = self.snapshot.read(path, self._stop)
        if manifest.bundle is None or hashlib.sha256(data).hexdigest() != manifest.bundle.manifest:
            raise BundleError(f"{path} of {self.snapshot.name!r} is not what its entry was sealed with; publish again.")
        return storage.read_manifest((self.snapshot.folder / path).parent)

    def _files(self, slug: str, bundle: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Return what to have of a bundle's files: all, or all but the memory of another model."""
        files: dict[str, Mapping[str, Any]] = dict(sorted(bundle["files"].items()))  # the memory last
        try:
            is_known = {storage.CHUNKS, storage.INDEX} <= set(files) <= {storage.CHUNKS, storage.INDEX, storage.MEMORY}
            listed = {name: self.snapshot.size_of(f"{slug}/{BUNDLE}/{name}") for name in files if is_known}
            if listed != {name: facts["bytes"] for name, facts in files.items()}:
                raise ValueError("other files, or of other sizes")
            if storage.MEMORY in files and self._memory_model not in (None, bundle["memory_model"]["fingerprint"]):
                del files[storage.MEMORY]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"The bundle of {slug!r} in {self.snapshot.name!r} lists other files than are there; publish it again."
            ) from error
        return files

    def take(self, slug: str, plan: _Plan) -> None:
        """Download what was planned of a corpus, verify it, and put it in place.

        Raises:
            BundleError, OSError: it is not what it should be, or cannot be stored; nothing has changed then.
            Cancelled: stopped.
        """
        folder, done = self.snapshot.folder / slug, self._done
        for name, facts in plan.files.items():
            if not self._is_copied(folder, name, facts):
                self.snapshot.fetch(f"{slug}/{BUNDLE}/{name}", self._on_bytes, self._stop)
            done += int(facts["bytes"])
            self._on_bytes(done - self._done)
        self._verify(slug, plan, folder)
        self._put(slug, plan, folder)

    def _on_bytes(self, count: int) -> None:
        self._done += count
        if self.meter is not None and count:
            self.meter.step(self._done)

    def _is_copied(self, folder: Path, name: str, facts: Mapping[str, Any]) -> bool:
        """Whether the file to have is in the corpus that is here already; it is copied then."""
        held, copy = self._places.added / folder.name / BUNDLE / name, folder / BUNDLE / name
        if not held.is_file() or held.stat().st_size != facts["bytes"] or catalogue.sum_of(held) != facts["sha256"]:
            return False
        shutil.copyfile(held, copy)
        return True

    def _verify(self, slug: str, plan: _Plan, folder: Path) -> None:
        try:
            storage.verify(folder / BUNDLE, skip=set(plan.bundle["files"]) - set(plan.files))
        except BundleError as error:
            folders.delete(folder)  # so that it is downloaded anew the next time
            raise BundleError(
                f"The bundle of {slug!r} in {self.snapshot.name!r} is not what its manifest says, so it was not taken: "
                f"{error}"
            ) from error

    def _put(self, slug: str, plan: _Plan, folder: Path) -> None:
        """Move what was verified, and nothing besides, to its place."""
        ready = folder.with_name(f".{slug}.ready")
        folders.delete(ready)
        folders.make(ready / BUNDLE)
        folders.make(ready)
        for name in (storage.MANIFEST, *plan.files):
            (folder / BUNDLE / name).replace(ready / BUNDLE / name)
        if plan.files.keys() != plan.bundle["files"].keys():
            storage.without_memory(ready / BUNDLE)
        seal = Seal(manifest=catalogue.sum_of(ready / BUNDLE / storage.MANIFEST), texts=plan.manifest.texts_sum)
        source = Source(kind=_REPOSITORY, places=(_place(self.snapshot, slug),))
        manifest = plan.manifest.model_copy(update={"bundle": seal, "made_from": (source,)})
        folders.write_bytes(ready / MANIFEST, written(manifest))
        folders.put_in_place(ready, self._places.added / slug)


def _each(slugs: Iterable[str], work: Callable[[str], Result], results: dict[str, str]) -> dict[str, Result]:
    """Do work for each corpus; note what went wrong, for all that are left once the Hub cannot be reached."""
    done, lost = {}, ""
    for slug in slugs:
        try:
            if lost:
                raise BundleError(lost)
            done[slug] = work(slug)
        except BundleError as error:
            results[slug] = str(error)
            lost = lost or (str(error) if is_lost(error) else "")
        except OSError as error:
            results[slug] = f"The corpus {slug!r} could not be stored: {error.strerror or error}."
    return done


def _place(snapshot: Snapshot, slug: str) -> str:
    return f"{snapshot.name}@{snapshot.commit}/{slug}"


def _pulled(places: Places, slug: str) -> Manifest | None:
    """Return the manifest of a corpus that was pulled; None where it was not, or cannot be read."""
    try:
        manifest = catalogue.parse((places.added / slug / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if any(source.kind == _REPOSITORY for source in manifest.made_from) else None


def _verified(places: Places, slug: str, manifest: Manifest) -> dict[str, Any] | None:
    """Return the manifest of a pulled corpus's bundle, if all of it is as it was."""
    folder, seal = places.added / slug / BUNDLE, manifest.bundle
    try:
        is_sealed = seal is not None and catalogue.sum_of(folder / storage.MANIFEST) == seal.manifest
        return storage.verify(folder) if is_sealed else None
    except (OSError, BundleError):
        return None


def _is_there(places: Places, slug: str, place: str) -> bool:
    """Whether a corpus was pulled from this place, and is as it was."""
    if not catalogue.is_slug(slug) or (held := _pulled(places, slug)) is None:
        return False
    is_from_there = held.made_from == (Source(kind=_REPOSITORY, places=(place,)),)
    return is_from_there and _verified(places, slug, held) is not None


def _is_same(places: Places, slug: str, plan: _Plan) -> bool:
    """Whether a corpus was pulled from another commit that had the same of it, and is as it was."""
    if (held := _pulled(places, slug)) is None:
        return False
    apart: dict[str, Any] = {"bundle": None, "made_from": ()}
    is_entry = held.model_copy(update=apart) == plan.manifest.model_copy(update=apart)
    return is_entry and _verified(places, slug, held) == {**plan.bundle, "files": plan.files}
