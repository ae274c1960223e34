"""A bundle on disk: the folder that holds a memorised corpus.

    manifest.json   written last: format, language, models, sizes and SHA-256 sums of the other files, and its own
    chunks.json     what the documents are called and where their pages begin, and the gists
    index.bin       the texts, the chunks' places and their vectors, as safetensors
    memory.bin      the KV memory, as safetensors (may be absent: it can be rebuilt from the gists)
    vectors.part    vectors made so far, while they are being made (checkpoint.py)

Safetensors and JSON hold only data, so reading a bundle executes nothing. A bundle is written beside its place and
moved there when complete, so there is never half a bundle (while an old one is replaced, there is a moment with none).
The memory's tensors are memory-mapped, and their file's checksum is computed while others work with them already, so
reading a bundle takes the same time however large its memory is (only a model that keeps memories in another number of
bits converts it).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from engine.errors import BundleError, FormatError
from engine.verification import Verification, compare_size, compare_sum

if TYPE_CHECKING:  # looking at manifests must not wait for torch
    import numpy as np
    import torch

FORMAT = 3
MANIFEST, CHUNKS, INDEX, MEMORY = "manifest.json", "chunks.json", "index.bin", "memory.bin"
UNFINISHED = "vectors.part"
Tensors = dict[str, "torch.Tensor"]
# What reading files raises that somebody else may have written, or be writing.
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError, SafetensorError)


@dataclass(frozen=True)
class Bundle:
    """The contents of a bundle; ``memory`` is None where only the gists were kept.

    ``verification`` tells whether the memory's file is whole. All else was verified.
    """

    manifest: Mapping[str, Any]
    chunks: Mapping[str, Any]
    index: Tensors
    memory: Tensors | None
    verification: Verification | None


def write(
    folder: Path, manifest: Mapping[str, Any], chunks: Mapping[str, Any], index: Tensors, memory: Tensors | None
) -> None:
    """Write a bundle to ``folder``, replacing one that is there.

    Raises:
        BundleError: the folder holds something else than a bundle, or cannot be written (a full disk, say).
    """
    from safetensors.torch import save_file

    folder = check_place(folder)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        _write_text(partial / CHUNKS, json.dumps(chunks, ensure_ascii=False))
        save_file(index, partial / INDEX)
        if memory is not None:
            save_file(memory, partial / MEMORY)
        files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in partial.iterdir()}
        _write_manifest(partial, {"format": FORMAT, **manifest, "files": files})
        swap(partial, folder)
    except (OSError, SafetensorError) as error:  # of a full disk, each library says it in its own way
        reason = getattr(error, "strerror", None) or error
        raise BundleError(f"The bundle {folder.name!r} could not be written: {reason}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_place(folder: Path) -> Path:
    """Return the absolute path of a folder where a bundle may be written.

    Raises:
        BundleError: it is a file, or holds something else than a bundle, or there can be no such folder.
    """
    try:
        folder = folder.resolve()
        is_file = folder.is_file()
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BundleError(f"There can be no bundle in {folder.name[:40]!r}: {reason}.") from error
    if is_file:
        raise BundleError(f"{folder.name!r} is a file; give a new or empty folder.")
    # Other things have a manifest.json too: only what can be nothing but a bundle is ever replaced.
    if found and not (found <= {MANIFEST, CHUNKS, INDEX, MEMORY, UNFINISHED} and CHUNKS in found):
        raise BundleError(f"The folder {folder.name!r} holds other files than a bundle; give a new or empty folder.")
    return folder


def read(folder: Path, with_memory: bool = True) -> Bundle:
    """Read and check a bundle. Of the memory, size and header are checked; the rest goes on in ``verification``.

    Without the memory, its file may be missing or damaged.

    Raises:
        BundleError: it is missing, incomplete, damaged, or of a format this version does not know.
    """
    from safetensors.torch import load_file

    folder = folder.resolve()
    manifest = read_manifest(folder)
    try:
        files = {name: (int(facts["bytes"]), str(facts["sha256"])) for name, facts in manifest["files"].items()}
        for name in files:
            is_wanted = with_memory or name != MEMORY
            if name not in (CHUNKS, INDEX, MEMORY) or (is_wanted and not (folder / name).is_file()):
                raise BundleError(
                    f"The bundle {folder.name!r} is incomplete: {name} is missing; memorise the text again."
                )
        chunks = json.loads(_content(folder / CHUNKS, *files[CHUNKS]).decode("utf-8"))
        index = _mapped(folder / INDEX, *files[INDEX])
        verification = Verification(folder / MEMORY, *files[MEMORY]) if with_memory and MEMORY in files else None
        memory = load_file(folder / MEMORY) if verification is not None else None
        if verification is not None and not verification.is_of(folder / MEMORY):
            raise BundleError(f"The bundle {folder.name!r} was replaced while it was read; load it again.")
    except _UNREADABLE as error:
        raise BundleError(
            f"The bundle {folder.name!r} is damaged and cannot be read; memorise the text again."
        ) from error
    return Bundle(manifest, chunks, index, memory, verification)


def verify(folder: Path, skip: Collection[str] = (), only_sizes: bool = False) -> dict[str, Any]:
    """Compare every file of a bundle with what it was when it was saved, those named in ``skip`` apart.

    Sizes alone are compared at once, however large the files are. Returns the manifest.

    Raises:
        BundleError: as ``read``.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    try:
        for name, facts in manifest["files"].items():
            if name not in (CHUNKS, INDEX, MEMORY):
                raise ValueError("a file that no bundle has")
            if name not in skip:
                compare_size(folder / name, (folder / name).stat().st_size, int(facts["bytes"]))
                if not only_sizes:
                    compare_sum(folder / name, _sha256(folder / name), str(facts["sha256"]))
        if not {CHUNKS, INDEX} <= manifest["files"].keys():
            raise ValueError("no texts")
    except _UNREADABLE as error:
        raise BundleError(f"The bundle {folder.name!r} is incomplete or damaged; memorise the text again.") from error
    return manifest


