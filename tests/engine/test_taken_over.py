"""A process that a file has taken over can answer what it likes: it is believed only what makes sense.

Every process here is real, and runs code of the test instead of the reader's.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import psutil
import pytest

from engine import apart
from engine.apart import read_apart
from engine.documents import DEFAULT_LIMITS, Document, Limits, Mark
from engine.errors import Cancelled, DocumentError
from engine.events import Progress, Stop
from tests.scratch import nothing_left  # noqa: F401 - holds for every test here

FINE = {"outcome": "document", "notes": ["One page could not be read."]}


def refused(path: Path, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(DocumentError) as caught:
        read_apart(path, limits=limits)
    return str(caught.value)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def taken_over(tmp_path, monkeypatch):
    """Lets the process run this code instead of the reader."""

    def take(code: str) -> None:
        path = tmp_path / "hostile.py"
        path.write_text("import json, os, sys, time; sys.stdin.readline()\n" + code, "utf-8")
        monkeypatch.setattr(apart, "_START", f"import runpy; runpy.run_path({str(path)!r})")

    return take


def answers(facts: list[object], text: bytes = b"some text") -> str:
    lines = "".join((fact if isinstance(fact, str) else json.dumps(fact)) + "\n" for fact in facts)
    return f"open('text', 'wb').write({text!r}); open('facts', 'w').write({lines!r})\n"


def test_an_answer_in_order_is_taken(taken_over, tmp_path):
    taken_over(answers([FINE, [0, 1, None], [0, None, "One\u00ad"], [8, 2, None]]))
    marks = (Mark(0, 1), Mark(0, None, "One\u00ad"), Mark(8, 2))
    assert read_apart(tmp_path / "a.pdf") == Document("a.pdf", "some text", marks, ("One page could not be read.",))


@pytest.mark.parametrize(
    "facts",
    [
        [],
        ["no JSON"],
        ["[" * 100_000],
        ["7"],
        ['"document"'],
        ["{}"],
        [{"outcome": "SystemExit", "message": "x"}],
        [{"outcome": "DocumentError", "message": "x" * 2000}],
        [{"outcome": "DocumentError", "message": 7}],
        [{"outcome": ["document"], "message": "x"}],
        [{"outcome": "document"}],
        [{"outcome": "document", "notes": [7]}],
        [{"outcome": "document", "notes": 7}],
        [{"outcome": "document", "notes": ["\ud800"]}],
        [{"outcome": "failure", "message": "KeyError at pdf.py:7"}],
        [FINE, [9, 1, None]],
        [FINE, [-1, 1, None]],
        [FINE, [5, 1, None], [4, 2, None]],
        [FINE, [True, 1, None]],
        [FINE, [1.5, 1, None]],
        [FINE, [0, 0, None]],
        [FINE, [0, "1", None]],
        [FINE, [0, None, 7]],
        [FINE, [0, None, "\ud800"]],
        [FINE, [0, None, "x" * 2**21]],
        [FINE, [0, 1]],
        [FINE, "9" * 10_000],
    ],
    ids=lambda facts: json.dumps(facts)[:60],
)
def test_an_answer_that_makes_no_sense_is_a_crash(taken_over, tmp_path, facts):
    taken_over(answers(facts))
    assert "made its reader crash. Open it in the program it comes from" in refused(tmp_path / "a.pdf")


def test_an_answer_that_never_ends_is_a_crash(taken_over, tmp_path):
    taken_over(answers([FINE]) + "open('facts', 'a').write('[0, 1, null]\\n' * 1_400_000)")
    assert "made its reader crash" in refused(tmp_path / "a.pdf")


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"\xed\xa0\x80", b"x" * 41, b"\xc3\xa9" * 11])
def test_a_text_that_is_none_is_a_crash(taken_over, tmp_path, text):
    taken_over(answers([FINE], text))
    assert "made its reader crash" in refused(tmp_path / "a.pdf", limits=Limits(max_characters=10))


def test_what_is_put_in_the_place_of_an_answer_is_not_followed(taken_over, tmp_path):
    taken_over(
        answers([FINE])
        + "os.remove('text'); os.symlink('/etc/hostname', 'text'); os.remove('facts'); os.mkfifo('facts')",
    )
    assert read_apart(tmp_path / "a.pdf").text == "some text"


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "no",
        '["reading", 5, 4, null]',
        '["reading", 1, 2, NaN]',
        '["other", 1, 2, null]',
        '["reading", "1", 2, null]',
        '["reading", 1, 1e400, null]',
        "x" * 1000,
    ],
)
def test_progress_that_is_none_is_not_passed_on(taken_over, tmp_path, line):
    taken_over(f"open('progress', 'w').write({line!r} + '\\n')\n" + answers([FINE]))
    seen: list[Progress] = []
    read_apart(tmp_path / "a.pdf", on_progress=seen.append)
    assert seen == []


def test_a_flood_of_progress_costs_nothing(taken_over, tmp_path):
    flood = "line = b'[\"reading\", 1, 2, null]\\n' * 2_000_000\nopen('progress', 'wb').write(line)\n"
    taken_over(flood + answers([FINE]))
    seen: list[Progress] = []
    read_apart(tmp_path / "a.pdf", on_progress=seen.append)
    assert set(seen) == {Progress("reading", 1, 2)}


def test_what_it_prints_goes_nowhere(taken_over, tmp_path, capfd):
    taken_over("print('of the document'); print('of the document', file=sys.stderr); raise KeyError('of it')")
    assert "of " not in refused(tmp_path / "a.pdf").replace("copy of", "")
    assert capfd.readouterr() == ("", "")


def test_what_it_started_ends_with_it(taken_over, tmp_path):
    note = tmp_path / "pid"
    taken_over(
        f"pid = os.fork()\nif not pid: time.sleep(60)\nopen({str(note)!r}, 'w').write(str(pid))\n" + answers([FINE]),
    )
    assert read_apart(tmp_path / "a.pdf").text == "some text"
    pid, until = int(note.read_text()), time.monotonic() + 5
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not runs(pid)


def test_a_process_that_never_answers_is_stopped(taken_over, tmp_path):
    taken_over("os.close(0); os.close(1); os.close(2); time.sleep(60)")
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Cancelled):
        read_apart(tmp_path / "a.pdf", stop=stop)
