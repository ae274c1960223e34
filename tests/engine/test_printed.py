"""What repeats at the edges of printed pages is no text; everything else stays."""

from __future__ import annotations

import pytest

from engine.printed import without_running

STORIES = ["The lamp was lit.", "A storm came.", "The boats fled.", "One was lost.", "Morning broke.", "All slept."]


def bodies(pages: list[list[str]]) -> list[str]:
    return [" ".join(page) for page in without_running(pages)]


@pytest.mark.parametrize(
    "foot",
    ["{}", "- {} -", "Page {}", "Seite {} von 6", "第 {} 页", "Annual report 2024 | {}", "{} Harbour history"],
)
def test_feet_that_count_the_pages_are_left_out(foot):
    assert bodies([[story, foot.format(17 + n)] for n, story in enumerate(STORIES)]) == STORIES


def test_a_head_of_two_lines_is_left_out():
    assert bodies([["Harbour history", "", "Volume 2", "", story] for story in STORIES]) == STORIES


def test_no_more_than_two_lines_of_an_edge_are_taken():
    assert bodies([["one", "two", "three", story] for story in STORIES]) == ["three " + story for story in STORIES]


def test_left_and_right_pages_may_have_their_own_heads():
    heads = ["The author", "The title of the book"]
    assert bodies([[heads[n % 2], story] for n, story in enumerate(STORIES)]) == STORIES


def test_a_head_that_some_pages_lack_is_left_out():
    assert bodies([[story] if n in (0, 3) else ["A head", story] for n, story in enumerate(STORIES)]) == STORIES


@pytest.mark.parametrize(
    "firsts",
    [
        ["Chapter 1", "Chapter 2", "Chapter 3", "Chapter 4", "Chapter 5", "Chapter 6"],  # one to a page
        ["In 1893 it was built.", "In 1901 it was built.", "In 1950 it was built.", "a", "b", "c"],
        ["12 boats", "7 boats", "40 boats", "3 boats", "19 boats", "88 boats"],
        ["Refrain", "Refrain", "x", "y", "z", "w"],
    ],
)
def test_real_first_lines_stay(firsts):
    pages = [[first, story] for first, story in zip(firsts, STORIES, strict=True)]
    assert without_running(pages) == pages


def test_two_pages_are_too_few_to_tell():
    pages = [["A head", "one"], ["A head", "two"]]
    assert without_running(pages) == pages


def test_pages_that_are_all_alike_stay():
    pages = [["Some words."], ["Some words."], ["Some words."]]
    assert without_running(pages) == pages


def test_a_repeated_line_in_the_middle_stays():
    pages = [[f"first {story}", "Refrain", f"last {story}"] for story in STORIES]
    assert without_running(pages) == pages


def test_blank_pages_and_no_pages_are_no_harm():
    assert without_running([]) == []
    assert bodies([["H", STORIES[0]], [], ["H", STORIES[1]], [], ["H", STORIES[2]]]) == [
        STORIES[0], "", STORIES[1], "", STORIES[2],
    ]  # fmt: skip
