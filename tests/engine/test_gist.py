"""Gists: faithful sentences, or written ones, that never outgrow the memory's window however long the corpus."""

from __future__ import annotations

import copy
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.chunking import sentences
from engine.documents import Document
from engine.errors import Cancelled
from engine.events import Stop
from engine.gist import GIST_TOKENS, Gist, GistMaker, join
from engine.prompt import en_prompts


def embed(texts):
    """Unit vectors from the words of texts, so that like sentences are near each other."""
    vectors = np.zeros((len(texts), 256), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[row, hashlib.sha256(word.encode()).digest()[0]] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def maker(model, kind="extractive", embedding=embed) -> GistMaker:
    return GistMaker(kind, model, embedding, en_prompts)


def made(documents, model, budget=2048, **options) -> list[Gist]:
    return maker(model).make(documents, budget, **options)


@pytest.fixture
def documents(lighthouse):
    return [Document("a", lighthouse), Document("b", lighthouse.upper())]


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def test_every_sentence_of_an_extractive_gist_stands_in_the_text_in_its_order(documents, tiny_model):
    for gist in made(documents, tiny_model):
        source = documents[gist.document].text[gist.start : gist.end]
        known = [plain(source[a:b]) for a, b in sentences(source)]
        begin = 0
        rest = gist.text
        for sentence in known[begin:]:
            if rest.startswith(sentence):
                rest = rest[len(sentence) :].lstrip()
        assert rest == "", "the gist is sentences of the text, in their order, and nothing else"


def test_gists_keep_to_the_budget(documents, tiny_model):
    for budget in (64, 200, 1000, 3000):
        gists = made(documents, tiny_model, budget)
        assert gists
        counts = [sum(tiny_model.count_tokens(plain(text)) for text in _sentences(gist.text)) for gist in gists]
        assert max(counts) <= GIST_TOKENS
        assert sum(counts) <= budget


def _sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentences(text)]


def test_a_longer_corpus_gets_longer_stretches_not_more_gists(lighthouse, tiny_model):
    budget = 480
    for copies in (1, 8, 40):
        gists = made([Document("a", lighthouse * copies)], tiny_model, budget)
        assert 1 <= len(gists) * 48 <= budget
        assert gists[0].start == 0
        assert gists[-1].end == len(lighthouse) * copies


def test_every_document_has_a_stretch_even_where_there_are_many(tiny_model):
    documents = [Document(str(n), f"Document number {n} tells of the sea and the ships.") for n in range(30)]
    assert [gist.document for gist in made(documents, tiny_model, 900)] == list(range(30))


def test_a_sentence_that_comes_again_is_chosen_once(tiny_model):
    text = "The door is painted saffron yellow today. " * 12 + "A goat was the only companion of the keeper."
    (gist,) = made([Document("a", text)], tiny_model)
    assert gist.text == "The door is painted saffron yellow today. A goat was the only companion of the keeper."


def test_where_room_is_short_another_thing_is_said_rather_than_the_same_in_other_words(tiny_model):
    same = ["The door of the tower is painted yellow.", "The door of the tower is painted bright yellow."]
    other = "A goat was the only companion of the keeper of the tower."
    room = sum(map(tiny_model.count_tokens, (same[1], other))) + 2
    (gist,) = made([Document("a", " ".join([*same, other]))], tiny_model, room)
    assert other in gist.text
    assert sum(text in gist.text for text in same) == 1


def test_a_text_of_one_endless_sentence_still_has_a_gist(tiny_model):
    for text in ("lighthouse " * 3000, "灯塔" * 3000, "x" * 5000):
        gists = made([Document("a", text)], tiny_model, 256)
        assert gists
        assert 0 < sum(tiny_model.count_tokens(gist.text) for gist in gists) <= 256
        assert all(gist.text in plain(text) for gist in gists)


def test_short_lines_without_a_full_sentence_still_have_a_gist(tiny_model):
    (gist,) = made([Document("a", "Yes.\nNo.\n1893\n")], tiny_model)
    assert gist.text == "Yes. No. 1893"


def test_many_documents_with_little_room_each_still_have_gists(tiny_model, lighthouse):
    documents = [Document(str(n), lighthouse[n * 500 : n * 500 + 400]) for n in range(10)]
    gists = made(documents, tiny_model, 120)
    assert {gist.document for gist in gists} == set(range(10))
    assert sum(tiny_model.count_tokens(gist.text) for gist in gists) <= 120


