"""The only reader of the environment: variables become one frozen value, checked once and passed down.

Precedence: command-line flag > environment variable > default. The variables are listed in ``VARIABLES`` and in the
README; an unreadable value is refused in words, never replaced silently.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from engine.errors import InputError
from engine.hardware import DEVICES

N = TypeVar("N", int, float)

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)
WEIGHTS = ("auto", "exact")
VARIABLES: Mapping[str, str] = {
    "MEMORAG_MODEL": "memory model and local generator: auto, a Hub name or a folder",
    "MEMORAG_RETRIEVER": "retriever: auto, a Hub name or a folder",
    "MEMORAG_CACHE_DIR": "where converted models and memories are kept",
    "MEMORAG_DEVICE": f"{', '.join(DEVICES[:-1])} or {DEVICES[-1]}",
    "MEMORAG_WEIGHTS": f"{' or '.join(WEIGHTS)}: on a CPU, 4- and 8-bit weights and memories, or both as the model is",
    "MEMORAG_THREADS": "CPU threads for the models (default: all cores)",
    "MEMORAG_HOST": "address to listen on (default 127.0.0.1, on a Space 0.0.0.0)",
    "MEMORAG_PORT": "port to listen on (default 7860)",
    "MEMORAG_MAX_FILE_MB": "largest accepted file in MB (default 200)",
    "MEMORAG_VISITOR_MB": "most that the documents of one visitor may take on disk, in MB (default 1000)",
    "MEMORAG_UPLOAD_HOURS": "hours until a visitor's documents are deleted (default 24)",
    "MEMORAG_CORPORA": "ready-made corpora to offer: their names with commas between them (default: all)",
    "MEMORAG_CORPORA_REPO": "Hub dataset to pull ready-made corpora from at start: OWNER/NAME or OWNER/NAME@REVISION",
    "HF_TOKEN": "token for private or gated models on the Hub",
}


class Secret(str):
    """A string that never shows itself in a repr."""

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret('')"


NO_SECRET = Secret("")


def default_cache_dir() -> Path:
    """Return the per-user cache folder of this project (it is not created here)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "memorag"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set from outside. Sizes in bytes, times in seconds unless the name says otherwise."""

    model: str = "auto"
    retriever: str = "auto"
    cache_dir: Path = Path()
    device: str = "auto"
    weights: str = "auto"
    threads: int | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    max_file_mb: int = 200
    visitor_mb: int = 1000
    upload_hours: float = 24.0
    corpora: tuple[str, ...] = ()
    corpora_repo: str = ""
    hf_token: Secret = NO_SECRET
    on_spaces: bool = False

    @property
    def exact(self) -> bool:
        """Whether weights and memories stay as the model has them."""
        return self.weights == "exact"

    @property
    def max_file_bytes(self) -> int:
        """Largest accepted file in bytes."""
        return self.max_file_mb * 2**20

    @property
    def visitor_bytes(self) -> int:
        """Bytes on disk from which on a visitor may add no more documents."""
        return self.visitor_mb * 2**20

    @property
    def is_private_host(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in {"127.0.0.1", "localhost", "::1"} and not self.on_spaces


def from_environment(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the settings.

    ``overrides`` (from flags) win over the environment; None means "not given".

    Raises:
        InputError: a variable or flag that cannot be read, naming it, its value and what is accepted.
    """
    env = os.environ if environ is None else environ
    on_spaces = env.get("SYSTEM") == "spaces"
    values: dict[str, object] = {
        "model": env.get("MEMORAG_MODEL"),
        "retriever": env.get("MEMORAG_RETRIEVER"),
        "cache_dir": env.get("MEMORAG_CACHE_DIR"),
        "device": env.get("MEMORAG_DEVICE"),
        "weights": env.get("MEMORAG_WEIGHTS"),
        "threads": env.get("MEMORAG_THREADS"),
        "host": env.get("MEMORAG_HOST"),
        "port": env.get("MEMORAG_PORT"),
        "max_file_mb": env.get("MEMORAG_MAX_FILE_MB"),
        "visitor_mb": env.get("MEMORAG_VISITOR_MB"),
        "upload_hours": env.get("MEMORAG_UPLOAD_HOURS"),
        "corpora": env.get("MEMORAG_CORPORA"),
        "corpora_repo": env.get("MEMORAG_CORPORA_REPO"),
        "hf_token": env.get("HF_TOKEN"),
    }
    known = {field.name for field in fields(Settings)}
    if unknown := set(overrides) - known:
        raise InputError(f"Unknown setting {sorted(unknown)[0]!r}; known are {', '.join(sorted(known))}.")
    values.update({name: value for name, value in overrides.items() if value is not None})
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return Settings(
        model=str(given.get("model", "auto")),
        retriever=str(given.get("retriever", "auto")),
        cache_dir=Path(str(given.get("cache_dir", default_cache_dir()))).expanduser(),
        device=_one_of("device", str(given.get("device", "auto")), DEVICES),
        weights=_one_of("weights", str(given.get("weights", "auto")), WEIGHTS),
        threads=_number("threads", given["threads"], int, 1, 1024) if "threads" in given else None,
        host=str(given.get("host", "0.0.0.0" if on_spaces else "127.0.0.1")),  # noqa: S104 - a Space is reached through its proxy
        port=_number("port", given.get("port", 7860), int, 0, 65535),
        max_file_mb=_number("max_file_mb", given.get("max_file_mb", 200), int, 1, 2048),
        visitor_mb=_number("visitor_mb", given.get("visitor_mb", 1000), int, 1, 2**20),
        upload_hours=_number("upload_hours", given.get("upload_hours", 24.0), float, 0.01, 24.0 * 365),
        corpora=tuple(name.strip() for name in str(given.get("corpora", "")).split(",") if name.strip()),
        corpora_repo=_repository(str(given.get("corpora_repo", "")).strip()),
        hf_token=Secret(given.get("hf_token", "")),
        on_spaces=on_spaces,
    )


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> str:
    if value not in accepted:
        raise InputError(f"The setting {name!r} is {value!r}; accepted are {', '.join(accepted)}.")
    return value


def _repository(value: str) -> str:
    if value and not _REPOSITORY.fullmatch(value):
        raise InputError(
            f"The setting 'corpora_repo' is {value!r}; give a dataset on the Hub as OWNER/NAME or OWNER/NAME@REVISION."
        )
    return value


def _number(name: str, value: object, kind: Callable[[str], N], low: N, high: N) -> N:
    try:
        number = kind(str(value))
    except ValueError as error:
        raise InputError(f"The setting {name!r} is {value!r}; give a number from {low} to {high}.") from error
    if not low <= number <= high:
        raise InputError(f"The setting {name!r} is {number}; give a number from {low} to {high}.")
    return number
