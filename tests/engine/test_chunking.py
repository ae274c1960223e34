"""Chunks: joined they are the document, none is too long, and they end where sentences end."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chunking import Chunk, sentences, split
from engine.documents import Document, Mark
from engine.errors import Cancelled, InputError
from engine.events import Stop

CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
ALPHABET = st.sampled_from(list("abcABC12 .!?\"')]\n\t,;-") + list("灯塔海。！？；」é🙂\u0301\u200d"))
TEXTS = st.text(ALPHABET, min_size=1, max_size=400)


def by_words(texts):
    """Every word is a token."""
    return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]


def by_characters(texts):
    """Every character is a token, white space too."""
    return [[(i, i + 1) for i in range(len(text))] for text in texts]


def whole(chunks: list[Chunk], documents: list[Document]) -> None:
    """Check that chunks are in order and lose no character."""
    for number, document in enumerate(documents):
        own = [chunk for chunk in chunks if chunk.document == number]
        assert "".join(chunk.of(documents) for chunk in own) == document.text
        assert own[0].start == 0
        assert own[-1].end == len(document.text)
        assert all(a.end == b.start for a, b in pairwise(own))
    assert [chunk.document for chunk in chunks] == sorted(chunk.document for chunk in chunks)


@given(TEXTS, st.sampled_from([by_words, by_characters]), st.integers(16, 40))
def test_joined_chunks_are_the_document_and_none_is_too_long(text, spans, size):
    documents = [Document("a", text)]
    chunks = split(documents, size, spans)
    whole(chunks, documents)
    for chunk in chunks:
        assert len(spans([chunk.of(documents)])[0]) <= size
        assert chunk.tokens <= size


@given(TEXTS, st.integers(16, 40))
def test_a_real_tokenizer_cuts_without_loss(tiny_model, text, size):
    documents = [Document("a", text)]
    chunks = split(documents, size, tiny_model.token_spans)
    whole(chunks, documents)
    for chunk in chunks:
        assert chunk.tokens <= size
        chunk.of(documents).encode()


@pytest.mark.models
@given(text=TEXTS)
def test_the_retrievers_tokenizer_cuts_without_loss(encoder, text):
    documents = [Document("a", text)]
    whole(split(documents, 32, encoder.token_spans), documents)


def test_chunks_of_prose_hold_as_many_tokens_as_they_say(tiny_model, lighthouse):
    documents = [Document("a", lighthouse)]
    chunks = split(documents, 100, tiny_model.token_spans)
    whole(chunks, documents)
    for chunk in chunks:
        # Tokens may join across the seam of two sentences, never the other way round.
        assert chunk.tokens - 5 <= tiny_model.count_tokens(chunk.of(documents)) <= chunk.tokens
    assert sum(chunk.tokens for chunk in chunks) / len(chunks) > 60, "chunks are filled"


def test_chunks_end_where_sentences_end(lighthouse):
    documents = [Document("a", lighthouse)]
    for chunk in split(documents, 80, by_words):
        assert chunk.of(documents).rstrip()[-1] in '.!?"' or "\n" in chunk.of(documents)[-3:]


def test_a_chunk_is_filled_to_its_size_and_not_beyond():
    documents = [Document("a", "Word. " * 40)]
    chunks = split(documents, 16, by_words)
    whole(chunks, documents)
    assert [chunk.tokens for chunk in chunks] == [16, 16, 8]


def test_several_documents_share_no_chunk():
    documents = [Document("a", "One. Two. "), Document("b", "Three."), Document("c", CHINESE)]
    chunks = split(documents, 16, by_words)
    whole(chunks, documents)
    assert [chunk.of(documents) for chunk in chunks[:2]] == ["One. Two. ", "Three."]


def test_chinese_without_spaces_is_cut_after_its_sentences():
    documents = [Document("a", CHINESE * 20)]
    chunks = split(documents, 40, by_characters)
    whole(chunks, documents)
    assert len(chunks) >= 20
    assert {chunk.of(documents)[-1] for chunk in chunks} == {"。"}


def test_chinese_without_any_punctuation_is_cut_by_length():
    documents = [Document("a", "灯塔" * 500)]
    chunks = split(documents, 64, by_characters)
    whole(chunks, documents)
    assert {chunk.tokens for chunk in chunks[:-1]} == {64}


def test_a_sentence_longer_than_a_chunk_is_cut_between_tokens():
    text = " ".join(f"word{n}" for n in range(100))
    documents = [Document("a", text)]
    chunks = split(documents, 30, by_words)
    whole(chunks, documents)
    assert [chunk.tokens for chunk in chunks] == [30, 30, 30, 10]
    assert all(chunk.of(documents).startswith("word") for chunk in chunks)


@pytest.mark.parametrize("gap", [" " * 20_000, "\n" * 20_000, " \t\n" * 7000])
def test_a_gap_without_end_makes_no_chunk_of_its_own(gap):
    for text in (f"a{gap}b", f"{gap}a word", f"The end.{gap}"):
        documents = [Document("a", text)]
        chunks = split(documents, 32, by_words)
        whole(chunks, documents)
        assert all(chunk.of(documents).strip() for chunk in chunks)


@pytest.mark.parametrize("text", ["x" * 20_000, "See " + "QUJD" * 5000 + " there."])
def test_a_word_without_end_is_cut_though_it_is_one_token(text):
    documents = [Document("a", text)]
    chunks = split(documents, 32, by_words)
    whole(chunks, documents)
    assert max(chunk.end - chunk.start for chunk in chunks) <= 32 * 12
    assert max(chunk.tokens for chunk in chunks) <= 32


@given(TEXTS)
def test_sentences_cover_the_text(text):
    spans = list(sentences(text))
    assert "".join(text[a:b] for a, b in spans) == text
    assert all(a < b for a, b in spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two!  Three?", ["One. ", "Two!  ", "Three?"]),
        ('He said "go." Then he went.', ['He said "go." ', "Then he went."]),
        ("A heading\n\nA sentence.", ["A heading\n\n", "A sentence."]),
        ("灯塔很高。海很蓝！是吗？是。", ["灯塔很高。", "海很蓝！", "是吗？", "是。"]),
        ("他说：「走吧。」然后走了。", ["他说：「走吧。」", "然后走了。"]),
        ("It cost 3.5 pounds", ["It cost 3.5 pounds"]),
        ("\n\n  One.", ["\n\n  One."]),
        ("", []),
    ],
)
def test_a_sentence_ends_at_its_punctuation(text, expected):
    assert [text[a:b] for a, b in sentences(text)] == expected


@pytest.mark.parametrize("size", [15, 0, -1])
def test_a_chunk_size_too_small_is_refused(size):
    with pytest.raises(InputError, match="give 16 or more"):
        split([Document("a", "text")], size, by_words)


def test_splitting_can_be_stopped():
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        split([Document("a", "One. Two.")], 16, by_words, stop)


def test_a_long_text_is_split_in_time():
    import time

    documents = [Document("a", "A short sentence stands here. " * 40_000), Document("b", "x" * 400_000)]
    began = time.process_time()
    whole(split(documents, 256, by_words), documents)
    assert time.process_time() - began < 10


def test_a_chunk_ends_with_its_page_and_with_its_section_unless_it_would_be_tiny():
    title, body, page = "A title.\n\n", "The section goes on for six words. " * 2, "The next page begins here."
    text = title + "A heading.\n\n" + body + "Another heading.\n\n" + body + page
    starts = {name: text.index(name) for name in ("A heading", "Another heading", "The next page")}
    marks = (
        Mark(0, section="A title."),
        Mark(starts["A heading"], section="A heading."),
        Mark(starts["Another heading"], section="Another heading."),
        Mark(starts["The next page"], page=2),
    )
    documents = [Document("a", text, marks)]
    chunks = split(documents, 40, by_words)
    whole(chunks, documents)
    assert [chunk.start for chunk in chunks] == [0, starts["Another heading"], starts["The next page"]]
    assert len(split(documents, 100, by_words, across_marks=True)) == 1
