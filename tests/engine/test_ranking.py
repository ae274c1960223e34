"""Ranking: searches that compare, context, honest clues, and one hard budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.lexical import LexicalIndex
from engine.ranking import Hit, Searches, comparable, in_context, rank, top, within_budget
from engine.retrieval import DenseRetriever
from engine.strategy import Strategy, plain, strategy_for

TEXTS = [
    "The tower was built of pale granite from the quarry at Brannoch.",
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "The door at the foot of the tower is painted saffron yellow.",
    "A steam horn called Old Gertrude was sounded in thick weather.",
    "灯塔建于一八七四年，守塔人名叫马格努斯。",
    "",
]
QUESTION = "Who was the first keeper?"
QUESTION_ONLY = Strategy(context=0.0)
NUMBERS = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def searches(encoder):
    dense = DenseRetriever(encoder)
    dense.add(TEXTS)
    return Searches(dense, LexicalIndex(TEXTS), np.zeros(len(TEXTS), np.int64))


def numbers(hits) -> list[int]:
    return [hit.number for hit in hits]


# Scores


def test_context_by_hand():
    scores, documents = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0, 0, 0, 1])
    assert in_context(scores, documents, 0.5).tolist() == [2.0, 4.5, 5.0, 8.0]
    assert in_context(scores, documents, 0.0).tolist() == scores.tolist()
    assert in_context(np.array([3.0]), np.array([0]), 0.5).tolist() == [3.0]


@given(NUMBERS, st.floats(0.5, 4), st.floats(-10, 10))
def test_scores_compare_whatever_their_scale(values, factor, shift):
    scores = np.array(values, np.float64)
    if scores.std() > 1e-3:
        assert np.allclose(comparable(scores, "scores"), comparable(scores * factor + shift, "scores"), atol=1e-4)


def test_a_search_that_finds_nothing_says_nothing():
    for fusion in ("scores", "ranks"):
        assert comparable(np.zeros(5), fusion).tolist() == [0.0] * 5


def test_ranks_by_hand():
    found = comparable(np.array([0.0, 3.0, 9.0, -1.0]), "ranks")
    assert found.tolist() == [0.0, pytest.approx(1 / 62), pytest.approx(1 / 61), 0.0]


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 70))
def test_the_best_are_the_first_of_a_stable_sort(values, count):
    scores = np.array(values, np.float64)
    assert top(scores, count).tolist() == sorted(range(len(values)), key=lambda i: -values[i])[:count]


# Ranking


@pytest.mark.models
def test_meaning_and_words_find_what_is_asked_for(searches):
    for strategy in (QUESTION_ONLY, plain, Strategy(dense=False), Strategy(fusion="ranks")):
        assert rank(QUESTION, [], searches, strategy, 3, 3)[0].number == 1
    assert rank("Gertrude", [], searches, QUESTION_ONLY, 3, 1)[0].number == 3


@pytest.mark.models
def test_a_passage_in_another_language_is_found_by_its_words(searches):
    assert rank("守塔人叫什么名字？", [], searches, QUESTION_ONLY, 3, 1)[0].number == 4


@pytest.mark.models
def test_a_neighbour_gets_a_part_of_the_score(searches):
    apart, near = (rank("Gertrude", [], searches, Strategy(context=share), 3, 6) for share in (0.0, 0.4))
    assert apart[0].number == near[0].number == 3
    assert set(numbers(near)[1:3]) == {2, 4} != set(numbers(apart)[1:3]), "they stand beside what was found"


@pytest.mark.models
def test_a_gist_that_is_near_raises_the_chunks_below_it(searches):
    gists = ("A lighthouse and who kept it.", "Steam horns and other signals in fog.")
    above = replace(searches, gists=gists, gist_of=np.array([0, 0, 0, 1, 1, 1]))
    question = "Which horns and other signals were used in fog?"
    apart = rank(question, [], above, Strategy(context=0.0, gists=0.0), 3, 6)
    found = rank(question, [], above, Strategy(context=0.0, gists=5.0), 3, 6)
    assert {hit.number for hit in found[:3]} == {3, 4, 5} != {hit.number for hit in apart[:3]}
    assert apart == rank(question, [], searches, Strategy(context=0.0, gists=5.0), 3, 6), "without gists as without"


@pytest.mark.models
def test_the_question_leads_and_clues_only_add(searches):
    strategy = Strategy(context=0.0, clue_weight=0.1)
    alone = rank(QUESTION, [], searches, strategy, 1, 6)
    poor = ["The door is painted saffron yellow.", "saffron yellow door", "A yellow door."]
    led_astray = rank(QUESTION, poor, searches, strategy, 1, 6)
    assert led_astray[0].number == alone[0].number
    assert [n for n in numbers(led_astray) if n != 2] == [n for n in numbers(alone) if n != 2]
    door, before = (next(hit for hit in hits if hit.number == 2) for hits in (led_astray, alone))
    assert door.found_by == ("question", *poor)
    assert before.score < door.score < before.score + 0.1 * 10


@pytest.mark.models
def test_clues_without_weight_change_nothing_but_are_told(searches):
    alone, hinted = (rank(QUESTION, clues, searches, QUESTION_ONLY, 1, 6) for clues in ([], ["saffron yellow door"]))
    assert numbers(alone) == numbers(hinted)
    assert [hit.score for hit in alone] == pytest.approx([hit.score for hit in hinted], abs=1e-4)
    assert "saffron yellow door" in next(hit for hit in hinted if hit.number == 2).found_by


@pytest.mark.models
def test_a_query_counts_once_however_often_it_is_given(searches):
    strategy = Strategy(clue_weight=0.5)
    once = rank(QUESTION, ["saffron yellow door", "steam horn"], searches, strategy, 2, 6)
    again = ["saffron yellow door", QUESTION, "steam horn", " ", "", "saffron yellow door", "steam horn"]
    assert rank(QUESTION, again, searches, strategy, 2, 6) == once


@pytest.mark.models
@pytest.mark.parametrize("ret_hit", [1, 2, 4])
def test_without_a_question_each_clue_finds_as_many_as_ret_hit_says(searches, ret_hit):
    hits = rank("", ["saffron yellow door"], searches, QUESTION_ONLY, ret_hit, 6)
    assert len(hits) == ret_hit
    assert hits[0].number == 2
    assert {hit.found_by for hit in hits} == {("saffron yellow door",)}
    assert rank("", [], searches, QUESTION_ONLY, ret_hit, 6) == []


@pytest.mark.models
def test_nothing_is_found_in_nothing(encoder):
    nothing = Searches(DenseRetriever(encoder), LexicalIndex([]), np.zeros(0, np.int64))
    assert rank("Who?", ["clue"], nothing, Strategy(), 3, 5) == []


# The budget


@given(st.lists(st.integers(1, 600), min_size=1, max_size=30), st.integers(0, 1500), st.randoms())
def test_the_budget_is_never_exceeded_and_the_order_kept(sizes, budget, random):
    hits = [Hit(number, 0.0) for number in range(len(sizes))]
    random.shuffle(hits)
    taken = within_budget(hits, sizes, [f"text{hit.number}" for hit in hits], budget)
    assert sum(sizes[hit.number] for hit in taken) <= budget
    assert taken == [hit for hit in hits if hit in taken]
    left = budget - sum(sizes[hit.number] for hit in taken)
    assert all(sizes[hit.number] > left for hit in hits if hit not in taken)


def test_a_hit_that_does_not_fit_makes_way_for_the_next():
    hits = [Hit(0, 3.0), Hit(1, 2.0), Hit(2, 1.0)]
    assert numbers(within_budget(hits, [5, 9, 4], ["a", "b", "c"], 10)) == [0, 2]


def test_a_near_duplicate_makes_way_for_the_next():
    clause = "The licensee shall not assign this agreement without the prior written consent of the other party hereto."
    texts = [clause, "  " + clause.upper(), clause.replace("licensee", "licensor"), "The goat ate the lamp oil."]
    hits = [Hit(number, 0.0) for number in range(4)]
    assert numbers(within_budget(hits, [20] * 4, texts, 60)) == [0, 2, 3], "another word can be another meaning"


# Strategies


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dense": False, "lexical": False}, "neither by meaning nor by words"),
        ({"context": 1.5}, "context 1.5"),
        ({"clue_weight": -1.0}, "clue_weight -1.0"),
        ({"rerank": 5000}, "rerank 5000"),
        ({"gists": -0.5}, "gists -0.5"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Strategy(**options)


def test_plain_rag_is_the_bare_question_by_meaning():
    assert strategy_for("rag", reads_fast=True) == strategy_for("rag", reads_fast=False) == plain
    assert (plain.lexical, plain.context, plain.clues, plain.rerank) == (False, 0.0, (), 0)
