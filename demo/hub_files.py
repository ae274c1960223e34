"""Single files of datasets on the Hugging Face Hub: into the client's own cache, at a commit that is told."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from demo import folders
from demo.catalogue import sum_of
from demo.repositories import KIND, errors_told, is_commit
from demo.transfers import Transfer, other_sum, watched
from engine.errors import BundleError, InputError
from engine.events import OnProgress, Stop

FORM = "hf://datasets/OWNER/NAME[@REVISION]/PATH/TO/FILE"
_ADDRESS = re.compile(
    r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?/(?P<path>[^\\]+)",
    re.ASCII,
)
_LEFT_OVER = 3600.0  # seconds without a change after which nobody downloads a file any more


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset; ``revision`` is "" where the main branch is meant."""

    name: str
    revision: str
    path: str

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf://datasets/{self.name}{at}/{self.path}"


def parse(address: str) -> HubFile | None:
    """Return what an address names, None where it is malformed."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not set(found["path"].split("/")).isdisjoint(("", ".", "..")):
        return None
    return HubFile(found["name"], found["revision"] or "", found["path"])


def fetch(
    file: HubFile,
    expected: str,
    cache: Path,
    max_bytes: int,
    token: str = "",
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> tuple[Path, str]:
    """Return a file of the Hub, out of the folder ``cache`` where it is there, and the full id of its commit.

    ``expected`` is its SHA-256 sum in hex, or "". A commit that is here needs no Hub. The client does not go on with
    a file that an earlier run began: that begins anew.

    Raises:
        InputError: the Hub cannot be reached, refuses, or has no such file; or it is too large, or has another sum.
        Cancelled: ``stop`` was set.
    """
    transfer = Transfer(str(file), max_bytes)
    try:
        folders.make(cache)
        path, commit = watched(transfer, lambda: _download(file, cache, token, transfer), on_progress, stop)
        if expected and (found := sum_of(path)) != expected:
            path.resolve().unlink()  # the client keeps the content apart from the names that lead to it
            path.unlink(missing_ok=True)
            raise InputError(other_sum(str(file), found, expected))
    except BundleError as error:  # here it is no bundle that was not downloaded
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{file} could not be stored in the cache folder: {error.strerror}.") from error
    return path, commit


def _download(file: HubFile, cache: Path, token: str, transfer: Transfer) -> tuple[Path, str]:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    # Where there is no token, None lets the library use the saved login; an empty string would be an empty header.
    allowed, revision = token.strip() or None, unquote(file.revision) or None
    place: dict[str, Any] = {"repo_id": file.name, "filename": file.path, "repo_type": KIND}
    with errors_told(file.name):
        if revision is not None and is_commit(revision):
            here = try_to_load_from_cache(**place, revision=revision, cache_dir=cache)
            if isinstance(here, str):
                return Path(here), revision
        commit = _commit_of(file, place | {"revision": revision}, allowed, transfer)
        _clean(cache)
        bar = _bar_of(transfer)
        return Path(hf_hub_download(**place, revision=commit, cache_dir=cache, token=allowed, tqdm_class=bar)), commit


def _commit_of(file: HubFile, place: Mapping[str, Any], token: str | None, transfer: Transfer) -> str:
    """Return the commit that a revision is at. The Hub is asked once: a download would be tried for half a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        told = get_hf_file_metadata(hf_hub_url(**place), token=token)
    except RemoteEntryNotFoundError as error:
        raise InputError(f"The dataset {file.name!r} has no file {file.path!r} at that revision: check it.") from error
    transfer.limit(told.size or 0)
    if told.commit_hash is None:
        raise ValueError("not a Hub")
    return told.commit_hash


def _clean(cache: Path) -> None:
    """Delete what downloads left that were ended in the middle: nothing goes on with them."""
    for path in cache.glob("*/blobs/*.incomplete"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER:
                folders.delete(path)


def _bar_of(transfer: Transfer) -> type[Any]:
    """Return a progress bar that draws nothing, and tells ``transfer`` how far the client is."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *_: object, total: float | None = None, initial: float = 0, **__: object) -> None:
            super().__init__(disable=True)
            transfer.begin(int(total or 0), int(initial))

        def update(self, n: float | None = 1) -> None:
            transfer.add(int(n or 0))

        def update_transfer(self, _: float) -> None:
            """Bytes that came over the network and are counted once they are on disk."""
            transfer.check()

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            """How fast they come."""

    return Bar
