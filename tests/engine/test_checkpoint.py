"""Vectors on disk while they are being made: whole rows come back, whatever ended the program."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from engine.checkpoint import Checkpoint
from engine.errors import BundleError


def unit(rows: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, 24)).astype(np.float32)
    vectors[::5] = 0  # texts without a token
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def kept(tmp_path):
    kept = Checkpoint(tmp_path / "vectors.part", "a text", 24)
    kept.keep(0)
    return kept


def test_what_was_appended_comes_back(tmp_path, kept):
    assert kept.rows().shape == (0, 24)
    kept.append(unit(7))
    kept.append(unit(3, seed=1))
    again = Checkpoint(tmp_path / "vectors.part", "a text", 24)
    np.testing.assert_array_equal(again.rows(), np.concatenate([unit(7), unit(3, seed=1)]).astype(np.float16))
    again.keep(4)
    again.append(unit(1, seed=2))
    np.testing.assert_array_equal(again.rows(), np.concatenate([unit(7)[:4], unit(1, seed=2)]).astype(np.float16))


def test_without_a_file_there_are_no_rows(tmp_path):
    assert Checkpoint(tmp_path / "none", "a text", 24).rows().shape == (0, 24)


@pytest.mark.parametrize("key", ["another text", "a tex", "a text of more words"])
def test_vectors_of_something_else_are_not_taken(tmp_path, kept, key):
    kept.append(unit(9))
    assert Checkpoint(tmp_path / "vectors.part", key, 24).rows().shape == (0, 24)


@pytest.mark.parametrize("cut", [0, 1, 47, 127, 128, 129, 175, 176, 300])
def test_a_file_that_ends_anywhere_gives_its_whole_rows(tmp_path, kept, cut):
    kept.append(unit(6))
    os.truncate(tmp_path / "vectors.part", cut)
    rows = kept.rows()
    assert len(rows) == max(0, (cut - 128) // 48)
    np.testing.assert_array_equal(rows, unit(6)[: len(rows)].astype(np.float16))


@pytest.mark.parametrize("damage", [b"\x00\x7c", b"\xff\xff", b"\x00\x3c"])
def test_rows_from_a_damaged_one_on_are_made_again(tmp_path, kept, damage):
    kept.append(unit(6))
    data = bytearray((tmp_path / "vectors.part").read_bytes())
    data[128 + 3 * 48 : 128 + 3 * 48 + 2] = damage
    (tmp_path / "vectors.part").write_bytes(data)
    assert len(kept.rows()) == 3


def test_a_full_disk_is_told_in_a_sentence(tmp_path, kept):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        with pytest.raises(BundleError, match=r"'vectors.part' could not be written: .*; free some space"):
            kept.append(unit(100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(BundleError, match="could not be written"):
        Checkpoint(tmp_path / "nowhere" / "vectors.part", "a text", 24).keep(0)
