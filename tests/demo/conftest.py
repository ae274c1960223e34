"""What the demo's tests share: a small catalogue, a cache folder of their own, and a service with the real models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.corpora import Entry, catalogue
from demo.service import Service
from demo.visitors import Visitors
from engine.settings import Settings, default_cache_dir

MILL = (
    "The tide mill of Quarrel Bay grinds rye twice a day, whenever the sea goes out. Its wheel has 36 paddles of elm. "
    "The miller, Oswin Thrale, keeps nine geese to warn him of the flood. The millstone came from Bramber in 1742."
)


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Wait for a condition; fail when it does not come true in time."""

    def wait(condition: Callable[[], object], seconds: float = 10.0, what: str = "the condition") -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def write_entry() -> Callable[..., Entry]:
    """Write an entry with one text into a catalogue folder and return it."""

    def write(folder: Path, slug: str = "tide-mill", text: str = MILL) -> Entry:
        (folder / slug).mkdir(parents=True)
        (folder / slug / "text.txt").write_text(text, "utf-8")
        manifest = {
            "slug": slug,
            "title": f"The {slug}",
            "description": "A small text.",
            "language": "en",
            "licence": "CC0-1.0",
            "documents": ["text.txt"],
            "sha256": {"text.txt": hashlib.sha256(text.encode()).hexdigest()},
            "questions": [{"question": "What does the mill grind?"}],
        }
        (folder / slug / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        return catalogue(folder)[slug]

    return write


@pytest.fixture
def idle_service(tmp_path: Path, write_entry: Callable[..., Entry]) -> Service:
    """A service that never gets its models: what it refuses, it refuses before any work."""
    write_entry(tmp_path / "catalogue")
    return Service(Settings(cache_dir=tmp_path / "cache", max_file_mb=1), folder=tmp_path / "catalogue")


@pytest.fixture(scope="session")
def cache_with_models(engine_models: object, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes cache folders that hold nothing but the unpacked models."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("cache")
        (folder / "models").symlink_to(default_cache_dir() / "models")
        return folder

    return make


@pytest.fixture(scope="module")
def service(
    cache_with_models: Callable[[], Path],
    write_entry: Callable[..., Entry],
    tmp_path_factory: pytest.TempPathFactory,
    until: Callable[..., None],
) -> Service:
    """A started service with the real models and one small ready-made corpus."""
    folder = tmp_path_factory.mktemp("catalogue")
    write_entry(folder)
    started = Service(Settings(cache_dir=cache_with_models(), device="cpu", threads=2, max_file_mb=1), folder=folder)
    started.start()
    until(lambda: started.is_open("tide-mill") or started.failure, 120, "the models")
    assert started.failure is None
    return started


@pytest.fixture
def visitors() -> Visitors:
    return Visitors()
