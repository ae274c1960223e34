"""The entry point: flags, environment, help."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from engine.errors import InputError
from engine.settings import VARIABLES, from_environment

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {
    "--model": ("model", "owner/name"),
    "--retriever": ("retriever", "owner/other"),
    "--cache-dir": ("cache_dir", "somewhere"),
    "--device": ("device", "cpu"),
    "--weights": ("weights", "exact"),
    "--threads": ("threads", "3"),
    "--host": ("host", "0.0.0.0"),
    "--port": ("port", "7999"),
}


def run(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=environment | {"COLUMNS": "100"} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_flag_that_is_not_given_is_none():
    assert set(vars(app.parse([])).values()) == {None}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_read_and_becomes_a_setting(flag, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    name, value = FLAGS[flag]
    given = vars(app.parse([flag, value]))
    assert {key: found for key, found in given.items() if found is not None} == {name: value}
    assert str(getattr(from_environment(**given), name)) == value


def test_every_flag_that_there_is_was_tried():
    assert set(vars(app.parse([]))) == {name for name, _ in FLAGS.values()}


def test_a_flag_wins_over_its_variable(monkeypatch):
    monkeypatch.setenv("MEMORAG_PORT", "7001")
    monkeypatch.setenv("MEMORAG_THREADS", "2")
    settings = from_environment(**vars(app.parse(["--port", "7002"])))
    assert (settings.port, settings.threads) == (7002, 2)


def test_an_unknown_flag_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as ended:
        app.parse(["--colour", "red"])
    assert ended.value.code == 2
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEMORAG_PORT", "abc"), ("MEMORAG_DEVICE", "abacus"), ("MEMORAG_UPLOAD_HOURS", "nan")],
)
def test_a_bad_variable_ends_with_status_2_and_one_sentence(name, value):
    ended = run(**{name: value})
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert value in line
    assert name.removeprefix("MEMORAG_").lower() in line
    with pytest.raises(InputError) as refused:
        from_environment({name: value})
    assert line == str(refused.value)


def test_a_bad_flag_ends_with_status_2_and_one_sentence():
    ended = run("--threads", "0", MEMORAG_THREADS="2")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "threads" in line


def test_help_names_every_variable_and_every_flag():
    ended = run("--help")
    assert ended.returncode == 0
    assert [name for name in (*VARIABLES, *FLAGS) if name not in ended.stdout] == []
