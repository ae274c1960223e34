"""What the command lines share: how they end, and how they tell what is left."""

from __future__ import annotations

import errno

import pytest

from engine import command
from engine.command import load_pipeline, progress_lines, run_command
from engine.errors import InputError
from engine.events import Progress
from engine.settings import Settings


def test_work_that_succeeds_says_nothing_more(capsys):
    assert run_command(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("The limit is 0; give 1."), "The limit is 0; give 1.\n"),
        (OSError(errno.ENOSPC, "No space left"), "The result could not be written: No space left.\n"),
    ],
)
def test_what_went_wrong_is_told_in_a_sentence(error, words, capsys):
    def work():
        raise error

    assert run_command(work) == 1
    assert capsys.readouterr() == ("", words)


def test_where_no_bar_can_be_drawn_lines_are_written_from_time_to_time(capsys, monkeypatch):
    with progress_lines() as on_progress:
        on_progress(Progress("answering", 1, 9, 500.0))
    assert capsys.readouterr().err == "", "not more often than every half minute"
    monkeypatch.setattr(command, "_LINE_EVERY", 0.0)
    with progress_lines() as on_progress:
        on_progress(Progress("splitting", 0, 1))
        on_progress(Progress("answering", 2, 9, 500.0))
        on_progress(Progress("answering", 8, 9, 61.7))
    assert capsys.readouterr().err.splitlines() == [
        "splitting: 0 of 1",
        "answering: 2 of 9, 8 min left",
        "answering: 8 of 9, 62 s left",
    ]


def test_an_unknown_kind_of_pipeline_is_refused():
    with pytest.raises(InputError, match="of the kind 'oracle'; known are memorag, memorag-lite"):
        load_pipeline("oracle", Settings())
