"""What is held of a corpus, as plain values and back."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bundle import pack, unpack
from engine.chunking import Chunk
from engine.documents import Document, Mark
from engine.errors import BundleError
from engine.gist import Gist
from engine.memorized import digest_of

DOCUMENTS = (
    Document("a.pdf", "One page.\n\nAnother page.", (Mark(0, page=1), Mark(11, page=2, section="Two"))),
    Document("灯塔.txt", "灯塔建于一八七四年。"),
)
CHUNKS = (Chunk(0, 0, 11, 3), Chunk(0, 11, 24, 3), Chunk(1, 0, 10, 10))
GISTS = (Gist(0, 0, 24, "Two pages."), Gist(1, 0, 10, "灯塔。"))


def packed() -> tuple[dict, dict]:
    """What is packed, after a way through a file."""
    values, tensors = pack(DOCUMENTS, CHUNKS, GISTS)
    return json.loads(json.dumps(values)), tensors


def test_what_is_packed_comes_back():
    assert unpack(*packed()) == (DOCUMENTS, CHUNKS, GISTS)
    assert unpack(*packed())[0][0].locate(12) == (2, "Two")


def test_a_memory_of_raw_text_has_no_gists():
    assert unpack(*pack(DOCUMENTS, CHUNKS, ())) == (DOCUMENTS, CHUNKS, ())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_any_text_comes_back(texts):
    documents = tuple(Document(f"{number}.txt", text) for number, text in enumerate(texts))
    assert unpack(*pack(documents, (), ()))[0] == documents


@pytest.mark.parametrize("key", ["documents", "gists"])
@pytest.mark.parametrize("value", [None, 3, [3], [[1, 2]], ["text"], [{}], [[0, "a", "b", "c"]], "text"])
def test_what_was_never_packed_is_refused(key, value):
    values, tensors = packed()
    with pytest.raises(BundleError, match="memorise the text again"):
        unpack(values | {key: value}, tensors)


@pytest.mark.parametrize("key", ["documents", "gists", "texts", "chunks"])
def test_a_missing_part_is_refused(key):
    values, tensors = packed()
    (values if key in values else tensors).pop(key)
    with pytest.raises(BundleError):
        unpack(values, tensors)


@pytest.mark.parametrize("chunk", [[0, 0, 99, 3], [0, 5, 2, 3], [0, -3, 2, 3], [2, 0, 1, 1], [-1, 0, 1, 1], [0, 0, 3]])
def test_a_chunk_outside_its_document_is_refused(chunk):
    values, tensors = packed()
    with pytest.raises(BundleError):
        unpack(values, tensors | {"chunks": torch.tensor([chunk])})


@pytest.mark.parametrize(
    "texts",
    [
        torch.zeros(3, dtype=torch.uint8),
        torch.zeros(0, dtype=torch.uint8),
        torch.full((51,), 255, dtype=torch.uint8),
        torch.zeros(51),
        torch.zeros(51, 1, dtype=torch.uint8),
    ],
)
def test_texts_of_another_length_or_that_are_no_text_are_refused(texts):
    values, tensors = packed()
    with pytest.raises(BundleError, match="memorise the text again"):
        unpack(values, tensors | {"texts": texts})


def test_the_digest_is_of_names_and_texts_in_order():
    a, b = Document("a", "one"), Document("b", "two")
    digest = digest_of([a, b])
    assert len(digest) == 64
    assert digest == digest_of((Document("a", "one", (Mark(0, page=1),)), b)), "places do not count"
    others = [[b, a], [a], [Document("c", "one"), b], [Document("a", "one."), b], [Document("a", "onetwo")], []]
    assert len({digest, *map(digest_of, others)}) == 7
