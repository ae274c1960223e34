"""Chunks: joined they are the document, none is too long, and they end where sentences end."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chunking import LONGEST_SENTENCE, Chunk, sentences, split
from engine.documents import Document, Mark
from engine.errors import Cancelled, InputError
from engine.events import Stop
from tests.stopping import seconds_to_stop

CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
ALPHABET = st.sampled_from(list("abcABC12 .!?\"')]\n\t,;-") + list("灯塔海。！？；」é🙂\u0301\u200d"))
TEXTS = st.text(ALPHABET, min_size=1, max_size=400)


def by_words(texts):
    """Every word is a token."""
    return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]


def by_characters(texts):
    """Every character is a token, white space too."""
    return [[(i, i + 1) for i in range(len(text))] for text in texts]


def counts_of(spans):
    """How many tokens texts have, as ``spans`` finds them."""
    return lambda texts: [len(found) for found in spans(texts)]


# What ends a sentence, said in the plain way that takes ten times as long.
PLAIN_END = re.compile(
    r"(?:(?<!\b[A-Z])(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bNo)\.|[!?])['\"\u2019\u201d)\]]*\s+"
    r"|[\u3002\uff01\uff1f\uff1b]['\"\u2019\u201d\u300d\u300f]*\s*|\n\s*"
)


def plain_sentences(text):
    begin = 0
    for match in PLAIN_END.finditer(text):
        if text[begin : match.end()].strip():
            yield begin, match.end()
            begin = match.end()
    if begin < len(text):
        yield begin, len(text)


def plain_starts(tokens, sentence):
    starts = [begin for begin, _ in tokens]
    if len(sentence) <= 12 * len(starts):
        return starts
    cuts = []
    for a, b in pairwise([0, *starts[1:], len(sentence)]):
        begin, end = b - len(sentence[a:b].lstrip()), a + len(sentence[a:b].rstrip())
        cuts += [a, *range(begin + 6, end, 6)] if begin < end else ()
    return cuts


def plain_chunks(text, size, spans):
    """Chunks of one text as (start, end, tokens), made with the places of all tokens, sentence by sentence."""
    pieces = []
    for start, end in plain_sentences(text):
        starts = plain_starts(spans([text[start:end]])[0], text[start:end])
        edges = [start, *(start + cut for cut in starts[size::size]), end]
        pieces += [(a, b, min(size, len(starts) - i * size)) for i, (a, b) in enumerate(pairwise(edges))]
    chunks, begin, last, used = [], 0, 0, 0
    for start, end, tokens in pieces:
        if used and used + tokens > size:
            chunks.append((begin, last, used))
            begin, used = start, 0
        last, used = end, used + tokens
    return [*chunks, (begin, last, used)] if last > begin else chunks


def places(chunks):
    return [(chunk.start, chunk.end, chunk.tokens) for chunk in chunks]


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


CODE = "def f(a, b):\n    return a.b[0] if a else {'k': [b, ...]}  # x\n\n\n" * 30
KINDS = {
    "code": CODE,
    "chinese": CHINESE * 20,
    "no space": "QUJDREVG" * 900,
    "white space": "  \n\t " * 900,
    "a gap": "The end." + " " * 900 + "No. 5 of St. Mary vs. Mr. T. M. Riddle. He said (so.) Then went!",
    "endless words": " ".join("x" * n for n in range(1, 190)),
    "table": "| 1.5 | 2,000 | n/a |\n" * 60,
    "names": "Dr. A. B. Cee met Mrs. D. E. Eff. “Go.” ‘Why?’ [No.] It is 3.5. No! ",
}


@given(TEXTS, st.sampled_from([by_words, by_characters]), st.integers(16, 40))
def test_counting_tokens_first_makes_the_chunks_that_placing_all_of_them_makes(text, spans, size):
    documents, expected = [Document("a", text)], plain_chunks(text, size, spans)
    assert places(split(documents, size, spans)) == expected
    assert places(split(documents, size, spans, token_counts=counts_of(spans))) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_of_every_kind_of_text_are_those_of_the_plain_way(kind, tiny_model):
    for spans in (by_words, by_characters, tiny_model.token_spans):
        expected = plain_chunks(KINDS[kind], 32, spans)
        for counts in (None, counts_of(spans)):
            assert places(split([Document("a", KINDS[kind])], 32, spans, token_counts=counts)) == expected


@pytest.mark.models
def test_the_retrievers_chunks_are_those_of_the_plain_way(encoder, lighthouse):
    for text in (lighthouse, *KINDS.values()):
        chunks = split([Document("a", text)], 96, encoder.token_spans, token_counts=encoder.token_counts)
        assert places(chunks) == plain_chunks(text, 96, encoder.token_spans)


def test_only_long_sentences_are_asked_for_the_places_of_their_tokens(lighthouse):
    asked = []

    def spans(texts):
        asked.extend(texts)
        return by_words(texts)

    long = "word " * 200
    split([Document("a", lighthouse + long)], 100, spans, token_counts=counts_of(by_words))
    assert asked == [long]


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


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "灯塔" * 150_000, "a line goes on " * 20_000, "!" * 300_000, "'" * 300_000]
)
def test_a_line_without_end_is_read_in_short_steps(text):
    longest = []

    def spans(texts):
        longest.append(max(map(len, texts)))
        assert sum(map(len, texts)) < 5 * LONGEST_SENTENCE
        return by_characters(texts)

    documents = [Document("a", text)]
    chunks = split(documents, 64, spans)
    whole(chunks, documents)
    assert 0 < max(longest) <= LONGEST_SENTENCE
    assert sum(chunk.tokens for chunk in chunks) == len(text)


def test_a_sentence_without_end_is_cut_at_a_space():
    text = "a line goes on and " * 5000
    spans = list(sentences(text))
    assert len(spans) == 5
    assert all(text[b - 1] == " " for _, b in spans)
    assert max(b - a for a, b in spans) <= LONGEST_SENTENCE


def test_a_sentence_may_be_long_and_its_white_space_longer():
    first, second = "word " * 3900 + "end.", "Another." + " " * 100_000
    text = f"{first}\n{' ' * 50_000}{second}\n\nLast."
    spans = list(sentences(text))
    assert [text[a:b].strip() for a, b in spans if text[a:b].strip()] == [first, second.strip(), "Last."]
    assert max(b - a for a, b in spans) <= LONGEST_SENTENCE


@given(TEXTS)
def test_sentences_are_those_of_the_plain_way_and_cover_the_text(text):
    spans = list(sentences(text))
    assert spans == list(plain_sentences(text))
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


def test_splitting_a_line_without_end_is_stopped_at_once():
    documents, counts = [Document("a", "x y" * 20_000_000)], counts_of(by_words)
    assert seconds_to_stop(lambda stop: split(documents, 64, by_words, stop, token_counts=counts)) < 3


def test_progress_counts_the_characters_of_all_documents(lighthouse):
    seen, documents = [], [Document("a", lighthouse * 150), Document("b", ""), Document("c", lighthouse)]
    split(documents, 100, by_words, on_progress=seen.append)
    total = 151 * len(lighthouse)
    assert {(event.stage, event.total) for event in seen} == {("splitting", total)}
    done = [event.done for event in seen]
    assert len(done) > 3
    assert done == sorted(set(done))
    assert done[-1] == total


def test_a_long_text_is_split_in_time():
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