def test_only_an_even_sample_of_a_huge_corpus_is_embedded(tiny_model):
    seen = []

    def counting(texts):
        seen.extend(texts)
        return embed(texts)

    text = " ".join(f"Sentence number {n} tells of the sea and of the ships." for n in range(6000))
    maker(tiny_model, embedding=counting).make([Document("a", text)], 2048)
    assert 2900 < len(seen) <= 4100
    assert any("number 59" in sentence for sentence in seen[-100:]), "the end is sampled too"


def test_of_a_long_corpus_a_sample_is_tokenised_and_its_gists_still_stand_for_all_of_it():
    class Counting(Brief):
        read = 0

        def token_spans(self, texts):
            self.read += sum(map(len, texts))
            return super().token_spans(texts)

    text = " ".join(f"Sentence number {n} tells of the sea and of the ships." for n in range(60_000))
    documents, writer = [Document("a", text), Document("b", text[:200_000]), Document("c", "Short.")], Counting()
    gists = maker(writer).make(documents, 960)
    assert writer.read < len(text) / 10
    assert counted(writer, gists) <= 960
    assert len(gists) <= 960 // 48
    assert (gists[0].start, [g.end for g in gists if g.document == 0][-1]) == (0, len(text))
    assert {gist.document for gist in gists} == {0, 1, 2}
    for gist in gists:
        assert all(plain(gist.text[a:b]) in documents[gist.document].text for a, b in sentences(gist.text))


def test_a_long_line_without_end_has_gists_in_time():
    for text in ("lighthouse " * 100_000, "灯塔" * 300_000, "x" * 600_000):
        gists = maker(Brief()).make([Document("a", text)], 256)
        assert gists
        assert sum(len(gist.text) for gist in gists) < 20_000
        assert gists[-1].end == len(text)


def test_written_gists_are_the_models_own_and_short(lighthouse, tiny_model):
    documents = [Document("a", lighthouse[:700]), Document("b", lighthouse[700:1400])]
    gists = maker(tiny_model, "abstractive").make(documents, 4000)
    assert [(gist.document, gist.start, gist.end) for gist in gists] == [(0, 0, 700), (1, 0, 700)]
    asked = [en_prompts.gist.replace("{context}", document.text) for document in documents]
    assert [gist.text for gist in gists] == tiny_model.generate(asked, GIST_TOKENS)


# Gists of gists


class Brief:
    """A writer for which words are tokens; it writes the first words of what it is given, and remembers all of it."""

    name, context_length = "brief", 1024

    def __init__(self, words: int = 40) -> None:
        self.words, self.given = words, []

    def count_tokens(self, text):
        return len(text.split())

    def token_spans(self, texts):
        return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]

    def generate(self, prompts, max_new_tokens=256, *, stop=None):
        self.given.extend(prompts)
        body = [prompt.split("<passage>\n", 1)[1].rsplit("\n</passage>", 1)[0] for prompt in prompts]
        return [" ".join(text.split()[: min(self.words, max_new_tokens)]) for text in body]


def counted(writer, gists) -> int:
    return sum(writer.count_tokens(gist.text) for gist in gists)


def test_gists_that_are_too_long_together_have_gists_of_their_own():
    text = " ".join(f"Sentence number {n} tells of the sea and of the ships of the year {n}." for n in range(3000))
    writer = Brief()
    gists = maker(writer, "abstractive").make([Document("a", text)], 300)
    assert counted(writer, gists) <= 300
    assert max(writer.count_tokens(prompt) for prompt in writer.given) <= writer.context_length, "each is read whole"
    first_pass = [prompt for prompt in writer.given if "number 2999 " in prompt]
    assert first_pass, "the end of the text is read as well as its beginning"
    assert any(
        prompt.count("Sentence number") < 40 and "\n\nSentence" in prompt.partition("<passage>")[2]
        for prompt in writer.given
    )
    assert (gists[0].start, gists[-1].end) == (0, len(text)), "gists of gists stand for the whole text"


def test_of_a_text_too_long_to_be_read_whole_a_model_is_given_sentences_from_all_over():
    text = " ".join(f"Sentence number {n} tells of the sea and of the ships of the year {n}." for n in range(20_000))
    writer, documents = Brief(), [Document("a", text), Document("b", "The last document is a short one, and read.")]
    gists = maker(writer, "abstractive").make(documents, 300)
    assert counted(writer, gists) <= 300
    assert max(writer.count_tokens(prompt) for prompt in writer.given) <= writer.context_length
    assert len(writer.given) < 256 + 100, "each stretch is read once, and then gists of gists are written"
    assert sum(map(len, writer.given)) < len(text) / 2
    read = [int(number) for prompt in writer.given for number in re.findall(r"number (\d+) tells", prompt)]
    assert max(b - a for a, b in pairwise(sorted(set(read)))) < 1000
    assert {gist.document for gist in gists} == {0, 1}
    assert (gists[0].start, [g.end for g in gists if g.document == 0][-1]) == (0, len(text))


