"""Work beside other work: its result or its error comes to whoever asks, and nobody has to wait for it at the end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from demo.beside import beside

ROOT = Path(__file__).parents[2]


def test_work_goes_on_while_its_caller_does_something_else():
    going_on = threading.Event()
    found = beside(lambda: going_on.wait(10) and "done")
    assert not found.done()
    going_on.set()
    assert found.result(10) == "done"


def test_an_error_comes_to_whoever_asks_for_the_result():
    found = beside(lambda: [][0])
    with pytest.raises(IndexError):
        found.result(10)


def test_the_program_ends_without_waiting_for_it():
    code = "import time\nfrom demo.beside import beside\nbeside(lambda: time.sleep(60))"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=30)
    assert time.monotonic() - began < 20
