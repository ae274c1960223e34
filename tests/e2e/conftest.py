"""The app as a user starts it: ``python app.py`` in a process of its own, with the real embedded models."""

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from engine import hub

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "artifacts"


@dataclass(frozen=True)
class App:
    """A running app. ``temp`` is where uploads go; ``log`` what it wrote; ``seconds`` from start to the page."""

    url: str
    temp: Path
    log: Path
    seconds: float


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    missing = [name for name, wheel in hub.WHEELS.items() if hub._installed(wheel) is None]
    if missing:
        pytest.skip(f"the embedded model {missing[0]} is not installed (requirements-offline.txt)")
    folder = tmp_path_factory.mktemp("app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temp, log = folder / "uploads", folder / "log"
    temp.mkdir()
    environment = {**os.environ, "MEMORAG_PORT": str(port), "GRADIO_TEMP_DIR": str(temp), "MEMORAG_MAX_FILE_MB": "2"}
    began = time.monotonic()
    with log.open("wb") as output:
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
        yield App(url, temp, log, time.monotonic() - began)
    finally:
        process.terminate()
        process.wait(20)


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
        yield running
        running.close()


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
