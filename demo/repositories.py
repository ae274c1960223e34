"""One commit of a dataset repository on the Hugging Face Hub: what it holds, and its files, downloaded and checked.

Knows the Hub's client and its errors, nothing about what is done with corpora. All is read from one commit, so what is
written to a repository meanwhile mixes nothing up. A token is sent to the Hub and told to nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo import catalogue, folders
from engine.errors import BundleError, InputError
from engine.events import Stop

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

KIND = "dataset"
# The most bytes of a small JSON file of a repository.
MOST_BYTES = 4 * 2**20
OnBytes = Callable[[int], None]
_PART = r"\w+(?:[.-]\w+)*"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@(\w[\w./-]*))?", re.ASCII)
_LONGEST = 96
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORBIDDEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_MOVED = (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)


def repository_of(wanted: str) -> tuple[str, str | None]:
    """Return the name and the revision, if any, of ``owner/name`` or ``owner/name@revision``.

    Raises:
        InputError: it is neither.
    """
    found = _NAME.fullmatch(wanted.strip())
    if found is None or len(found[1]) > _LONGEST or ".." in wanted:
        raise InputError(
            f"{wanted[:120]!r} names no dataset repository; give 'owner/name', or 'owner/name@revision' with a branch, "
            "a tag or a commit."
        )
    return found[1], found[2]


def is_commit(revision: str | None) -> bool:
    """Whether a revision is the full id of a commit, which never holds anything else."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository. ``files`` are those it lists, by path; ``folder`` is where they are downloaded to."""

    name: str
    commit: str
    files: dict[str, RepoFile]
    folder: Path
    is_private: bool | None
    token: str | None

    @classmethod
    def open(cls, repository: str, token: str, folder: Path) -> Snapshot:
        """Find the commit that a repository is at, and list its files.

        Raises:
            InputError, BundleError: the Hub has no such repository or revision, refuses, or cannot be reached.
        """
        from huggingface_hub import HfApi, RepoFile

        name, revision = repository_of(repository)
        # None lets the library use the saved login; an empty string would be sent as an empty header.
        known = token.strip() or None
        with errors_told(repository):
            folders.make(folder.parent)
            api, is_private = HfApi(token=known), None
            if revision is None or not is_commit(revision):
                about = api.repo_info(name, repo_type=KIND, revision=revision)
                revision, is_private = str(about.sha), about.private
            listed = api.list_repo_tree(name, repo_type=KIND, revision=revision, recursive=True)
            files = {file.path: file for file in listed if isinstance(file, RepoFile)}
        return cls(name, revision, files, folder, is_private, known)

    @property
    def slugs(self) -> list[str]:
        """The corpora it holds."""
        found = (path.rpartition("/") for path in sorted(self.files))
        return [slug for slug, _, name in found if name == catalogue.MANIFEST and catalogue.is_slug(slug)]

    def size_of(self, path: str, most: int | None = None) -> int:
        """Return how large a file is, in bytes.

        Raises:
            BundleError: it is not there, or has more than ``most`` bytes.
        """
        if (file := self.files.get(path)) is None:
            raise BundleError(f"The repository {self.name!r} is incomplete: {path} is missing; publish it again.")
        size = file.lfs.size if file.lfs is not None else file.size
        if most is not None and size > most:
            raise BundleError(f"{path} of the repository {self.name!r} is too large: {size} bytes, at most {most}.")
        return size

    def read(self, path: str, stop: Stop | None = None) -> bytes:
        """Return a small file, which is exactly what the commit names.

        Raises:
            BundleError: it is missing, too large or another one, or cannot be downloaded.
            Cancelled: stopped.
        """
        from huggingface_hub.utils.sha import git_hash

        self.size_of(path, MOST_BYTES)
        copy = self.fetch(path, stop=stop)
        data = copy.read_bytes()
        lfs = self.files[path].lfs
        is_same = (
            git_hash(data) == self.files[path].blob_id
            if lfs is None
            else hashlib.sha256(data).hexdigest() == lfs.sha256
        )
        if not is_same:
            copy.unlink()  # so that it is downloaded anew the next time
            raise BundleError(
                f"{path} of the repository {self.name!r} is not the file that its commit names; pull again."
            )
        return data

    def fetch(self, path: str, on_bytes: OnBytes | None = None, stop: Stop | None = None) -> Path:
        """Download a file, or find it downloaded already; what it holds is for the caller to verify.

        ``on_bytes`` is told how many bytes came.

        Raises:
            BundleError: it is missing or larger than listed, or cannot be downloaded.
            Cancelled: stopped.
        """
        from huggingface_hub import hf_hub_download

        if stop is not None:
            stop.check()
        size = self.size_of(path)
        with errors_told(self.name):
            found = hf_hub_download(
                self.name,
                path,
                repo_type=KIND,
                revision=self.commit,
                cache_dir=self.folder.parent,
                local_dir=self.folder,
                token=self.token,
                tqdm_class=_watch(path, size, on_bytes, stop),
            )
        if (got := Path(found).stat().st_size) != size:
            raise BundleError(f"{path} of the repository {self.name!r} has {got} bytes, not {size}; pull again.")
        return Path(found)


