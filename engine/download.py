"""A model's files from the Hugging Face Hub: out of its cache without asking the network, or downloaded.

Only what is needed to load a model is downloaded, weights as safetensors and in one copy. Pickled weights, which can
run code when they are loaded, never are. Knows nothing about what the models are for.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from engine.errors import ModelError

# Names without a revision whose main branch has pickled weights only: the Hub's own safetensors conversion of them,
# which is a pull request that was never merged.
CONVERSIONS = {"BAAI/bge-m3": "refs/pr/38"}
# What is read from a model's folder: configuration, tokenizer and weights, there or in the numbered folders in which
# sentence-transformers keeps its modules (1_Pooling, query_0_Dense). Copies of the weights in other forms (onnx,
# original/, consolidated.safetensors, model.fp16.safetensors) are not.
_NEEDED = re.compile(r"(?:(?:\w+_)?\d+_\w+/)*(?:[^/]+\.(?:json|jinja|txt|model)|model(?:-\d+-of-\d+)?\.safetensors)")
_SHARD = re.compile(r"-\d+-of-\d+")
_FORBIDDEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_WEIGHTS = re.compile(r".*\.(?:bin|ckpt|gguf|h5|msgpack|onnx|ot|pkl|pt|pth|safetensors)")


def fetch(name: str, cache: Path | None, token: str | None, advice: str) -> Path:
    """Return the folder of ``owner/name`` or ``owner/name@revision`` in the Hub's cache, or in the folder ``cache``.

    ``advice`` ends the message about a Hub that cannot be reached.

    Raises:
        ModelError: the Hub cannot be reached, refuses, or has no weights that are safe to load.
    """
    from httpx2 import HTTPError
    from huggingface_hub.errors import HFValidationError, XetDownloadError

    repository, _, revision = name.partition("@")
    place = {"repo_id": repository, "revision": revision or CONVERSIONS.get(repository), "cache_dir": cache}
    try:
        return _cached(place) or _download(name, place, token)
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a folder here nor a model name of the form 'owner/name'.") from error
    except (HTTPError, OSError, XetDownloadError) as error:
        if (folder := _cached_by_others(place)) is not None:
            return folder
        raise ModelError(_refusal(name, error, advice)) from error


def needed(files: Iterable[str]) -> list[str]:
    """Return those of a model's files that are read, in order; parts of a weights file not beside the whole."""
    chosen = sorted(path for path in files if _NEEDED.fullmatch(path))
    return [path for path in chosen if (whole := _SHARD.sub("", path)) == path or whole not in chosen]


def _cached(place: dict[str, Any]) -> Path | None:
    """Return the snapshot in the Hub's cache if it holds every file that is needed."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    try:
        files = [file.path for file in get_cached_repo_tree(**place)]
        return Path(snapshot_download(**place, allow_patterns=_patterns(files), local_files_only=True))
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError):
        return None


def _download(name: str, place: dict[str, Any], token: str | None) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    # token=None lets the library use the saved login; an empty string would be sent as an empty header.
    token = (token or "").strip() or None
    # Asked for once, while listing the files as such would be tried for half a minute where there is no network.
    listed = HfApi(token=token).model_info(place["repo_id"], revision=place["revision"]).siblings or []
    files = [file.rfilename for file in listed]
    if not any(path.endswith(".safetensors") for path in needed(files)):
        found = [path for path in files if _WEIGHTS.fullmatch(path)]
        raise ModelError(
            f"The model {name!r} has no model.safetensors on the Hub, whole or in parts; its weights are "
            f"{', '.join(found[:3]) or 'missing'}. Pickled weights are never loaded, because they can run code: give "
            f"{place['repo_id']}@REVISION of its safetensors conversion (often refs/pr/1 or alike), or another model."
        )
    return Path(snapshot_download(**place, allow_patterns=_patterns(files), token=token))


def _patterns(files: Iterable[str]) -> list[str]:
    """Return patterns that match exactly the needed ones of a model's files."""
    return [glob.escape(path) for path in needed(files)]


def _cached_by_others(place: dict[str, Any]) -> Path | None:
    """Return a snapshot whose list of files nobody kept, as older programs leave it, if it can be loaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(**place, local_files_only=True))
        index = folder / "model.safetensors.index.json"
        weights = {"model.safetensors"}
        if index.is_file():
            weights = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (LocalEntryNotFoundError, ValueError, KeyError):
        return None
    return folder if all((folder / name).is_file() for name in ("config.json", *weights)) else None


def _refusal(name: str, error: Exception, advice: str) -> str:
    """Say in words why the Hub gave nothing, and what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # a file was not downloaded, because of this
    if isinstance(error, GatedRepoError):
        return f"The model {name!r} is gated: accept its terms on the Hub and give an access token."
    if isinstance(error, RepositoryNotFoundError):
        return f"The Hub has no model {name!r}, or it is private: check the name, or give a token."
    if isinstance(error, RevisionNotFoundError):
        return f"The Hub has no such revision of {name!r}; give a branch, a tag or a commit of it after the '@'."
    if isinstance(error, HfHubHTTPError) and error.response.status_code in _FORBIDDEN:
        return f"The Hub refused access to {name!r}: give an access token that is valid and may read this model."
    if isinstance(error, OSError) and error.errno is not None:
        return f"The model {name!r} could not be stored in the cache folder: {error.strerror}."
    return f"The model {name!r} is not on this machine and the Hugging Face Hub cannot be reached: {advice}."
