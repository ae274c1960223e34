"""Figures: the same number is the same, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.figures import figures


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("214 steps, 1,280 tokens and 3.50 m", {"214", "1280", "3.5"}),
        ("two hundred and fourteen steps", {"214"}),
        ("twenty-one paddles of elm and thirty six of oak", {"21", "36"}),
        ("fifty thousand pounds, two thousand five hundred crowns", {"50000", "2500"}),
        ("5 million, five million and 5,000,000", {"5000000"}),
        ("a hundred men", {"100"}),
        ("in 1874 and 1875, the 1870s", {"1874", "1875", "1870"}),
        ("12/05/1874 at 10:30", {"12", "5", "1874", "10", "30"}),
        ("the 3rd day, the third day", {"3"}),
        ("twice, two", {"2"}),
        ("two and three", {"2", "3"}),
        ("1.000.000 and 3,5", {"1000000", "3", "5"}),
        ("一八七四年，一千二百人，5万元", {"1874", "1200", "50000"}),
        ("第五十条", {"50"}),
        ("１９３０", {"1930"}),
        ("no figures here", set()),
        ("", set()),
    ],
)
def test_figures_are_read_from_digits_and_words(text, found):
    assert figures(text, is_strict=True) == found


def test_only_what_is_surely_a_figure_counts_when_that_is_asked_for():
    text = "One of them came first, both left a second later, 一个人, 万一"
    assert figures(text, is_strict=True) == set()
    assert {"1", "2"} <= figures(text)


@given(st.integers(0, 999_999_999))
def test_grouped_digits_are_the_same_figure(number):
    assert figures(f"{number:,}") == figures(str(number)) == {str(number)}


@given(st.text(max_size=60))
def test_any_text_can_be_read(text):
    assert figures(text, is_strict=True) <= figures(text) | figures(text, is_strict=True)
    assert all(figure.replace(".", "").isdigit() for figure in figures(text))
