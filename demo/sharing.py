"""Bundles to and from a dataset repository on the Hugging Face Hub.

    README.md                                 what there is, for people
    SLUG/manifest.json                        the entry: catalogue.Manifest with the seal of its bundle
    SLUG/bundle/manifest.json, chunks.json, index.bin, memory.bin (which may be absent)

Each file is vouched for by another: the commit names the entry's manifest, that seals the bundle's, and that has the
sums of the rest. What is pulled is verified as a whole before it takes its place, so a repository can bring nothing
but texts and numbers, and never half of them.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo import catalogue
from demo.card import card
from demo.catalogue import BUNDLE, MANIFEST, Entry, Manifest, Seal
from demo.pulling import PULLED, UNCHANGED, manifest_of, pull, written
from demo.repositories import KIND, Snapshot, errors_told, is_lost, repository_of
from engine import storage
from engine.errors import BundleError, InputError
from engine.events import Meter, OnProgress

__all__ = ["PULLED", "UNCHANGED", "listing", "publish", "pull", "repository_of"]

logger = logging.getLogger(__name__)
_README = "README.md"


def listing(repository: str, *, token: str = "") -> tuple[dict[str, Manifest], str]:
    """Return what a repository holds, by slug, and the commit that was looked at; what cannot be read is left out.

    Raises:
        InputError, BundleError: there is no such repository or revision, or the Hub refuses or cannot be reached.
    """
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = Snapshot.open(repository, token, Path(scratch) / "files")
        return _readable(snapshot, snapshot.slugs), snapshot.commit


def _readable(snapshot: Snapshot, slugs: Iterable[str]) -> dict[str, Manifest]:
    """Return the manifests of those corpora of a repository that can be read."""
    found = {}
    for slug in slugs:
        try:
            found[slug] = manifest_of(snapshot, slug)
        except BundleError as error:
            if is_lost(error):
                raise
            logger.warning("A corpus of a repository is left out: %s", error)
    return found


def publish(
    entries: Sequence[Entry],
    repository: str,
    *,
    token: str,
    private: bool = True,
    bundles: Mapping[str, Path] | None = None,
    on_progress: OnProgress | None = None,
) -> str:
    """Upload entries with their bundles in one commit, and return its full id; other corpora there stay.

    ``bundles`` has another bundle than its own for an entry, by slug. A repository that is missing is created, as
    ``private`` says.

    Raises:
        InputError, BundleError: an entry is private or has no whole bundle, no token is given, the repository is public
            where a private one is wanted, or the Hub refuses or cannot be reached.
    """
    name, revision = repository_of(repository)
    if revision is not None:
        raise InputError(f"{repository!r} names a revision; publishing goes to 'main': give {name!r}.")
    if not token.strip():
        raise InputError("Publishing takes a token that may write; set HF_TOKEN to one.")
    if not entries:
        raise InputError("There is nothing to publish; name at least one corpus.")
    sealed = {entry.slug: _sealed(entry, (bundles or {}).get(entry.slug, entry.bundle)) for entry in entries}
    with tempfile.TemporaryDirectory() as scratch, errors_told(name, "write"), _quiet():
        return _upload(sealed, name, token.strip(), private, Path(scratch), on_progress)


def _sealed(entry: Entry, bundle: Path) -> tuple[Manifest, list[Path]]:
    """Return what to publish of an entry, checked: its manifest, and the files of its bundle."""
    if entry.manifest.private:
        raise InputError(
            f"The corpus {entry.slug!r} is private; build it again with --shared, if you may share its text."
        )
    if not (bundle / storage.MANIFEST).is_file():
        raise BundleError(f"The corpus {entry.slug!r} has no bundle yet; build it first.")
    try:
        names = storage.verify(bundle)["files"]
        seal = Seal(manifest=catalogue.sum_of(bundle / storage.MANIFEST), texts=entry.manifest.texts_sum)
    except (BundleError, OSError) as error:
        raise BundleError(f"The corpus {entry.slug!r} has no whole bundle; build it again. ({error})") from error
    own = entry.manifest.bundle
    if own is not None and (own.texts != seal.texts or (bundle == entry.bundle and own != seal)):
        raise BundleError(f"The bundle of the corpus {entry.slug!r} belongs to other texts; build it again.")
    manifest = entry.manifest.model_copy(update={"private": False, "made_from": (), "bundle": seal})
    return manifest, [bundle / name for name in (storage.MANIFEST, *names)]


def _upload(
    sealed: Mapping[str, tuple[Manifest, list[Path]]],
    name: str,
    token: str,
    private: bool,
    scratch: Path,
    on_progress: OnProgress | None,
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(token=token)
    api.create_repo(name, repo_type=KIND, private=private, exist_ok=True)
    snapshot = Snapshot.open(name, token, scratch / "files")
    if private and snapshot.is_private is False:
        raise InputError(f"The repository {name!r} is public; give --public if that is meant, or another repository.")
    content = _content(snapshot, sealed)
    added = [CommitOperationAdd(path, data) for path, data in content.items()]
    gone = [path for path in snapshot.files if path.partition("/")[0] in sealed and path not in content]
    sizes = [operation.upload_info.size for operation in added]
    meter = Meter("uploading", sum(sizes), on_progress)
    for number, operation in enumerate(added):
        meter.step(sum(sizes[:number]))
        api.preupload_lfs_files(name, [operation], repo_type=KIND)
    made = api.create_commit(
        name,
        [*added, *(CommitOperationDelete(path) for path in gone)],
        commit_message=f"Publish {', '.join(sealed)}",
        repo_type=KIND,
        parent_commit=snapshot.commit,  # what somebody else publishes meanwhile is not undone
    )
    meter.step(sum(sizes))
    return str(made.oid)


def _content(snapshot: Snapshot, sealed: Mapping[str, tuple[Manifest, list[Path]]]) -> dict[str, bytes | Path]:
    """Return what to upload, by path."""
    told = _readable(snapshot, (slug for slug in snapshot.slugs if slug not in sealed))
    told |= {slug: manifest for slug, (manifest, _) in sealed.items()}
    before = snapshot.read(_README).decode(errors="replace") if _README in snapshot.files else ""
    content: dict[str, bytes | Path] = {_README: card(snapshot.name, before, told).encode()}
    for slug, (manifest, paths) in sealed.items():
        content[f"{slug}/{MANIFEST}"] = written(manifest)
        content |= {f"{slug}/{BUNDLE}/{path.name}": path for path in paths}
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars of the Hub's client from the terminal; ``on_progress`` tells the same."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
