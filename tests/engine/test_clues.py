"""Clues: what a memory says, one a line, without what is no hint."""

from __future__ import annotations

import pytest

from engine.clues import clean_clues
from engine.events import Clue, Reply
from engine.prompt import en_prompts, zh_prompts

QUESTION = "Who was the first keeper?"

# Clues


def clues_in(reply: str, question: str = QUESTION) -> list[str]:
    return [clue.text for clue in clean_clues([("span", Reply(reply))], question, en_prompts)]


@pytest.mark.parametrize(
    "line",
    [
        "- Isolde Marrick was first.",
        "* Isolde Marrick was first.",
        "\u2022 Isolde Marrick was first.",
        "1. Isolde Marrick was first.",
        "12) Isolde Marrick was first.",
        "(3) Isolde Marrick was first.",
        "a) Isolde Marrick was first.",
        "## Isolde Marrick was first.",
        '  "Isolde Marrick was first."  ',
    ],
)
def test_bullets_numbers_and_quotation_marks_are_taken_off(line):
    assert clues_in(line) in (["Isolde Marrick was first."], ["Isolde Marrick was first"])


@pytest.mark.parametrize(
    "line",
    [
        "1867 was the year.",
        "A tower was built.",
        "I think so too.",
        "3.5 metres were dug.",
        "10:30 was the hour.",
        "J.R. Smith was the pilot.",
    ],
)
def test_what_only_looks_like_a_bullet_is_kept(line):
    assert clues_in(line) == [line]


def test_an_echo_of_the_question_is_no_clue():
    assert clues_in(f"{QUESTION}\n- who was the FIRST keeper\nIt was Marrick.") == ["It was Marrick."]
    assert clues_in(en_prompts.acknowledge) == []


def test_repetitions_count_once():
    replies = [
        ("span", Reply("The door is yellow.\nThe door is yellow!")),
        ("surrogate", Reply("the door is YELLOW.\nWhat door?")),
    ]
    assert clean_clues(replies, QUESTION, en_prompts) == (
        Clue("span", "The door is yellow."),
        Clue("surrogate", "What door?"),
    )


def test_a_last_line_that_was_cut_off_is_left_out_but_an_only_line_is_kept():
    assert clues_in("The door is yellow.\nThe keeper was the wid") == ["The door is yellow."]
    assert clues_in("The keeper was the wid") == ["The keeper was the wid"]


@pytest.mark.parametrize("reply", ["", "\n \n", "...", "-", "1.", "ok", "***\n---"])
def test_a_dull_reply_gives_no_clue(reply):
    assert clues_in(reply) == []


def test_a_long_line_is_cut():
    assert [len(text) for text in clues_in("word " * 500)] == [300]


def test_chinese_lines_without_spaces_are_kept():
    reply = "1、灯塔建于一八七四年。\n2、守塔人名叫马格努斯。\n第三句没有写完的"
    found = clean_clues([("span", Reply(reply))], "灯塔建于何时？", zh_prompts)
    assert [clue.text for clue in found] == ["灯塔建于一八七四年。", "守塔人名叫马格努斯。"]
