"""Citations in a stream: every [n] is true, supported sentences say which passage, however the text arrives."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.citation import Citer, cited
from engine.events import Passage
from engine.markers import MARKER, begun

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
        "[1, 9]",
        " [1-3]",
        "【2】",
        "[[3]]",
        "[^1]",
        "[Passage 2]",
        " [Pass",
        "［１］",
        "- ",
        "and",
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
    # What may have become a marker, and never closed, is dropped with the end of the text.
    written = re.sub(MARKER, "", text[: begun(text)])
    shown = re.sub(r"\[\d{1,3}\]", "", whole(text))
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", written)


@given(st.lists(PHRASES, max_size=12).map("".join), st.lists(st.integers(0, 300), max_size=20))
def test_marks_are_the_sentences_in_order_and_cite_what_stands_behind_them(text, cuts):
    citer = Citer(PASSAGES)
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    shown = "".join(citer.feed(text[a:b]) for a, b in pairwise(edges)) + citer.finish()
    ends = [*(mark.start for mark in citer.marks[1:]), len(shown)]
    for mark, end in zip(citer.marks, ends, strict=False):
        assert mark.start < mark.end <= end
        behind = re.match(r" ?((?:\[\d\])*)", shown[mark.end : end])[1]
        assert behind == "".join(f"[{source.passage}]" for source in mark.sources)
    assert cited(shown) == citer.used


@pytest.mark.parametrize(
    "text",
    [
        "Isolde Marrick [1] was the first keeper.",
        "Isolde Marrick was the first keeper [1].",
        "Isolde Marrick was the first keeper. [1]",
        "Isolde Marrick was the first keeper.[1]",
        "[1] Isolde Marrick was the first keeper.",
        "Isolde Marrick was the first keeper [1, 9].",
        "Isolde Marrick was the first keeper \u30101\u3011.",
        "Isolde Marrick was the first keeper [^1].",
        "Isolde Marrick was the first keeper [[1]].",
        "Isolde Marrick was the first keeper [Passage 1].",
        "Isolde Marrick was the first keeper [passages 1 and 8].",
        "Isolde Marrick was the first keeper [2].",
        "Isolde Marrick was the first keeper [8].",
        "Isolde Marrick was the first keeper.",
    ],
)
def test_a_true_citation_stands_behind_its_sentence_however_it_was_written(text):
    assert whole(text) == in_pieces(text, list(range(len(text)))) == "Isolde Marrick was the first keeper. [1]"


def test_a_sentence_that_two_passages_hold_together_cites_both():
    text = "The first keeper was Isolde Marrick [1] and the door is painted saffron yellow [2]."
    shown = "The first keeper was Isolde Marrick and the door is painted saffron yellow. [1][2]"
    assert whole(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Goats fly [7].", "Goats fly."),
        ("Goats fly [0] high [99].", "Goats fly high."),
        ("Goats fly. [4]", "Goats fly."),
        ("Goats[4] fly [8-9].", "Goats fly."),
        ("Goats fly.[4]Sheep swim.", "Goats fly. Sheep swim."),
        ("Goats[4]fly.", "Goats fly."),
    ],
)
def test_an_impossible_citation_is_taken_out(text, shown):
    assert whole(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Goats sing operas loudly. [3]",
        "The visitor must climb 241 steps to the lantern room. [2]",
        "Tobias Marrick was the first keeper, the widow of a pilot. [1]",
    ],
)
def test_a_citation_that_its_passage_does_not_support_is_taken_out(text):
    assert cited(whole(text)) == set()


def test_a_sentence_that_says_nothing_to_look_for_keeps_its_writers_citation():
    assert whole("Yes. [2]") == "Yes. [2]"
    assert whole("214. [2]") == "214. [2]"
    assert whole("214. [1]") == "214."


@pytest.mark.parametrize(
    "text", ["Goats [1[9]2] fly.", "Goats [[9]7] fly.", "Goats [8[9]] fly.", "Goats [[8[9]]9] fly."]
)
def test_taking_out_a_citation_makes_no_other(text):
    assert cited(whole(text)) == cited(in_pieces(text, list(range(len(text))))) == set()


def test_what_is_no_citation_is_kept():
    text = "An [aside] and [1234] and a[i] and (1) and [p. 2] stay."
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
        "Goats sing operas loudly. The door is saffron yellow. [2]"
    )
    assert whole("The first keeper was Isolde Marrick. [8] [1] Goats sing.") == (
        "The first keeper was Isolde Marrick. [1] Goats sing."
    )


@pytest.mark.parametrize("text", ["The first keeper was Isolde Marrick. [1]", "守塔人名叫马格努斯。[3]"])
def test_a_citation_that_arrives_after_the_sentence_is_not_doubled(text):
    assert in_pieces(text, list(range(len(text)))) == whole(text) == text


def test_a_quoted_sentence_is_cited_behind_its_quotation_mark():
    assert whole('She said: "The door is saffron yellow." Goats sing operas.') == (
        'She said: "The door is saffron yellow." [2] Goats sing operas.'
    )
    assert whole("他说：“守塔人名叫马格努斯。”海很蓝。") == "他说：“守塔人名叫马格努斯。”[3]海很蓝。"


def test_the_items_of_a_list_are_sentences():
    text = "They:\n\n1. The first keeper was Isolde Marrick [2]\n2. The door is saffron yellow\n- Goats sing operas\n"
    shown = (
        "They:\n\n1. The first keeper was Isolde Marrick [1]\n2. The door is saffron yellow [2]\n- Goats sing operas"
    )
    assert whole(text) == in_pieces(text, list(range(len(text)))) == shown


def test_a_line_broken_inside_a_sentence_does_not_end_it():
    assert whole("The first keeper\nwas Isolde Marrick.") == "The first keeper\nwas Isolde Marrick. [1]"


def test_a_paragraph_ends_a_sentence():
    assert [sentence for sentence, _ in marks_of("Goats fly\n\nover the tower")] == ["Goats fly", "over the tower"]


def test_an_unsupported_sentence_names_nothing():
    for text in ("Goats sing operas loudly.", "The emperor of Lilliput was tall.", "Marrick.", "It was the one."):
        assert whole(text) == text


def test_an_impossible_citation_gives_way_to_a_true_one():
    assert whole("The first keeper was Isolde Marrick [8].") == "The first keeper was Isolde Marrick. [1]"


def test_chinese_sentences_are_cited_too():
    assert whole("守塔人名叫马格努斯。") == "守塔人名叫马格努斯。[3]"
    assert whole("守塔人名叫马格努斯【3】。他会飞吗？") == "守塔人名叫马格努斯。[3]他会飞吗？"


@pytest.mark.parametrize("tail", ["[", " [", "[1", " [12", "  [123", " [1, ", "[[1]", " [Pass", "【"])
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


@pytest.mark.parametrize(
    "text", ["It is 3.5 metres tall.", "Goats, e.g. old ones, eat T. M. Riddle.", "Goats etc. and sheep"]
)
def test_not_every_full_stop_ends_a_sentence(text):
    citer = Citer(PASSAGES)
    assert citer.feed(text) + citer.finish() == text
    assert len(citer.marks) == 1


def test_the_cited_numbers_are_read_from_a_text():
    assert cited("One [1], two [2][10] and [x] and [1234].") == {1, 2, 10}
    assert cited("") == set()


def test_repeating_the_question_is_no_support():
    passages = (Passage(1, "Luna Lovegood casts a hare as her Patronus.", "hp.txt", 0, 43),)
    asked = "What Patronus does Luna Lovegood cast?"

    def answered(text: str) -> str:
        citer = Citer(passages, asked)
        return citer.feed(text) + citer.finish()

    for text in (
        "The Patronus of Luna Lovegood is Luna Lovegood.",
        "The Patronus of Luna Lovegood is a phoenix of fire.",
    ):
        assert answered(text) == text
    assert answered("The Patronus of Luna Lovegood is a hare.") == "The Patronus of Luna Lovegood is a hare. [1]"


# Marks


def marks_of(text: str, **options):
    citer = Citer(PASSAGES, **options)
    shown = citer.feed(text) + citer.finish()
    return [(shown[mark.start : mark.end], mark.sources) for mark in citer.marks]


def test_every_sentence_is_marked_with_the_sentence_that_supports_it():
    (first, by), (last, none) = marks_of("- The door is saffron yellow [2].\n- Goats sing operas loudly.")
    assert first == "The door is saffron yellow."
    (source,) = by
    assert (source.passage, TEXTS[1][source.start : source.end]) == (2, "The door is painted saffron yellow.")
    assert (last, none) == ("Goats sing operas loudly.", ())


@pytest.mark.parametrize(
    "text",
    [
        "Sure!",
        "Here is what the text says:",
        "## Keepers of the tower\n",
        "**Keepers of the tower**\n\nSure!",
        "Would you like to know more?",
        "The passages do not mention any goats.",
        "文中没有提到山羊。",
        "Nothing was found.",
        "---",
    ],
)
def test_what_states_nothing_is_not_marked_as_uncited(text):
    assert marks_of(text, not_found="Nothing was found.") == []


def test_the_sentence_that_nothing_was_found_cites_nothing():
    assert whole("The evidence does not mention goats. [1]") == "The evidence does not mention goats."
    citer = Citer(PASSAGES, not_found="The door is saffron yellow.")
    assert citer.feed("The door is saffron yellow. [2]") + citer.finish() == "The door is saffron yellow."


def test_a_quotation_added_to_an_answer_is_marked_with_its_place():
    citer = Citer(PASSAGES)
    shown = citer.feed("Goats sing operas loudly.") + citer.finish()
    shown += citer.quote('It says: "The door is painted saffron yellow."', 2, "The door is painted saffron yellow.")
    assert shown.endswith('\n\nIt says: "The door is painted saffron yellow." [2]')
    mark = citer.marks[-1]
    assert shown[mark.start : mark.end] == 'It says: "The door is painted saffron yellow."'
    assert TEXTS[1][mark.sources[0].start : mark.sources[0].end] == "The door is painted saffron yellow."
    assert citer.used == {2}


def test_thoughts_are_left_out_and_cite_nothing():
    text = "<think>The keeper was Isolde Marrick. [2]</think>\n\nThe door is saffron yellow."
    assert whole(text) == in_pieces(text, list(range(len(text)))) == "The door is saffron yellow. [2]"
    citer = Citer(PASSAGES)
    citer.feed(text)
    assert citer.fed == text


def test_the_cost_is_linear_in_the_text():
    def seconds(count: int) -> float:
        citer, text = Citer(PASSAGES), "The door is saffron yellow [2, 9]. Goats [1 sing \n" * count
        began = time.process_time()
        for at in range(0, len(text), 7):
            citer.feed(text[at : at + 7])
        citer.finish()
        return time.process_time() - began

    seconds(50)
    assert seconds(1600) < 16 * max(seconds(200), 0.01)
