"""Markers: which brackets cite passages, and which are text."""

import re

import pytest

from engine.markers import MARKER, begun, cited, numbers

KNOWN = [1, 2, 3, 12]


@pytest.mark.parametrize(
    ("marker", "named"),
    [
        ("[1]", [1]),
        ("[ 1 ]", [1]),
        ("[1, 9]", [1]),
        ("[3,1]", [3, 1]),
        ("[1; 2]", [1, 2]),
        ("[1 and 3]", [1, 3]),
        ("[1, 2, and 3]", [1, 2, 3]),
        ("[1-3]", [1, 2, 3]),
        ("[2–40]", [2, 3, 12]),
        ("[3-1]", [1, 2, 3]),
        ("[^2]", [2]),
        ("[[2]]", [2]),
        ("[Passage 2]", [2]),
        ("[passages 1 and 2]", [1, 2]),
        ("[Passage 1, Passage 3]", [1, 3]),
        ("[Source #2]", [2]),
        ("【1】", [1]),
        ("【１、２】", [1, 2]),
        ("［12］", [12]),
        ("〔3〕", [3]),
        ("[段落 2]", [2]),
        ("【2†source】", [2]),
        ("[0]", []),
        ("[99]", []),
    ],
)
def test_a_marker_names_passages(marker, named):
    assert re.fullmatch(MARKER, marker)
    assert numbers(f"It is so {marker}.", KNOWN) == named


@pytest.mark.parametrize(
    "text",
    ["(1)", "[1234]", "[a]", "[]", "[p. 2]", "[aside]", "[1.5]", "[-1]", "[page 2]", "1]", "[1\n]", "{1}", "[[1]"],
)
def test_other_brackets_are_text(text):
    assert not re.fullmatch(MARKER, text)


@pytest.mark.parametrize(
    "marker",
    ["[1]", "[1, 9]", "[12-13]", "[[2]]", "[^2]", "[Passage 2]", "[passages 1 and 2]", "【1】", "【2†source】"],
)
def test_every_beginning_of_a_marker_is_waited_for(marker):
    for length in range(1, len(marker)):
        assert begun(f"It is so  {marker[:length]}") == len("It is so")
    assert begun(f"It is so {marker}") == len(f"It is so {marker}")


@pytest.mark.parametrize("text", ["It is so", "An [aside", "An [x", "[1234", "[1\n", "[1] so"])
def test_what_cannot_become_a_marker_is_not_waited_for(text):
    assert begun(text) == len(text.rstrip())


def test_the_cited_numbers_are_read_from_a_text():
    assert cited("One [1], two [2][10] and [x] and [1234].") == {1, 2, 10}
    assert cited("") == set()
