"""What the demo's tests share: a small catalogue, a cache folder of their own, and a service with the real models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import memorising
from demo.catalogue import Catalogue, Entry
from demo.jobs import Job
from demo.service import Service
from demo.visitors import Visitors
from engine.settings import Settings, default_cache_dir
from tests.demo.lighthouse import DATA, KINDS
from tests.openai_server import OpenAIServer, openai_server

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
        return Catalogue(folder / "nothing-added", folder).entries()[slug]

    return write


@pytest.fixture
def idle_service(tmp_path: Path, write_entry: Callable[..., Entry]) -> Iterator[Service]:
    """A service that never gets its models: what it refuses, it refuses before any work."""
    write_entry(tmp_path / "catalogue")
    idle = Service(Settings(cache_dir=tmp_path / "cache", max_file_mb=1), folder=tmp_path / "catalogue")
    yield idle
    idle.close()


@pytest.fixture(scope="session")
def send(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Upload files for a visitor as the page does; returns the ids of those that wait then."""

    def upload(service: Service, owner: str, *files: Path | tuple[str, str | bytes]) -> list[str]:
        ids = []
        for file in files:
            name, data = (file.name, file.read_bytes()) if isinstance(file, Path) else file
            source = tmp_path_factory.mktemp("incoming") / "file"
            source.write_bytes(data.encode() if isinstance(data, str) else data)
            ids.append(service.uploads.take(owner, source, name, service.settings).id)
        return ids

    return upload


@pytest.fixture(scope="session")
def memorised(send: Callable[..., list[str]]) -> Callable[..., str]:
    """Memorise files for a visitor and return the corpus's id."""

    def memorise(service: Service, owner: str, *files: Path | tuple[str, str | bytes]) -> str:
        corpus, job = service.memorize(owner, send(service, owner, *files))
        assert job.wait(60)
        assert job.snapshot().state == "done", job.snapshot().error
        return corpus

    return memorise


@pytest.fixture(scope="session")
def stopped() -> Callable[[Job], None]:
    """End a job."""

    def stop(job: Job) -> None:
        job.stop()
        assert job.wait(10)

    return stop


@pytest.fixture
def request_of() -> Callable[..., SimpleNamespace]:
    """A request of a page, as Gradio hands it over."""

    def make(session: str, token: str | None = None) -> SimpleNamespace:
        return SimpleNamespace(session_hash=session, cookies={} if token is None else {"memorag_visitor": token})

    return make


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
) -> Iterator[Service]:
    """A started service with the real models and one small ready-made corpus."""
    folder = tmp_path_factory.mktemp("catalogue")
    write_entry(folder)
    started = Service(Settings(cache_dir=cache_with_models(), device="cpu", threads=2, max_file_mb=1), folder=folder)
    started.start()
    until(lambda: started.is_open("tide-mill") or started.models.failure, 120, "the models")
    assert started.models.failure is None
    yield started
    started.close()


@pytest.fixture
def visitors() -> Visitors:
    return Visitors()


@pytest.fixture(scope="module")
def library(service: Service, send: Callable[..., list[str]]) -> SimpleNamespace:
    """The lighthouse memorised by one visitor as TXT, PDF and DOCX; with every step of it."""
    visitor = Visitors().get("reader")

    def steps_of(kind: str) -> list[memorising.Memorising]:
        return list(memorising.memorize(service, visitor, send(service, "reader", DATA / f"lighthouse.{kind}")))

    steps = {kind: steps_of(kind) for kind in KINDS}
    corpora = {kind: found[-1].corpus for kind, found in steps.items()}
    return SimpleNamespace(service=service, visitor=visitor, steps=steps, corpora=corpora)


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    """A service that writes answers."""
    with openai_server({"citer": "It is saffron yellow [1]."}) as running:
        yield running


@pytest.fixture
def requests(server: OpenAIServer) -> list:
    """What reached the server during the test."""
    server.requests.clear()
    return server.requests
