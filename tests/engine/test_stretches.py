"""Stretches of like length: they cover the text, end where sentences end, and are as many as asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents import Document
from engine.stretches import density, even_stretches

SENTENCES = st.lists(
    st.sampled_from(["One. ", "A longer sentence stands here! ", "灯塔。", "\n", "no end "]), max_size=60
)


@given(st.lists(SENTENCES.map("".join), min_size=1, max_size=5), st.integers(1, 20))
def test_stretches_cover_the_documents_and_are_no_more_than_asked_for(texts, count):
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    stretches = even_stretches(documents, count, 0.25)
    for number, text in enumerate(texts):
        own = [stretch for stretch in stretches if stretch.document == number]
        assert "".join(stretch.of(documents) for stretch in own) == text
        assert all(a.end == b.start for a, b in pairwise(own))
        assert all(stretch.tokens > 0 for stretch in own)
    assert len(stretches) <= max(count, len(documents))


def test_stretches_are_of_like_length_and_end_where_sentences_end(lighthouse):
    documents = [Document("a", lighthouse * 20), Document("b", lighthouse * 10)]
    stretches = even_stretches(documents, 30, 0.25)
    assert [stretch.document for stretch in stretches].count(0) == 19
    lengths = [stretch.end - stretch.start for stretch in stretches]
    assert max(lengths) < 1.2 * min(lengths)
    assert all(
        stretch.of(documents).rstrip()[-1] in '.!?"\u201d' or stretch.of(documents)[-1] == "\n" for stretch in stretches
    )


@pytest.mark.parametrize("texts", [["x" * 500_000], ["a b " * 100_000], ["short", "x" * 90_000, ""]])
def test_a_text_without_sentences_is_cut_all_the_same(texts):
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    stretches = even_stretches(documents, 12, 0.25)
    assert 6 < len(stretches) <= 12
    assert sum(stretch.end - stretch.start for stretch in stretches) == sum(map(len, texts))


def test_a_sample_tells_how_many_tokens_there_are():
    documents = [Document("a", "ab " * 100_000), Document("b", "abcde " * 100_000), Document("c", "")]
    read = []

    def count(text):
        read.append(text)
        return len(text.split())

    tokens = density(documents, count) * sum(len(document.text) for document in documents)
    assert tokens == pytest.approx(200_000, rel=0.05)
    assert sum(map(len, read)) < 40_000
    assert density([Document("a", "")], count) == 0
