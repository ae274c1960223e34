"""The README is true: its commands, its settings and its code."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
README = (ROOT / "README.md").read_text("utf-8")
FRONT = dict(line.split(": ", 1) for line in README.split("---")[1].strip().splitlines())


def code(heading):
    """The first Python block under a heading."""
    section = README.split(f"## {heading}\n", 1)[1]
    return re.search(r"```python\n(.*?)```", section, re.S).group(1)


def test_the_front_matter_pins_the_gradio_that_is_required():
    required = (ROOT / "requirements.txt").read_text()
    assert FRONT["sdk"] == "gradio"
    assert f"gradio=={FRONT['sdk_version']}\n" in required
    assert (ROOT / FRONT["app_file"]).is_file()
    assert len(FRONT["short_description"]) <= 60


def test_the_commands_name_files_that_exist():
    for name in re.findall(r"-r (\S+\.txt)", README):
        assert (ROOT / name).is_file()
    assert (ROOT / re.search(r"!\[.*?\]\((.*?)\)", README).group(1)).is_file()


def test_every_variable_is_listed():
    assert set(VARIABLES) <= set(re.findall(r"`([A-Z_]+)`", README))


def test_every_requirement_is_named_with_its_reason():
    table = README.split("## Built with")[1]
    required = re.findall(r"^([A-Za-z0-9_-]+)[=<>]", (ROOT / "requirements.txt").read_text(), re.M)
    assert required
    assert not [name for name in required if name not in table]


@pytest.mark.models
def test_the_python_example_runs(app, tmp_path):
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    ran = subprocess.run(
        [sys.executable, "-c", code("From Python")],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Answer(" in ran.stdout
    assert (tmp_path / "lighthouse_bundle" / "manifest.json").is_file()


@pytest.mark.models
def test_the_command_lines_of_the_engine_run(tmp_path):
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    section = README.split("## From a command line\n", 1)[1]
    commands = re.search(r"```sh\n(.*?)```", section, re.S).group(1).splitlines()
    assert len(commands) == 3
    told = []
    for command in commands:
        words = [sys.executable, *shlex.split(command)[1:]]
        ran = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
        told.append(ran.stdout)
    assert "documents: lighthouse.pdf, lighthouse.txt" in told[0]
    assert "[1] lighthouse." in told[1]
    assert json.loads(told[2])["kind"] == "memorag-lite"


@pytest.mark.models
def test_the_program_example_runs(app):
    example = code("From a program").replace("http://localhost:7860", app.url)
    ran = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
