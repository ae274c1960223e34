"""Finding passages: exact search, honest fusion, one budget; and the real encoder where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.encoder import Encoder
from engine.errors import BundleError, Cancelled, InputError, ModelError
from engine.events import Stop
from engine.lexical import LexicalIndex
from engine.retrieval import (
    CLUE_WEIGHT,
    RRF_K,
    DenseRetriever,
    FaissIndex,
    Hit,
    find,
    fuse,
    within_budget,
)

TEXTS = [
    "The tower was built of pale granite from the quarry at Brannoch.",
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "The door at the foot of the tower is painted saffron yellow.",
    "A steam horn called Old Gertrude was sounded in thick weather.",
    "灯塔建于一八七四年，守塔人名叫马格努斯。",
    "",
]


def unit(rows: int, dimension: int = 24, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# The dense index


@pytest.mark.parametrize(("size", "hits"), [(1, 1), (50, 3), (200, 200), (7, 40)])
def test_the_index_finds_what_brute_force_finds(size, hits):
    index, vectors, queries = FaissIndex(24), unit(size), unit(5, seed=1)
    index.add(vectors)
    scores, numbers = index.search(queries, hits)
    cosines = queries @ vectors.T
    expected = np.argsort(-cosines, axis=1)[:, :hits]
    assert numbers.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, expected, 1), atol=1e-6)
    assert scores.shape == (5, min(size, hits))


def test_vectors_added_later_get_the_next_numbers():
    index, vectors = FaissIndex(24), unit(10)
    index.add(vectors[:4])
    index.add(vectors[4:])
    assert len(index) == 10
    assert index.search(vectors, 1)[1][:, 0].tolist() == list(range(10))
    np.testing.assert_array_equal(index.vectors(), vectors)


def test_an_empty_index_finds_nothing():
    index = FaissIndex(24)
    scores, numbers = index.search(unit(2), 3)
    assert scores.shape == numbers.shape == (2, 0)
    assert index.vectors().shape == (0, 24)
    index.add(unit(3))
    assert index.search(unit(3)[:0], 3)[1].shape == (0, 0)


@pytest.mark.parametrize("shape", [(3, 23), (24,), (2, 2, 24)])
def test_vectors_of_another_size_are_refused(shape):
    with pytest.raises(InputError, match=r"takes \[n, 24\]"):
        FaissIndex(24).add(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("hits", [0, -1])
def test_no_hits_cannot_be_asked_for(hits):
    with pytest.raises(InputError, match="give 1 or more"):
        FaissIndex(24).search(unit(1), hits)


# Fusion and the budget


def test_fusion_by_hand():
    hits = fuse([("question", 1.0, [7, 3]), ("question", 1.0, [3, 9]), ("clue", 0.5, [9])])
    assert hits == [
        Hit(3, pytest.approx(1 / (RRF_K + 2) + 1 / (RRF_K + 1)), ("question",)),
        Hit(9, pytest.approx(1 / (RRF_K + 2) + 0.5 / (RRF_K + 1)), ("question", "clue")),
        Hit(7, pytest.approx(1 / (RRF_K + 1)), ("question",)),
    ]


def test_equal_scores_are_ordered_by_number():
    assert [hit.number for hit in fuse([("a", 1.0, [5]), ("b", 1.0, [2]), ("c", 1.0, [9])])] == [2, 5, 9]
    assert fuse([]) == []


@given(
    st.lists(st.integers(0, 30), max_size=20, unique=True),
    st.lists(st.integers(1, 400), min_size=31, max_size=31),
    st.integers(0, 2000),
)
def test_the_budget_is_never_exceeded_and_the_order_kept(numbers, sizes, budget):
    hits = [Hit(number, 1.0, ()) for number in numbers]
    taken = within_budget(hits, sizes, budget)
    assert sum(sizes[hit.number] for hit in taken) <= budget
    assert [hit for hit in hits if hit in taken] == taken
    left = budget - sum(sizes[hit.number] for hit in taken)
    assert all(sizes[hit.number] > left for hit in hits if hit not in taken), "what still fits is taken"


def test_a_hit_that_does_not_fit_makes_way_for_the_next():
    hits = [Hit(number, 1.0, ()) for number in (0, 1, 2)]
    assert [hit.number for hit in within_budget(hits, [60, 50, 40], 100)] == [0, 2]


# The real encoder


@pytest.fixture(scope="module")
def dense(encoder):
    retriever = DenseRetriever(encoder)
    retriever.add(TEXTS)
    return retriever


@pytest.mark.models
def test_vectors_have_unit_length_in_the_order_of_the_texts(encoder):
    vectors = encoder.encode(TEXTS, batch=2)
    assert vectors.shape == (len(TEXTS), encoder.dimension) == (6, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert float(encoder.encode([text])[0] @ vector) > 0.99
    assert encoder.encode([]).shape == (0, 384)


@pytest.mark.models
def test_dense_search_ranks_as_numpy_does(dense, encoder):
    questions = ["Who kept the light first?", "What colour is the entrance?", "What was heard in fog?"]
    cosines = encoder.encode(questions, query=True) @ encoder.encode(TEXTS).T
    scores, numbers = dense.search(questions, 6)
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1), atol=1e-2)
    assert numbers[:, 0].tolist() == [1, 2, 3]
    assert dense.search("Who kept the light first?", 2)[1].shape == (1, 2)


@pytest.mark.models
def test_a_text_longer_than_the_encoder_reads_is_no_problem(encoder):
    (vector,) = encoder.encode(["the keeper of the light " * 5000])
    assert np.isfinite(vector).all()
    assert encoder.max_tokens == 254
    assert len(encoder.token_spans(["keeper " * 600])[0]) == 600


@pytest.mark.models
def test_embedding_reports_and_can_be_stopped(encoder):
    seen = []
    encoder.encode(TEXTS, on_progress=seen.append, batch=2)
    assert [event.done for event in seen] == sorted(event.done for event in seen)
    assert seen[-1].done == seen[-1].total == sum(map(len, TEXTS))
    stop = Stop()
    with pytest.raises(Cancelled):
        encoder.encode(TEXTS, on_progress=lambda _: stop.set(), stop=stop, batch=2)


@pytest.mark.models
def test_an_index_is_saved_and_loaded(dense, encoder, tmp_path):
    path = tmp_path / "new folder" / "index.bin"
    dense.save(path)
    again = DenseRetriever(encoder)
    again.load(path)
    np.testing.assert_array_equal(again.index.vectors(), dense.index.vectors())
    assert again.search("saffron door", 1)[1].tolist() == [[2]]


@pytest.mark.models
@pytest.mark.parametrize("damage", ["missing", "cut", "other encoder"])
def test_a_damaged_or_foreign_index_is_refused(dense, encoder, tmp_path, damage):
    from safetensors.numpy import save_file

    path = tmp_path / "index.bin"
    if damage == "other encoder":
        save_file({"vectors": unit(3, 384)}, path, metadata={"encoder": "0123456789abcdef"})
    elif damage == "cut":
        dense.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    again = DenseRetriever(encoder)
    with pytest.raises(BundleError, match="another retriever" if damage == "other encoder" else "cannot be read"):
        again.load(path)
    assert len(again.index) == 0


@pytest.mark.models
def test_the_question_leads_and_clues_only_add(dense):
    lexical = LexicalIndex(TEXTS)
    plain = find("Who was the first keeper?", [], dense, lexical, 3)
    assert plain[0].number == 1
    assert {hit.found_by for hit in plain} == {("question",)}
    poor = ["The door is painted saffron yellow.", "saffron yellow door", "A yellow door."]
    led_astray = find("Who was the first keeper?", poor, dense, lexical, 1)
    assert [hit.number for hit in led_astray[:2]] == [2, 1], "clues raise their own best, the rest keeps its order"
    rest = [hit.number for hit in led_astray if hit.number != 2]
    assert rest == [hit.number for hit in plain if hit.number != 2]
    door = next(hit for hit in led_astray if hit.number == 2)
    assert set(door.found_by) == {"question", *poor}
    before = next(hit.score for hit in plain if hit.number == 2)
    assert door.score == pytest.approx(before + CLUE_WEIGHT / (RRF_K + 1))


@pytest.mark.models
def test_without_a_question_the_clues_find(dense):
    hits = find("", ["saffron yellow door", "steam horn"], dense, LexicalIndex(TEXTS), 1)
    assert [hit.number for hit in hits] == [2, 3]
    assert hits[0].found_by == ("saffron yellow door",)


@pytest.mark.models
def test_nothing_is_found_in_nothing(encoder):
    assert find("Who?", ["clue"], DenseRetriever(encoder), LexicalIndex([]), 3) == []


@pytest.mark.models
def test_a_damaged_encoder_is_refused(encoder, tmp_path):
    import shutil

    from engine import hub

    folder = shutil.copytree(hub.locate(encoder.name, tmp_path), tmp_path / "encoder")
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ModelError, match="could not be loaded"):
        Encoder(str(folder), hardware=encoder.hardware)