def _watch(path: str, size: int, on_bytes: OnBytes | None, stop: Stop | None) -> Any:  # noqa: ANN401 - made for tqdm
    """Return what the Hub's client takes for a progress bar: it ends a download that was stopped or gets too large."""

    class Watch:
        def __init__(self, *_: object, total: int | None = None, **__: object) -> None:
            self.got = 0
            self._check(total or 0)

        def _check(self, got: int) -> None:
            if got > size:
                raise BundleError(f"{path} has more bytes than the {size} that the repository lists; pull again.")
            if stop is not None:
                stop.check()

        def update(self, n: float | None = 1) -> None:
            self.got += int(n or 0)
            self._check(self.got)
            if on_bytes is not None:
                on_bytes(int(n or 0))

        def __enter__(self) -> Watch:
            return self

        def _nothing(self, *_: object, **__: object) -> None:
            pass

        __exit__ = close = update_transfer = set_postfix_str = set_transfer_postfix_str = _nothing

    return Watch


@contextmanager
def errors_told(repository: str, doing: str = "read") -> Iterator[None]:
    """Turn what the Hub's client raises into one sentence.

    Raises:
        InputError, BundleError: in place of it.
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, XetDownloadError

    try:
        yield
    except (InputError, BundleError):  # said already
        raise
    except HFValidationError as error:
        raise InputError(f"{repository!r} names no dataset repository; give 'owner/name'.") from error
    except (HTTPError, OSError, XetDownloadError, EntryNotFoundError, RuntimeError, ValueError, KeyError) as error:
        cause = error
        while isinstance(cause.__cause__, (HTTPError, OSError)) and not isinstance(cause, HTTPError):
            cause = cause.__cause__  # a file was not downloaded or uploaded, because of this
        raise BundleError(_refusal(repository, cause, doing)) from cause


def is_lost(error: BundleError) -> bool:
    """Whether the next file would fail for the same reason: no connection, or no room."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error.__cause__, (HTTPError, OSError)) and not isinstance(error.__cause__, HfHubHTTPError)


def _refusal(repository: str, error: BaseException, doing: str) -> str:
    """Say in words why the Hub did nothing, and what to do. ``doing`` is "read" or "write"."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, GatedRepoError):
        return (
            f"The dataset repository {repository!r} is gated: accept its terms on the Hub and give a token (HF_TOKEN)."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"The Hub has no dataset repository {repository!r}, or it is private: check the name, or give a token that "
            f"may {doing} it (HF_TOKEN)."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"The Hub has no such revision of {repository!r}; give a branch, a tag or a commit of it after the '@'."
    if isinstance(error, RemoteEntryNotFoundError):
        return f"The repository {repository!r} lacks a file that it lists; publish it again."
    if status in _FORBIDDEN:
        return f"The Hub refused access to {repository!r}: give a token that is valid and may {doing} it (HF_TOKEN)."
    if status in _MOVED:
        return f"The repository {repository!r} was changed meanwhile; publish again."
    if status is not None:
        return f"The Hub could not serve {repository!r} (status {status}); try again later."
    if isinstance(error, OSError) and error.errno is not None:
        return f"What {repository!r} holds could not be stored in the cache folder: {error.strerror}."
    return (
        f"The Hugging Face Hub cannot be reached for {repository!r}, or does not answer as it should: try again later; "
        "only the files that are still missing are then transferred."
    )
