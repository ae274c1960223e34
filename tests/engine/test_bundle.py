"""What is held of a corpus, as plain values and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bundle import digest_of, pack, unpack
from engine.chunking import Chunk
from engine.documents import Document, Mark
from engine.errors import BundleError
from engine.gist import Gist

DOCUMENTS = (
    Document("a.pdf", "One page.\n\nAnother page.", (Mark(0, page=1), Mark(11, page=2, section="Two"))),
    Document("灯塔.txt", "灯塔建于一八七四年。"),
)
CHUNKS = (Chunk(0, 0, 11, 3), Chunk(0, 11, 24, 3), Chunk(1, 0, 10, 10))
GISTS = (Gist(0, 0, 24, "Two pages."), Gist(1, 0, 10, "灯塔。"))


def packed() -> dict:
    """What is packed, after a way through a file."""
    return json.loads(json.dumps(pack(DOCUMENTS, CHUNKS, GISTS)))


def test_what_is_packed_comes_back():
    assert unpack(packed()) == (DOCUMENTS, CHUNKS, GISTS)
    assert unpack(packed())[0][0].locate(12) == (2, "Two")


def test_a_memory_of_raw_text_has_no_gists():
    assert unpack(pack(DOCUMENTS, CHUNKS, ())) == (DOCUMENTS, CHUNKS, ())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_any_text_comes_back(texts):
    documents = tuple(Document(f"{number}.txt", text) for number, text in enumerate(texts))
    assert unpack(json.loads(json.dumps(pack(documents, (), ()))))[0] == documents


@pytest.mark.parametrize("key", ["documents", "chunks", "gists"])
@pytest.mark.parametrize("value", [None, 3, [3], [[1, 2]], ["text"], [{}], [[0, "a", "b", "c"]], "text"])
def test_what_was_never_packed_is_refused(key, value):
    with pytest.raises(BundleError, match="memorise the text again"):
        unpack(packed() | {key: value})


@pytest.mark.parametrize("key", ["documents", "chunks", "gists"])
def test_a_missing_part_is_refused(key):
    values = packed()
    del values[key]
    with pytest.raises(BundleError):
        unpack(values)


@pytest.mark.parametrize("chunk", [[0, 0, 99, 3], [0, 5, 2, 3], [0, -3, 2, 3], [2, 0, 1, 1], [-1, 0, 1, 1]])
def test_a_chunk_outside_its_document_is_refused(chunk):
    with pytest.raises(BundleError):
        unpack(packed() | {"chunks": [chunk]})


def test_the_digest_is_of_names_and_texts_in_order():
    a, b = Document("a", "one"), Document("b", "two")
    digest = digest_of([a, b])
    assert len(digest) == 64
    assert digest == digest_of((Document("a", "one", (Mark(0, page=1),)), b)), "places do not count"
    others = [[b, a], [a], [Document("c", "one"), b], [Document("a", "one."), b], [Document("a", "onetwo")], []]
    assert len({digest, *map(digest_of, others)}) == 7