def without_memory(folder: Path) -> None:
    """Take the memory out of a bundle; it is read anew from the gists where it is needed.

    Raises:
        BundleError: there is no bundle.
        OSError: the folder cannot be changed.
    """
    manifest = read_manifest(folder)
    manifest["files"].pop(MEMORY, None)
    _write_manifest(folder, manifest)
    (folder / MEMORY).unlink(missing_ok=True)


def _content(path: Path, size: int, checksum: str) -> bytes:
    """Return what a file holds, after comparing its size (bytes) and SHA-256 sum (hex) with those it was saved with."""
    compare_size(path, path.stat().st_size, size)
    data = path.read_bytes()
    compare_sum(path, hashlib.sha256(data).hexdigest(), checksum)
    return data


def _mapped(path: Path, size: int, checksum: str) -> Tensors:
    """Return the tensors of a file, memory-mapped, after comparing its size and SHA-256 sum."""
    from safetensors.torch import load_file

    with path.open("rb") as stream:
        compare_size(path, os.fstat(stream.fileno()).st_size, size)
        compare_sum(path, hashlib.file_digest(stream, "sha256").hexdigest(), checksum)
        tensors: Tensors = load_file(path)
        if not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            raise BundleError(f"The bundle {path.parent.name!r} was replaced while it was read; load it again.")
    return tensors


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read only the manifest of a bundle.

    Raises:
        BundleError: there is none, or it is damaged or of an unknown format.
    """
    folder = folder.resolve()
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"There is no bundle in {folder.name!r}; give a folder that memorize(save_dir=...) made."
        ) from error
    except _UNREADABLE as error:
        raise BundleError(f"The manifest of the bundle {folder.name!r} is damaged; memorise the text again.") from error
    known = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
    if not known or manifest.get("format") != FORMAT:
        found = repr(manifest.get("format"))[:20] if known else "that cannot be told"
        raise FormatError(
            f"The bundle {folder.name!r} is of another format ({found}) than this version reads ({FORMAT}); "
            "memorise the text again."
        )
    written, found = str(manifest.pop("sha256", "none")), _sum_of(manifest)
    if written != found:
        raise BundleError(
            f"The manifest of the bundle {folder.name!r} is damaged: its checksum is {found[:16]}, but {written[:16]} "
            "when it was saved; memorise the text again."
        )
    return manifest


def _sum_of(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest's values, whatever their order."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    _write_text(folder / MANIFEST, json.dumps({**manifest, "sha256": _sum_of(manifest)}, indent=1))


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def swap(partial: Path, folder: Path) -> None:
    """Put a complete folder in place of an old one, or of none; if that fails, the old one is put back.

    Raises:
        OSError: it cannot be done, and nothing has changed.
    """
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
    try:
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
    except BaseException:  # also a Ctrl-C between the two
        with suppress(OSError):
            old.replace(folder)
        if folder.exists():  # the old one again, or what another writer put there meanwhile
            shutil.rmtree(old, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tensor(values: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor that can be stored."""
    import numpy as np
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))
