"""Thoughts before an answer are left out of it, however the text arrives."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.thoughts import Thoughts

PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<thinking>",
        "</thinking>",
        "<thi",
        "nk>",
        "Okay, ",
        "The user ",
        "The door",
        "\n\n",
        " ",
        "<",
        "x",
    ]
)


def whole(text: str) -> str:
    thoughts = Thoughts()
    return thoughts.feed(text) + thoughts.finish()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The door is yellow.", "The door is yellow."),
        ("<think>Is it?</think>The door is yellow.", "The door is yellow."),
        ("\n<think>\nIs it?\n</think>\n\nThe door is yellow.", "The door is yellow."),
        ("<thinking>Is it?</thinking> Yes.", "Yes."),
        ("<THINK>Is it?</THINK>Yes.", "Yes."),
        ("<think></think><think>a</think>Yes.", "Yes."),
        ("</think>\n\nYes.", "Yes."),
        ("Okay, the user asks for the door.\n</think>\n\nIt is yellow.", "It is yellow."),
        ("嗯，用户问门。</think>黄色。", "黄色。"),
        ("<think>It never ends", ""),
        ("Okay, the door is yellow.", "Okay, the door is yellow."),
        ("The tags <think> and </think> are markup.", "The tags <think> and </think> are markup."),
        ("<b>bold</b>", "<b>bold</b>"),
        ("<think", "<think"),
        ("  ", "  "),
        ("", ""),
    ],
)
def test_only_the_answer_is_left(text, answer):
    assert whole(text) == answer
    thoughts = Thoughts()
    assert "".join(map(thoughts.feed, text)) + thoughts.finish() == answer


@given(st.lists(PIECES, max_size=10).map("".join), st.lists(st.integers(0, 80), max_size=10))
def test_pieces_make_no_difference(text, cuts):
    thoughts, edges = Thoughts(), [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    assert "".join(thoughts.feed(text[a:b]) for a, b in pairwise(edges)) + thoughts.finish() == whole(text)


def test_an_answer_is_passed_on_at_once():
    thoughts = Thoughts()
    assert [thoughts.feed(piece) for piece in ("Goats", " sing", " <think>")] == ["Goats", " sing", " <think>"]


def test_after_thoughts_the_answer_is_passed_on_at_once():
    thoughts = Thoughts()
    pieces = ("<think>a", "b</th", "ink>", "\n\n", "Goats", " sing")
    assert [thoughts.feed(piece) for piece in pieces] == ["", "", "", "", "Goats", " sing"]
