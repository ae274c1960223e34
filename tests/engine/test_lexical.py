"""Lexical search: terms of any script, and texts that share rare ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lexical import LexicalIndex, words

TEXTS = [
    "The tower was built of pale granite from the quarry at Brannoch.",
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "The door at the foot of the tower is painted saffron yellow.",
    "A steam horn called Old Gertrude was sounded in thick weather.",
    "灯塔建于一八七四年，守塔人名叫马格努斯。",
    "",
]


# Words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The Keeper's lamp, 1893!", ["the", "keeper", "s", "lamp", "1893"]),
        ("snake_case and-dashes", ["snake", "case", "and", "dashes"]),
        ("Élan naïve", ["élan", "naïve"]),
        ("守塔人", ["守塔", "塔人"]),
        ("灯", ["灯"]),
        ("灯塔，大海", ["灯塔", "大海"]),
        ("高214级台阶", ["高", "214", "级台", "台阶"]),
        ("GPT模型", ["gpt", "模型"]),
        ("", []),
        ("!?… —", []),
    ],
)
def test_a_text_becomes_terms(text, terms):
    assert words(text) == terms


def test_english_words_are_stemmed_and_chinese_left_alone():
    import Stemmer

    assert words("The keepers climbed 守塔人", Stemmer.Stemmer("english")) == ["the", "keeper", "climb", "守塔", "塔人"]


# Lexical search


def test_lexical_search_finds_the_texts_that_share_rare_words():
    index = LexicalIndex(TEXTS)
    assert index.search("Who was the first keeper?", 10)[0] == 1
    assert index.search("doors painted yellow", 10)[0] == 2
    assert index.search("Gertrude", 10) == [3]


def test_lexical_search_works_in_chinese():
    index = LexicalIndex(TEXTS)
    assert index.search("守塔人叫什么名字？", 10) == [4]
    assert LexicalIndex(["登塔要爬214级台阶。", "门是黄色的。"]).search("214", 10) == [0]


def test_lexical_search_returns_only_texts_that_share_a_term():
    index = LexicalIndex(TEXTS)
    assert index.search("xylophone", 10) == []
    assert index.search("", 10) == []
    assert len(index.search("the", 2)) == 2


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["...", "!!"], ["\u0000"]])
def test_a_corpus_without_a_term_is_found_by_nothing(texts):
    index = LexicalIndex(texts)
    assert index.search("keeper", 10) == []
    assert index.search("\u0000", 10) == []


@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=30))
def test_lexical_search_takes_any_text(texts, query):
    found = LexicalIndex(texts).search(query, 3)
    assert len(found) <= 3
    for number in found:
        assert {word[:1] for word in words(texts[number])} & {word[:1] for word in words(query)}
