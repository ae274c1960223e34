"""Counting tokens: as many as a tokenizer finds places for, by whatever way they are counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import token_counts
from engine.chunking import fast_token_spans
from engine.token_counts import TokenCounter
from tests.conftest import make_tokenizer

DATA = Path(__file__).parents[1] / "data"
ALPHABET = st.sampled_from(
    list("abcAB12 .!?'-\n\t_\x0b\x0c") + list("灯塔海。é🙂\u0301\u200d\u200b\xa0\x85\x1c\x1f\u2028\u3000\x00\ufffd")
)
WORDS = st.sampled_from(["lighthouse", " ", "keeper's", "[CLS]", "[MASK]", "un\x1cknown", "x" * 120, "ÉLAN", "\r\n"])
TEXTS = st.lists(st.one_of(st.text(ALPHABET, max_size=40), WORDS, st.text(max_size=20)), max_size=8).map("".join)


def reads_words():
    """A small tokenizer of the kind that encoders have."""
    from tokenizers.implementations import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    bert = BertWordPieceTokenizer(lowercase=True)
    lines = (DATA / "lighthouse.txt").read_text("utf-8").splitlines()
    bert.train_from_iterator([*lines, "灯塔海"], vocab_size=600, show_progress=False)
    # As files of encoders often have it: texts cut and filled up.
    bert.enable_truncation(16)
    bert.enable_padding(length=16)
    return PreTrainedTokenizerFast(tokenizer_object=bert._tokenizer, unk_token="[UNK]", cls_token="[CLS]")


TOKENIZERS = {"word pieces": reads_words(), "bytes": make_tokenizer()}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(texts=st.lists(TEXTS, max_size=4))
def test_as_many_tokens_are_counted_as_have_places(kind, texts):
    tokenizer = TOKENIZERS[kind]
    counted = TokenCounter(tokenizer).counts(texts)
    assert counted == [len(spans) for spans in fast_token_spans(tokenizer, texts)]


@pytest.mark.models
@given(texts=st.lists(TEXTS, max_size=4))
def test_the_retrievers_tokens_are_counted_as_they_have_places(encoder, texts):
    assert encoder.token_counts(texts) == [len(spans) for spans in encoder.token_spans(texts)]


def test_a_word_is_read_once(lighthouse, monkeypatch):
    counter = TokenCounter(TOKENIZERS["word pieces"])
    first = counter.counts(lighthouse.split("\n\n"))
    monkeypatch.setattr(TokenCounter, "_read", lambda _, texts: [] if not texts else pytest.fail("read again"))
    assert counter.counts(lighthouse.split("\n\n")) == first


def test_words_are_kept_up_to_a_size_and_counted_the_same(lighthouse, monkeypatch):
    monkeypatch.setattr(token_counts, "_KEPT", 2000)
    counter, texts = TokenCounter(TOKENIZERS["word pieces"]), lighthouse.split("\n\n")
    expected = [len(spans) for spans in fast_token_spans(TOKENIZERS["word pieces"], texts)]
    for _ in range(3):
        assert [count for text in texts for count in counter.counts([text])] == expected
        assert len(counter._known) < 400, "half of the words of the text"


def test_many_threads_count_what_one_counts(lighthouse, monkeypatch):
    monkeypatch.setattr(token_counts, "_KEPT", 2000)
    counter, texts = TokenCounter(TOKENIZERS["word pieces"]), lighthouse.split("\n\n")
    expected = [counter.counts([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda at: counter.counts([texts[at % len(texts)]]), range(400))) == [
            expected[at % len(texts)] for at in range(400)
        ]
