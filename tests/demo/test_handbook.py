"""The handbook that ships is true: it names every setting, every command and what stands on the page."""

from __future__ import annotations

import re

import pytest

from demo import corpora, text
from demo.catalogue import SHIPPED, Catalogue
from engine.documents import Limits
from engine.settings import VARIABLES, Settings

HANDBOOK = Catalogue(SHIPPED / "nothing-added").shipping()["handbook"]
WORDS = "\n".join(path.read_text("utf-8") for path in HANDBOOK.files)
COMMANDS = ("list", "build", "verify", "remove", "prune", "publish", "pull")


@pytest.mark.parametrize("name", VARIABLES)
def test_every_setting_is_explained(name):
    assert name in WORDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_catalogue_is_there_and_explained(command, capsys):
    with pytest.raises(SystemExit) as ended:
        corpora.main([command, "--help"])
    assert ended.value.code == 0
    assert f"python -m demo.corpora {command}" in capsys.readouterr().out
    assert re.search(rf"\b{command}\b", WORDS)


@pytest.mark.parametrize("label", ["MEMORISE", "RESUME", "STOP_MEMORISING", "DELETE", "REBUILD", "NAME", "ASK"])
def test_buttons_and_fields_have_the_names_that_the_page_gives_them(label):
    assert getattr(text, label) in WORDS


@pytest.mark.parametrize("mode", text.MODES)
def test_every_mode_is_explained(mode):
    assert text.MODES[mode] in WORDS


def test_limits_are_those_that_hold():
    assert f"{Settings().max_file_mb} MB" in WORDS
    assert f"{Limits().max_pages:,}" in WORDS
    assert f"{Settings().upload_hours:g} hours" in WORDS
