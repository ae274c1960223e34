"""What a summary rests on: places from all over the text, and from where a question is about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chunking import split
from engine.coverage import cover, interest_of, part_of, spread
from engine.documents import Document
from tests.pipelines import filler

SIZE = 40


def unit(rows: int, dimension: int = 24, seed: int = 0) -> np.ndarray:
    """Vectors around a common direction, as those of the chunks of one text are."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)) + 1.0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def numbers(places) -> list[int]:
    return [place.number for place in places]


def sized(count: int, size: int = SIZE) -> np.ndarray:
    return np.full(count, size)


# All over the text


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_every_stretch_of_one_document_gives_one_chunk(count):
    chosen = numbers(spread(unit(100), np.zeros(100, int), sized(100), count))
    assert [number * count // 100 for number in chosen] == list(range(count))


def test_stretches_have_like_numbers_of_tokens_not_of_chunks():
    sizes = np.array([10] * 90 + [90] * 10)
    chosen = numbers(spread(unit(100), np.zeros(100, int), sizes, 2))
    assert chosen[0] < 90 <= chosen[1]


def test_every_document_has_a_place_however_small_it_is():
    documents = np.array([0] * 200 + [1] + [2] * 3)
    chosen = numbers(spread(unit(204), documents, sized(204), 6))
    assert [int(documents[number]) for number in chosen] == [0, 0, 0, 0, 1, 2]


def test_of_more_documents_than_places_there_is_an_even_sample():
    chosen = numbers(spread(unit(30), np.arange(30), sized(30), 10))
    assert [number // 3 for number in chosen] == list(range(10))


def test_the_chunk_nearest_to_a_key_point_is_taken_and_the_point_named():
    vectors = unit(60)
    chosen = spread(vectors, np.zeros(60, int), sized(60), 3, points=vectors[[51, 4]])
    assert chosen[0].number == 4
    assert chosen[0].point == 1
    assert chosen[2].number == 51
    assert chosen[2].point == 0
    assert [place.point for place in spread(vectors, np.zeros(60, int), sized(60), 3)] == [None] * 3


def test_without_key_points_the_chunk_in_the_middle_of_its_stretch_is_taken():
    vectors = unit(9)
    middle = vectors[:5].sum(axis=0)
    vectors[2] = middle / np.linalg.norm(middle)
    assert spread(vectors[:5], np.zeros(5, int), sized(5), 1)[0].number == 2


def test_a_chunk_that_repeats_what_was_chosen_makes_way_for_another():
    usual, rare = unit(2, seed=3)
    vectors = np.stack([usual, rare, usual, rare])
    first, second = numbers(spread(vectors, np.zeros(4, int), sized(4), 2))
    assert (first < 2 <= second) and (second - first) % 2 == 1


def test_nothing_gives_nothing():
    assert spread(unit(5), np.zeros(5, int), sized(5), 0) == []
    assert spread(unit(5), np.zeros(5, int), sized(5), 3, interest=np.zeros(5)) == []
    assert cover(np.zeros((0, 24), np.float32), np.zeros(0, int), np.zeros(0, int), 100) == []


# Within the budget


@given(
    st.lists(st.lists(st.integers(0, 96), min_size=1, max_size=40), min_size=1, max_size=12),
    st.integers(0, 1500),
    st.booleans(),
)
def test_the_budget_is_kept_and_every_document_has_a_place_where_that_is_possible(lengths, budget, has_points):
    sizes = np.array([size for document in lengths for size in document])
    documents = np.repeat(np.arange(len(lengths)), [len(document) for document in lengths])
    places = cover(unit(len(sizes)), documents, sizes, budget, unit(3, seed=1) if has_points else None)
    chosen = numbers(places)
    assert len(set(chosen)) == len(chosen)
    assert sizes[chosen].sum() <= budget
    if sizes.sum() <= budget:
        assert sorted(chosen) == np.flatnonzero(sizes).tolist()
    if budget >= 96 * len(lengths):
        assert set(documents[chosen]) == set(documents[sizes > 0])


def test_most_of_the_budget_is_used():
    sizes = np.random.default_rng(0).integers(50, 97, 300)
    chosen = numbers(cover(unit(300), np.zeros(300, int), sizes, 1280))
    assert 1280 - 96 <= sizes[chosen].sum() <= 1280


@pytest.mark.parametrize("left", [2, 4, 8])
def test_what_is_left_when_the_last_are_left_out_is_spread_over_the_text_too(left):
    chosen = numbers(cover(unit(160), np.zeros(160, int), sized(160), 16 * SIZE))
    assert len(chosen) == 16
    assert sorted(number * left // 160 for number in chosen[:left]) == list(range(left))


# About a question


def test_a_question_about_one_place_has_all_of_the_budget_and_one_about_everything_the_least():
    vectors = unit(200)
    everywhere = np.full(200, 0.5)
    assert part_of(everywhere, vectors) == pytest.approx(0.2)
    somewhere = everywhere.copy()
    somewhere[70] = 0.95
    assert part_of(somewhere, vectors) == 1.0
    assert part_of(somewhere - 1.0, vectors) == pytest.approx(0.2), "near to nothing, it is about nothing"


@pytest.mark.parametrize("count", [1, 2])
def test_a_text_of_few_chunks_has_questions_too(count):
    vectors = unit(count)
    part = part_of(vectors @ vectors[0], vectors)
    assert 0.2 <= part <= 1.0
    interest = interest_of(vectors @ vectors[0], vectors, part)
    assert interest[0] == 1.0
    assert numbers(spread(vectors, np.zeros(count, int), sized(count), 5, interest=interest)) == list(range(count))


def test_places_are_dense_where_the_interest_is_and_nowhere_where_there_is_none():
    interest = np.array([0.02] * 100 + [1.0] * 50 + [0.0] * 50)
    chosen = numbers(spread(unit(200), np.zeros(200, int), sized(200), 12, interest=interest))
    assert sum(100 <= number < 150 for number in chosen) >= 10
    assert max(chosen) < 150


def test_a_document_of_little_interest_may_be_missing_and_one_of_some_may_not():
    documents, interest = np.repeat([0, 1, 2], 20), np.repeat([1.0, 0.01, 0.3], 20)
    chosen = numbers(spread(unit(60), documents, sized(60), 3, interest=interest))
    assert set(documents[chosen]) == {0, 2}


def test_in_its_stretch_the_chunk_most_relevant_to_the_question_is_taken():
    vectors, relevance = unit(40), np.zeros(40)
    relevance[[7, 33]] = 0.9
    assert numbers(spread(vectors, np.zeros(40, int), sized(40), 2, relevance=relevance)) == [7, 33]


# With a real encoder


@pytest.mark.models
def test_real_questions_are_told_apart_by_how_much_of_the_text_they_ask_about(encoder):
    documents = [Document(f"{n}.txt", filler(20 * n, 20)) for n in range(3)]
    documents[1] = Document("1.txt", filler(20, 10) + "\n\nA comet with a green tail was seen from the bridge.")
    chunks = split(documents, 96, encoder.token_spans)
    vectors = encoder.encode([chunk.of(documents) for chunk in chunks])
    asked = encoder.encode(["Summarise these texts.", "Summarise what is told of the comet."], query=True)
    broad, narrow = (part_of(vectors @ question, vectors) for question in asked)
    assert broad < 0.5
    assert narrow == 1.0
    homes, sizes = np.array([chunk.document for chunk in chunks]), np.array([chunk.tokens for chunk in chunks])
    chosen = numbers(cover(vectors, homes, sizes, 1280, interest=interest_of(vectors @ asked[0], vectors, broad)))
    assert set(homes[chosen]) == {0, 1, 2}
