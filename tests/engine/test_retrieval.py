"""Dense search: exact, and whole after every change; with the real encoder where it is installed."""

from __future__ import annotations

import resource
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as torch_save

from engine.encoder import Encoder
from engine.errors import BundleError, Cancelled, InputError, ModelError
from engine.events import Stop
from engine.retrieval import DenseRetriever, FaissIndex

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
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)  # as the index holds them


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


def test_vectors_are_held_in_half_the_space_and_hardly_differ():
    index, vectors = FaissIndex(384), np.random.default_rng(3).standard_normal((9000, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index.add(vectors)
    assert index.halves().nbytes == vectors.nbytes // 2
    assert np.abs(index.scores(vectors[:4]) - vectors[:4] @ vectors.T).max() < 2e-4
    some = np.array([8999, 0, 4096])
    np.testing.assert_array_equal(index.vectors(some), vectors[some].astype(np.float16).astype(np.float32))


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


@pytest.mark.parametrize("shape", [(3, 23), (24,), (2, 2, 24)])
def test_queries_of_another_size_are_refused(shape):
    with pytest.raises(InputError, match=r"takes \[n, 24\]"):
        FaissIndex(24).search(np.zeros(shape, dtype=np.float32), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_neither_held_nor_searched_for(value):
    index, broken = FaissIndex(24), unit(3)
    index.add(unit(5))
    broken[1, 7] = value
    with pytest.raises(InputError, match="takes finite ones"):
        index.add(broken)
    with pytest.raises(InputError, match="takes finite ones"):
        index.search(broken, 1)
    assert len(index) == 5


@given(st.integers(1, 12), st.data())
def test_removing_leaves_the_others_in_order_and_numbered_anew(size, data):
    numbers = data.draw(st.lists(st.integers(0, size - 1), max_size=size))
    index, vectors = FaissIndex(24), unit(size)
    index.add(vectors)
    index.remove(numbers)
    left = np.delete(vectors, numbers, axis=0)
    np.testing.assert_array_equal(index.vectors(), left)
    assert index.search(left, 1)[1].ravel().tolist() == list(range(len(left)))
    index.add(vectors[:1])
    np.testing.assert_array_equal(index.vectors()[-1], vectors[0])


@pytest.mark.parametrize("number", [-1, 5, 99])
def test_a_number_that_is_not_there_cannot_be_removed(number):
    index = FaissIndex(24)
    index.add(unit(5))
    with pytest.raises(InputError, match=f"no number {number}; it has 5 vectors"):
        index.remove([0, number])
    np.testing.assert_array_equal(index.vectors(), unit(5))


def test_a_copy_changes_alone():
    index = FaissIndex(24)
    index.add(unit(5))
    twin = index.copy()
    twin.remove([0, 1])
    twin.add(unit(4, seed=1))
    np.testing.assert_array_equal(index.vectors(), unit(5))
    np.testing.assert_array_equal(twin.vectors(), np.concatenate([unit(5)[2:], unit(4, seed=1)]))


@given(st.integers(0, 60), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_all_scores_are_those_of_brute_force(size, count):
    index, vectors, queries = FaissIndex(24), unit(size), unit(count, seed=1)
    index.add(vectors)
    assert np.allclose(index.scores(queries), queries @ vectors.T, atol=1e-5)
    index.remove(range(0, size, 2))
    assert np.allclose(index.scores(queries), queries @ vectors[1::2].T, atol=1e-5)


@pytest.mark.parametrize("hits", [0, -1])
def test_no_hits_cannot_be_asked_for(hits):
    with pytest.raises(InputError, match="give 1 or more"):
        FaissIndex(24).search(unit(1), hits)


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
@pytest.mark.parametrize("damage", ["missing", "cut", "no safetensors", "other tensor", "other numbers"])
def test_a_damaged_index_is_refused(dense, encoder, tmp_path, damage):
    path = tmp_path / "index.bin"
    made_by = {"encoder": encoder.fingerprint, "name": encoder.name}
    if damage == "cut":
        dense.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "no safetensors":
        path.write_text("nothing of the kind", "utf-8")
    elif damage == "other tensor":
        save_file({"numbers": unit(3, 384)}, path, metadata=made_by)
    elif damage == "other numbers":
        torch_save({"vectors": torch.ones(3, 384, dtype=torch.bfloat16)}, path, metadata=made_by)
    again = DenseRetriever(encoder)
    with pytest.raises(BundleError, match=r"'index.bin' cannot be read; memorise"):
        again.load(path)
    assert len(again) == 0


@pytest.mark.models
@pytest.mark.parametrize(
    ("vectors", "message"),
    [(unit(3, 24), r"shape \(3, 24\)"), (np.full((3, 384), np.nan, np.float32), "takes finite ones")],
)
def test_an_index_with_other_vectors_than_the_encoders_is_refused(dense, encoder, tmp_path, vectors, message):
    path = tmp_path / "index.bin"
    save_file({"vectors": vectors}, path, metadata={"encoder": encoder.fingerprint, "name": encoder.name})
    again = dense.copy()
    with pytest.raises(BundleError, match=message):
        again.load(path)
    np.testing.assert_array_equal(again.index.vectors(), dense.index.vectors())


@pytest.mark.models
@pytest.mark.parametrize(
    ("made_by", "other"),
    [
        ({"encoder": "0123456789abcdef", "name": "owner/other"}, r"made by owner/other \(0123456789abcdef\)"),
        (None, r"made by an unnamed retriever \(no fingerprint\)"),
    ],
)
def test_the_index_of_another_encoder_is_refused_with_both_named(encoder, tmp_path, made_by, other):
    path = tmp_path / "index.bin"
    save_file({"vectors": unit(3, 384)}, path, metadata=made_by)
    with pytest.raises(BundleError, match=rf"{other}, but {encoder.name} \({encoder.fingerprint}\) is in use"):
        DenseRetriever(encoder).load(path)


@pytest.mark.models
def test_a_full_disk_leaves_the_old_index(dense, encoder, tmp_path):
    path = tmp_path / "index.bin"
    dense.save(path)
    larger = dense.copy()
    larger.index.add(unit(1000, 384))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(BundleError, match=r"'index.bin' could not be written"):
            larger.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == ["index.bin"]
    larger.load(path)
    np.testing.assert_array_equal(larger.index.vectors(), dense.index.vectors())


@pytest.mark.models
def test_a_place_that_is_no_folder_is_said(dense, tmp_path):
    (tmp_path / "file").write_text("taken", "utf-8")
    with pytest.raises(BundleError, match=r"'index.bin' could not be written"):
        dense.save(tmp_path / "file" / "index.bin")


@pytest.mark.models
def test_removed_and_added_equals_built_afresh(dense, encoder):
    changed, fresh = dense.copy(), DenseRetriever(encoder)
    changed.remove([1, 3])
    changed.add(["The oil came from Brannoch.", TEXTS[1]])
    fresh.add([TEXTS[0], TEXTS[2], TEXTS[4], TEXTS[5], "The oil came from Brannoch.", TEXTS[1]])
    np.testing.assert_allclose(changed.index.vectors(), fresh.index.vectors(), atol=2e-2)
    questions = ["Who kept the light first?", "Where was the oil from?", "What colour is the entrance?"]
    assert changed.search(questions, 1)[1].ravel().tolist() == fresh.search(questions, 1)[1].ravel().tolist()
    assert changed.search(questions, 1)[1].ravel().tolist() == [5, 4, 1]
    assert len(dense) == len(TEXTS), "the one in use is untouched"
    assert changed.encoder is encoder


@pytest.mark.models
def test_a_stop_while_adding_adds_nothing(dense):
    changed, stop = dense.copy(), Stop()
    stop.set()
    with pytest.raises(Cancelled):
        changed.add(["The oil came from Brannoch."], stop=stop)
    assert len(changed) == len(TEXTS)


@pytest.mark.models
def test_more_hits_than_texts_are_all_texts(dense):
    scores, numbers = dense.search("keeper", 1000)
    assert scores.shape == (1, len(TEXTS))
    assert sorted(numbers[0].tolist()) == list(range(len(TEXTS)))
    assert dense.search([], 3)[1].shape == (0, 0)


@pytest.mark.models
def test_many_threads_find_what_one_finds(dense):
    questions = ["Who kept the light first?", "What colour is the entrance?", "What was heard in fog?", "灯塔"]
    expected = {question: dense.search(question, 3)[1].tolist() for question in questions}
    begin = threading.Barrier(8)

    def ask(number):
        begin.wait()
        return [dense.search(question, 3)[1].tolist() for question in questions[number % 4 :] * 3]

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(ask, range(8))):
            assert found == [expected[question] for question in questions[number % 4 :] * 3]


@pytest.mark.models
def test_scores_are_those_of_all_texts(dense, encoder):
    questions = ["Who kept the light first?", "What colour is the entrance?"]
    scores = dense.scores(questions)
    assert scores.shape == (2, len(TEXTS))
    best, numbers = dense.search(questions, 3)
    assert np.allclose(np.take_along_axis(scores, numbers, 1), best, atol=1e-6)
    assert DenseRetriever(encoder).scores(questions).shape == (2, 0)


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
