"""A look at what is left behind when a test is over: no file, no process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture(autouse=True, name="scratch")
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files. Whatever happened, nothing is left there, and nobody runs who did not before."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = {child.pid for child in psutil.Process().children()}
    yield folder
    assert list(folder.iterdir()) == []
    assert {child.pid for child in psutil.Process().children()} <= before
