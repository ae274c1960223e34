"""Names in texts, told by their capitals."""

from __future__ import annotations

import pytest

from engine.names import names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The first keeper was a woman, Isolde Marrick.", ["Isolde Marrick"]),
        ("Isolde Marrick. Marrick was careful, and Marrick's goat was too.", ["Isolde Marrick"]),
        (
            "They met in the Chamber of Secrets, where T. M. Riddle and Mrs. Norris were.",
            ["Chamber of Secrets", "T. M. Riddle", "Mrs. Norris"],
        ),
        ("Moony, Wormtail, Padfoot and Prongs", ["Moony", "Wormtail", "Padfoot", "Prongs"]),
        ("Who is Snape? What did Harry's owl find?", ["Snape", "Harry"]),
        ("The wind had turned. Everybody slept. Storms came. On Sunday, in November, it rained.", []),
        ("They counted twenty Knuts, and Seventeen Sickles.", ["Knuts", "Sickles"]),
        ("The Keeper\n\nThe keeper was called Pell Oduya, and he was the last.", ["Pell Oduya"]),
        ("", []),
    ],
)
def test_names_are_found_whole(text, found):
    assert list(names([text], "en")) == found


def test_names_are_counted_over_all_texts():
    counted = names(["She was Isolde Marrick.", "The logs of Marrick were found.", "They found Henrik Vass."], "en")
    assert counted == {"Isolde Marrick": 2, "Henrik Vass": 1}


def test_capitals_tell_no_names_where_every_noun_has_one():
    assert not names(["Der Wärter Magnus sah das Licht."], "de")
