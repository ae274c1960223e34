"""Citations in a stream: every [n] is true, supported sentences say which passage, however the text arrives."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.citation import Citer, cited
from engine.events import Passage

TEXTS = (
    "The first keeper was a woman, Isolde Marrick, the widow of a pilot.",
    "A visitor must climb 214 steps to the lantern room. The door is painted saffron yellow.",
    "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步。",
)
PASSAGES = tuple(Passage(number, text, "a.txt", 0, len(text)) for number, text in enumerate(TEXTS, 1))


def whole(text: str, passages=PASSAGES) -> str:
    citer = Citer(passages)
    return citer.feed(text) + citer.finish()


def in_pieces(text: str, cuts: list[int]) -> str:
    citer = Citer(PASSAGES)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    return "".join(citer.feed(text[a:b]) for a, b in pairwise(edges)) + citer.finish()


PHRASES = st.sampled_from(
    [
        "The first keeper was Isolde Marrick.",
        "The door is painted saffron yellow",
        "守塔人名叫马格努斯。",
        "Goats cannot fly!",
        ' He said "climb."',
        "[1]",
        " [2]",
        "[9]",
        "[",
        "]",
        "[12",
        " [0] ",
        "[1234]",
        "[a]",
        ".",
        "...",
        "\n\n",
        " ",
        "3.5",
        "？",
        ".'",
    ]
)


@given(st.lists(PHRASES, max_size=12).map("".join), st.lists(st.integers(0, 300), max_size=20))
def test_pieces_make_no_difference(text, cuts):
    assert in_pieces(text, cuts) == whole(text)


@given(st.lists(PHRASES, max_size=10).map("".join))
def test_character_by_character_makes_no_difference(text):
    assert in_pieces(text, list(range(len(text)))) == whole(text)


@given(st.lists(PHRASES, max_size=12).map("".join))
def test_every_number_that_is_shown_is_true(text):
    assert cited(whole(text)) <= {1, 2, 3}


@given(st.lists(PHRASES, max_size=12).map("".join))
def test_nothing_but_citations_is_changed(text):
    def bare(some: str) -> str:
        return re.sub(r"\s|\[\d{1,3}\]", "", some)

    # A marker that never closed is dropped with the end of the text.
    assert bare(whole(text)) == bare(re.sub(r"\[\d{0,3}\Z", "", text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Isolde Marrick [1] was first.", "Isolde Marrick [1] was first."),
        ("Isolde Marrick was the first keeper. [1]", "Isolde Marrick was the first keeper. [1]"),
        ("Isolde Marrick was the first keeper.[1]", "Isolde Marrick was the first keeper.[1]"),
        ("One [1][2] thing.", "One [1][2] thing."),
    ],
)
def test_a_true_citation_is_kept(text, shown):
    assert whole(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Goats fly [7].", "Goats fly."),
        ("Goats fly [0] high [99].", "Goats fly high."),
        ("Goats fly. [4]", "Goats fly."),
        ("Goats[4] fly [1].", "Goats fly [1]."),
    ],
)
def test_an_impossible_citation_is_taken_out(text, shown):
    assert whole(text) == shown


@pytest.mark.parametrize(
    "text", ["Goats [1[9]2] fly.", "Goats [[9]7] fly.", "Goats [8[9]] fly.", "Goats [[8[9]]9] fly."]
)
def test_taking_out_a_citation_makes_no_other(text):
    assert cited(whole(text)) == cited(in_pieces(text, list(range(len(text))))) == set()


def test_what_is_no_citation_is_kept():
    text = "An [aside] and [1234] and a[i] stay."
    assert whole(text) == text


def test_a_supported_sentence_says_by_what():
    assert whole("The first keeper was Isolde Marrick.") == "The first keeper was Isolde Marrick. [1]"
    assert whole("The door is saffron yellow") == "The door is saffron yellow [2]"


def test_each_sentence_is_cited_for_itself():
    assert whole("The first keeper was Isolde Marrick. The door is saffron yellow. Goats sing operas loudly.") == (
        "The first keeper was Isolde Marrick. [1] The door is saffron yellow. [2] Goats sing operas loudly."
    )


def test_a_citation_after_a_sentence_is_not_the_next_sentences():
    assert whole("Goats sing operas loudly. [3] The door is saffron yellow.") == (
        "Goats sing operas loudly. [3] The door is saffron yellow. [2]"
    )
    assert whole("The first keeper was Isolde Marrick. [8] [1] Goats sing.") == (
        "The first keeper was Isolde Marrick. [1] Goats sing."
    )


@pytest.mark.parametrize("text", ["The first keeper was Isolde Marrick. [2]", "守塔人名叫马格努斯。[2]"])
def test_a_citation_that_arrives_after_the_sentence_is_not_doubled(text):
    assert in_pieces(text, list(range(len(text)))) == whole(text) == text


def test_a_quoted_sentence_is_cited_behind_its_quotation_mark():
    assert whole('She said: "The door is saffron yellow." Goats sing operas.') == (
        'She said: "The door is saffron yellow." [2] Goats sing operas.'
    )
    assert whole("他说：“守塔人名叫马格努斯。”海很蓝。") == "他说：“守塔人名叫马格努斯。” [3]海很蓝。"


def test_an_unsupported_sentence_names_nothing():
    for text in ("Goats sing operas loudly.", "The emperor of Lilliput was tall.", "Marrick.", "It was the one."):
        assert whole(text) == text


def test_an_impossible_citation_gives_way_to_a_true_one():
    assert whole("The first keeper was Isolde Marrick [8].") == "The first keeper was Isolde Marrick. [1]"


def test_chinese_sentences_are_cited_too():
    assert whole("守塔人名叫马格努斯。") == "守塔人名叫马格努斯。 [3]"
    assert whole("守塔人名叫马格努斯[3]。他会飞吗？") == "守塔人名叫马格努斯[3]。他会飞吗？"


@pytest.mark.parametrize("tail", ["[", " [", "[1", " [12", "  [123"])
def test_a_marker_that_is_not_finished_is_left_out(tail):
    assert whole("Goats sing operas loudly" + tail) == "Goats sing operas loudly"


def test_a_bracket_in_the_middle_is_only_waited_for():
    citer = Citer(PASSAGES)
    assert citer.feed("An [") == "An"
    assert citer.feed("aside] stays") == " [aside] stays"


def test_text_is_passed_on_as_it_comes():
    citer = Citer(PASSAGES)
    assert [citer.feed(piece) for piece in ("Goats", " sing", " operas")] == ["Goats", " sing", " operas"]


def test_without_passages_no_number_is_true():
    assert whole("The first keeper was Isolde Marrick [1].", ()) == "The first keeper was Isolde Marrick."


def test_a_decimal_point_ends_no_sentence():
    assert whole("It is 3.5 metres.") == "It is 3.5 metres."


def test_the_cited_numbers_are_read_from_a_text():
    assert cited("One [1], two [2][10] and [x] and [1234].") == {1, 2, 10}
    assert cited("") == set()


def test_repeating_the_question_is_no_support():
    passages = (Passage(1, "Luna Lovegood casts a hare as her Patronus.", "hp.txt", 0, 43),)
    asked = "What Patronus does Luna Lovegood cast?"
    assert Citer(passages, asked).support("The Patronus of Luna Lovegood is Luna Lovegood.") is None
    assert Citer(passages, asked).support("The Patronus of Luna Lovegood is a phoenix of ancient magic.") is None
    assert Citer(passages, asked).support("The Patronus of Luna Lovegood is a hare.") == 1
