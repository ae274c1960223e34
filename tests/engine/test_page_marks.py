"""Text that was read is found among the characters that are drawn, whatever became of hyphens, spaces and accents."""

from __future__ import annotations

import time

import pytest

from engine.page_marks import drawn_places

LAMP = "The lamp was lit every evening by the keeper and put out at dawn."


def marked(read: str, span: str, drawn: str, occurrence: int = 0) -> str:
    """The drawn characters from the first to the last that are found for a span of what was read."""
    start = -1
    for _ in range(occurrence + 1):
        start = read.index(span, start + 1)
    places = drawn_places(read, [(start, start + len(span))], drawn)[0]
    assert places == sorted(set(places))
    return drawn[places[0] : places[-1] + 1] if places else ""


@pytest.mark.parametrize(
    ("read", "drawn"),
    [
        (LAMP, LAMP),
        (LAMP, "The lamp was lit ev-\r\nery evening by the\r\nkeeper and put out at dawn."),
        (LAMP, "Thelampwaslit everyeveningbythekeeper andputoutatdawn."),
        (LAMP, "T h e l a m p w a s l i t e v e r y e v e n i n g b y the keeper and put out at dawn."),
        (LAMP, LAMP.upper()),
        ("Die Küste fließt öffentlich.", "Die Ku\u0308ste ﬂieSSt o\u0308ﬀentlich."),
        ("灯塔的守护者每天晚上点亮灯火。", "灯 塔 的 守 护 者\n每 天 晚 上 点 亮 灯 火 。"),
    ],
)
def test_only_letters_and_digits_count(read, drawn):
    drawn = f"Running head 12\n{drawn}\nFoot 3"
    found = marked(f"{read} ", read, drawn)
    assert found.rstrip(". 。") == drawn[len("Running head 12\n") : -len("\nFoot 3")].rstrip(". 。")


def test_a_sentence_is_found_between_running_heads_that_were_left_out_of_what_was_read():
    drawn = "ANNUAL REPORT 7 " + LAMP[:30] + " page 7 ANNUAL REPORT 8 " + LAMP[30:] + " page 8"
    places = drawn_places(LAMP, [(0, len(LAMP))], drawn)[0]
    assert "".join(drawn[place] for place in places if drawn[place].isalnum()).startswith("Thelampwaslitever")
    assert not {drawn.index("ANNUAL"), drawn.rindex("page")} & set(places)
    assert drawn.index(LAMP[40:50]) in places


def test_of_two_places_with_the_same_words_the_right_one_is_found():
    read = f"On Monday the goat came. {LAMP} On Tuesday it rained. {LAMP} On Friday it was fine."
    drawn = f"HEAD {read}"
    for occurrence in (0, 1):
        start = [at for at in range(len(read)) if read.startswith(LAMP, at)][occurrence]
        places = drawn_places(read, [(start, start + len(LAMP))], drawn)[0]
        assert (places[0], places[-1]) == (start + 5, start + 5 + len(LAMP) - 2)


def test_of_lines_that_are_all_the_same_the_right_one_is_found():
    read, drawn = "no yes " * 5, "x no yes " * 5
    places = drawn_places(read, [(14, 20)], drawn)[0]
    assert "".join(drawn[place] for place in places) == "noyes"
    assert places[0] == 2 * 9 + 2


def test_another_order_of_the_columns_does_no_harm():
    left, right = "The first column speaks of the sea and its storms.", "The second one is about goats and marmalade."
    assert marked(f"{left} {right}", right, f"{right}\n{left}") == right[:-1]


def test_the_part_of_a_sentence_on_this_page_is_found():
    assert marked(LAMP, LAMP, f"{LAMP[30:]} Then came the spring.") == LAMP[30:-1].strip()
    assert marked(LAMP, LAMP, f"It was winter. {LAMP[:36]}") == LAMP[:36].strip()


@pytest.mark.parametrize("drawn", ["", "Nothing of the kind.", "\r\n\r\n", "lamp", "灯塔", "\x00\ud800"])
def test_what_is_not_there_is_not_found(drawn):
    assert drawn_places(LAMP, [(0, len(LAMP))], drawn) == [[]]


def test_spans_may_be_empty_outside_or_without_letters():
    assert drawn_places(LAMP, [(0, 0), (5, 3), (500, 600), (3, 4)], LAMP) == [[], [], [], []]
    assert drawn_places("", [(0, 5)], LAMP) == [[]]


@pytest.mark.parametrize("unit", ["a", "ab", "lamp ", "the same line again and again. "])
def test_a_page_full_of_the_same_takes_no_time(unit):
    read, drawn = unit * (100_000 // len(unit)), "x" + unit * (200_000 // len(unit)) + "y"
    began = time.monotonic()
    assert drawn_places(read, [(10, 500)], drawn)[0]
    assert time.monotonic() - began < 5
