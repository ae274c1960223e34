"""The app as a user starts it: ``python app.py`` in a process of its own, with the real embedded models."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from engine import hub
from engine.settings import default_cache_dir

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"


@dataclass(frozen=True)
class App:
    """A running app.

    ``temp`` is where uploads come to, ``cache`` where documents are kept; ``log`` what it wrote; ``seconds`` from start
    to the page.
    """

    url: str
    temp: Path
    cache: Path
    log: Path
    seconds: float
    process: subprocess.Popen

    def visitors_files(self):
        """The files of all visitors."""
        found = (self.cache / "visitors").rglob("*")
        return [path for path in found if path.is_file() and path.name != ".lock"]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(condition, seconds):
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.05)


@contextmanager
def running(folder, port, **variables):
    """Run the app with its uploads, documents and log in ``folder``; the unpacked models are the user's."""
    missing = [name for name, wheel in hub.WHEELS.items() if hub._installed(wheel) is None]
    if missing:
        pytest.skip(f"the embedded model {missing[0]} is not installed (requirements-offline.txt)")
    temp, cache, log = folder / "uploads", folder / "cache", folder / "log"
    for made in (temp, cache):
        made.mkdir(exist_ok=True)
    # Of the user's corpora, only the memories of those that ship: what a person built is nobody's business.
    for name in ("models", "corpora/kept"):
        kept = default_cache_dir() / name
        kept.mkdir(parents=True, exist_ok=True)
        (cache / name).parent.mkdir(exist_ok=True)
        if not (cache / name).is_symlink():
            (cache / name).symlink_to(kept)
    environment = {**os.environ, "MEMORAG_PORT": str(port), "GRADIO_TEMP_DIR": str(temp), "MEMORAG_MAX_FILE_MB": "2"}
    environment |= {"MEMORAG_CACHE_DIR": str(cache), **variables}
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - began < 120, log.read_text()
            try:
                if httpx.get(url, timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield App(url, temp, cache, log, time.monotonic() - began, process)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    with running(tmp_path_factory.mktemp("app"), free_port()) as started:
        yield started


# Not for the whole session: the browser's event loop would still run in tests that start one of their own.
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium was found; install the chromium package to run the browser tests")
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        running.new_context = _agreeing(running.new_context)
        yield running
        running.close()


def _agreeing(new_context):
    """Say yes to what the page asks before it deletes something."""

    def agreeing(**options):
        context = new_context(**options)
        context.on("dialog", lambda dialog: dialog.accept())
        return context

    return agreeing


@pytest.fixture
def page(browser, app):
    """A fresh visitor's page at desktop width."""
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    opened.goto(app.url)
    opened.wait_for_selector("#question textarea")
    yield opened
    context.close()
