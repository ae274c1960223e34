"""The language of a text: the same text always gives the same answer."""

from __future__ import annotations

import pytest

from engine.language import language_of

ENGLISH = "The keeper climbed the stair every evening and lit the lamp before the ships came in from the sea. "
CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
GERMAN = "Der Wärter stieg jeden Abend die Treppe hinauf und zündete die Lampe an, bevor die Schiffe kamen. "


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (CHINESE * 3, "zh-cn"), (GERMAN, "de")])
def test_a_language_is_recognised(text, language):
    assert language_of([text]) == language


@pytest.mark.parametrize("text", ["1234 5678", "....", " ", "", "=== 12.5 ==="])
def test_where_there_is_nothing_to_go_by_it_is_english(text):
    assert language_of([text]) == "en"


def test_a_short_ambiguous_text_always_gets_the_same_answer():
    assert len({language_of(["da da no si"]) for _ in range(20)}) == 1


def test_the_longest_text_decides():
    assert language_of(["Ein kurzer Satz.", ENGLISH * 5, "灯塔"]) == "en"


def test_a_preface_in_another_language_does_not_decide():
    assert language_of([ENGLISH * 5 + CHINESE * 500]) == "zh-cn"


def test_only_samples_are_looked_at(monkeypatch):
    import langdetect

    seen = []
    monkeypatch.setattr(langdetect, "detect", lambda text: seen.append(len(text)) or "en")
    language_of([ENGLISH * 20_000])
    assert seen[0] < 10_000