def test_a_model_that_will_not_be_brief_is_cut_short():
    class Verbose(Brief):
        def generate(self, prompts, max_new_tokens=256, *, stop=None):
            return [f"{' '.join(f'word{n}' for n in range(max_new_tokens))}." for _ in prompts]

    text = " ".join(f"Sentence number {n} tells of the sea and of the ships." for n in range(3000))
    gists = maker(Verbose(), "abstractive").make([Document("a", text)], 100)
    assert gists
    assert counted(Verbose(), gists) <= 100


@pytest.mark.parametrize("budget", [120, 200, 500])
def test_chosen_gists_are_condensed_to_their_best_sentences(documents, tiny_model, budget):
    gists = made(documents, tiny_model, 1500)
    shorter = maker(tiny_model).condense(gists, budget)
    assert 0 < counted(tiny_model, shorter) <= budget
    assert {gist.document for gist in shorter} == {0, 1}, "each document keeps a gist"
    known = {plain(gist.text[a:b]) for gist in gists for a, b in sentences(gist.text)}
    assert {plain(gist.text[a:b]) for gist in shorter for a, b in sentences(gist.text)} <= known
    for gist in shorter:
        covered = [g for g in gists if g.document == gist.document and gist.start <= g.start and g.end <= gist.end]
        assert any(plain(gist.text[:30]) in plain(g.text) for g in covered), "the place covers what it was made from"


def test_documents_share_the_memory_by_their_length_whenever_they_were_added(tiny_model):
    text = " ".join(f"Sentence number {n} tells of the sea, of the ships and of the year {n}." for n in range(400))
    make, gists = maker(tiny_model), []
    for number in range(6):
        new = [replace(gist, document=number) for gist in make.make([Document("a", text)], 900 // (number + 1))]
        gists = make.condense([*gists, *new], 900)
    sizes = [counted(tiny_model, [gist for gist in gists if gist.document == n]) for n in range(6)]
    assert sum(sizes) <= 900
    assert min(sizes) > 0.5 * max(sizes), "the first is not starved by those that came later"
    assert len([gist for gist in gists if gist.document == 0]) > 1, "a gist still tells its place"


def test_a_model_that_writes_nothing_has_sentences_chosen_for_it(tiny_model):
    silent = copy.copy(tiny_model)
    silent.decoder = replace(tiny_model.decoder, end_ids=frozenset(range(len(tiny_model.tokenizer))))
    text = (
        "The first keeper was Isolde Marrick, the widow of a pilot. "
        + " \n" * 30_000
        + "The door is saffron yellow now."
    )
    gists = maker(silent, "abstractive").make([Document("a", text)], 600)
    assert "Isolde Marrick" in join(gists)
    assert "saffron" in join(gists)


def test_gists_that_fit_stay_as_they_are(documents, tiny_model):
    gists = made(documents, tiny_model, 500)
    assert maker(tiny_model).condense(gists, 600) == gists
    assert maker(tiny_model).condense([], 600) == []


def test_gists_are_read_apart():
    assert join([Gist(0, 0, 5, "One."), Gist(0, 5, 9, "Two.")]) == "One.\n\nTwo."
    assert join([]) == ""


def test_progress_counts_the_stretches(documents, tiny_model):
    seen = []
    made(documents, tiny_model, on_progress=seen.append)
    assert [event.done for event in seen] == list(range(1, seen[0].total + 1))
    assert {event.stage for event in seen} == {"choosing gists"}


def test_choosing_and_writing_can_be_stopped(documents, tiny_model):
    stop, seen = Stop(), []

    def on_progress(event):
        seen.append(event)
        stop.set()

    with pytest.raises(Cancelled):
        made(documents, tiny_model, on_progress=on_progress, stop=stop)
    assert len(seen) == 1
    with pytest.raises(Cancelled):
        maker(tiny_model, "abstractive").make([Document("a", documents[0].text[:700])], 200, stop=stop)


@pytest.mark.parametrize("kind", ["extractive", "abstractive"])
def test_work_on_a_long_text_can_be_stopped_before_it_is_read(kind):
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        maker(Brief(), kind).make([Document("a", "A short sentence stands here. " * 40_000)], 480, stop=stop)


@pytest.mark.models
def test_real_gists_name_what_the_text_is_about(engine_models, lighthouse):
    model, encoder = engine_models
    documents = [Document("a", lighthouse)]
    text = join(maker(model, embedding=encoder.encode).make(documents, 400))
    assert model.count_tokens(text) <= 420
    assert sum(word in text for word in ("lamp", "tower", "keeper", "island", "light")) >= 3
