"""The measures, each against figures worked out by hand, and what must hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.metrics import (
    choice_of,
    citation_support,
    evidence_coverage,
    evidence_recall,
    exact_match,
    normalise,
    rouge_l,
    token_f1,
    tokens,
    without_citations,
)

TOKENS = st.lists(st.sampled_from(["lamp", "keeper", "granite", "fog", "oil"]), max_size=12)
CHOICES = ["A lamp of brass", "The keeper's goat", "Forty barrels of oil", "Fog"]


# Texts


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Lamp, burning!", "lamp burning"),
        ("A well-known “keeper” and an owl", "well known keeper and owl"),
        ("1893–1894 — and/or", "1893 1894 and or"),
        ("ＡＢＣ　１２", "abc 12"),
        ("the keeper's 3,800 kg", "keepers 3800 kg"),
        ("costs $5 (+2)", "costs 5 2"),
        ("守塔人，名叫马格努斯。", "守塔人名叫马格努斯"),
        ("Then there, another", "then there another"),
        ("", ""),
    ],
)
def test_a_text_is_normalised(text, plain):
    assert normalise(text) == plain


def test_a_chinese_character_is_a_token_and_a_word_is_one():
    assert tokens("守塔人 Magnus 在1874年") == ["守", "塔", "人", "magnus", "在", "1874", "年"]


# Answers


@pytest.mark.parametrize(
    ("answer", "accepted", "em", "f1", "rouge"),
    [
        ("The keeper.", ["keeper"], 1, 1, 1),
        ("Bergen", ["Dunmorrie", "Brannoch"], 0, 0, 0),
        ("keeper lamp of oil", ["the keeper lamp"], 0, 2 * 2 / 6, 2 * 2 / 6),
        ("lamp keeper", ["keeper lamp"], 0, 1, 1 / 2),
        ("lamp lamp lamp", ["lamp"], 0, 1 / 2, 1 / 2),
        ("the", ["lamp"], 0, 0, 0),
        ("", ["lamp"], 0, 0, 0),
        ("oil lamp", ["fog", "brass lamp", "oil lamp and more oil"], 0, 4 / 7, 4 / 7),
        ("守塔的人", ["守塔人"], 0, 6 / 7, 6 / 7),
        ("保证合同。", ["保证合同"], 1, 1, 1),
        ("塔守", ["守塔"], 0, 1, 1 / 2),
    ],
)
def test_answers_are_measured_as_worked_out_by_hand(answer, accepted, em, f1, rouge):
    assert exact_match(answer, accepted) == em
    assert token_f1(answer, accepted) == pytest.approx(f1)
    assert rouge_l(answer, accepted) == pytest.approx(rouge)


@given(TOKENS, TOKENS)
def test_order_can_only_lower_what_tokens_share(left, right):
    one, other = " ".join(left), " ".join(right)
    assert 0 <= rouge_l(one, [other]) <= token_f1(one, [other]) <= 1
    assert rouge_l(one, [other]) == pytest.approx(rouge_l(other, [one]))
    assert token_f1(one, [other]) == pytest.approx(token_f1(other, [one]))
    assert exact_match(one, [other]) == (left == right)


@given(TOKENS, TOKENS)
def test_rouge_counts_the_longest_common_subsequence(left, right):
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    longest = table[-1][-1]
    expected = 2 * longest / (len(left) + len(right)) if longest else 0
    assert rouge_l(" ".join(left), [" ".join(right)]) == pytest.approx(expected)


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_another_accepted_answer_never_lowers_a_measure(answer, accepted):
    for measure in (exact_match, token_f1, rouge_l):
        assert measure(answer, accepted) >= measure(answer, accepted[:1])


# Choices


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("B", 1),
        ("(c)", 2),
        ("d.", 3),
        ("Answer: D", 3),
        ("The correct answer is (A).", 0),
        ("I am sure that the answer is C, because it was dark.", 2),
        ("It must be (B)", 1),
        ("B) The keeper's goat", 1),
        ("A lamp of brass", 0),
        ("Fog", 3),
        ("It was the fog that did it", 3),
        ("The keeper had a goat: the keeper’s goat.", 1),
        ("barrels of oil, forty", 2),
        ("答案：B", 1),
        ("正确答案是（C）。", 2),
        ("D、雾", 3),
        ("A or B", None),
        ("Either (A) or (B)", None),
        ("nobody knows", None),
        ("", None),
    ],
)
def test_an_answer_names_a_choice_or_none(answer, number):
    assert choice_of(answer, CHOICES) == number


def test_letters_beyond_the_choices_name_nothing():
    assert choice_of("D", CHOICES[:3]) is None
    assert choice_of("B", []) is None


@given(st.integers(0, 3), st.sampled_from(["{}", "({})", "{}.", " {} ", "Answer: {}", "[{}]", "option {}"]))
def test_every_letter_is_understood_in_every_dress(number, dress):
    assert choice_of(dress.format("ABCD"[number]), CHOICES) == number
    assert choice_of(dress.format("abcd"[number]), CHOICES) == number


# Evidence

STRING = "one two three four five six seven"


@pytest.mark.parametrize(
    ("passages", "share"),
    [
        ([STRING], 1),
        (["One  TWO\nthree, four five six!"], 6 / 7),
        (["one two three four"], 0),
        (["zero one two three four five", "three four five six seven eight"], 1),
        (["one two three four five", "eight"], 5 / 7),
        (["one two three x four five six seven"], 0),
        ([], 0),
    ],
)
def test_evidence_is_covered_by_runs_of_five_tokens(passages, share):
    assert evidence_coverage(passages, [STRING]) == [pytest.approx(share)]


def test_short_evidence_has_to_be_found_whole():
    assert evidence_coverage(["the lamp went out"], ["lamp went", "lamp out", "!"]) == [1, 0, 0]


def test_recall_is_the_share_of_strings_found_or_whether_one_is():
    strings = ["The light was seen from Bergen and beyond.", "Nothing else was ever said about that.", "214 steps"]
    passages = ["Sailors say the light was seen from Bergen.", "There are 214 steps."]
    assert evidence_recall(passages, strings) == pytest.approx(2 / 3)
    assert evidence_recall(passages, strings, any_evidence=True) == 1
    assert evidence_recall(passages[:1], strings[1:], any_evidence=True) == 0
    assert evidence_recall(passages, []) is None
    assert evidence_recall([], strings) == 0


def test_chinese_evidence_is_found_by_its_characters():
    assert evidence_recall(["没有监护资格的人的，监护人由民政部门担任。"], ["监护人由民政部门担任"]) == 1
    assert evidence_recall(["监护人由居民委员会担任。"], ["监护人由民政部门担任"]) == 0


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(1, 39))
def test_a_cut_between_two_passages_that_overlap_by_a_run_loses_nothing(words, cut):
    text = " ".join(f"w{word}" for word in words)
    halves = [" ".join(text.split()[: cut + 4]), " ".join(text.split()[cut:])]
    assert evidence_coverage(halves, [text]) == [1]


@given(st.lists(st.text(), max_size=3), st.text(), st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_more_passages_never_cover_less(passages, another, evidence):
    before, after = evidence_coverage(passages, evidence), evidence_coverage([*passages, another], evidence)
    assert all(0 <= one <= other <= 1 for one, other in zip(before, after, strict=True))


# Citations

PASSAGES = {1: "The first keeper was Isolde Marrick, who held the post for 31 years.", 2: "The door is saffron yellow."}


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("Isolde Marrick was the first keeper [1].", 1),
        ("Isolde Marrick was the first keeper. [1] The door is painted saffron yellow. [2]", 1),
        ("Isolde Marrick was the first keeper.[1] The door is painted saffron yellow.[1]", 1 / 2),
        ("She kept the post for 31 years. [1]", 1),
        ("She kept the post for 13 years. [1]", 0),
        ("Keepers hold posts [1].", 1),
        ("The keeper Marrick had a saffron door [1] [2].", 1),
        ("The goat sailed to Bergen with marmalade. [1]", 0),
        ("Isolde Marrick was the first keeper. [7]", 0),
        ("Isolde Marrick was the first keeper.", None),
        ("Yes. [1]", None),
        ("", None),
    ],
)
def test_a_cited_sentence_is_supported_by_words_and_figures(answer, share):
    assert citation_support(answer, PASSAGES) == share


def test_chinese_sentences_are_supported_by_pairs_of_characters():
    passages = {1: "灯塔建于一八七四年，守塔人名叫马格努斯，共有214级台阶。"}
    assert citation_support("守塔人名叫马格努斯。[1]灯塔有214级台阶。[1]", passages) == 1
    assert citation_support("灯塔有215级台阶。[1]", passages) == 0
    assert citation_support("医院收治了许多病人。[1]", passages) == 0


def test_citations_are_no_words_of_an_answer():
    assert without_citations("It was Marrick [1][2]. She left. [13]") == "It was Marrick. She left."
    assert without_citations("array[x] [1893]") == "array[x] [1893]"
