"""Gists: faithful sentences, or written ones, that never outgrow the memory's window however long the corpus."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from engine.chunking import Chunk, sentences
from engine.documents import Document
from engine.errors import Cancelled
from engine.events import Stop
from engine.gist import GIST_TOKENS, Gist, abstractive, extractive, join, stretches
from engine.prompt import en_prompts


def embed(texts):
    """Unit vectors from the words of texts, so that like sentences are near each other."""
    vectors = np.zeros((len(texts), 256), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[row, hashlib.sha256(word.encode()).digest()[0]] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def made(documents, model, budget=2048, **options) -> list[Gist]:
    return extractive(documents, stretches(documents, model, budget), embed, model, budget, **options)


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
        documents = [Document("a", lighthouse * copies)]
        parts = stretches(documents, tiny_model, budget)
        assert len(parts) * 48 <= budget
        assert "".join(part.of(documents) for part in parts) == documents[0].text


def test_every_document_has_a_stretch_even_where_there_are_many(tiny_model):
    documents = [Document(str(n), f"Document number {n} tells of the sea and the ships.") for n in range(30)]
    parts = stretches(documents, tiny_model, 100)
    assert [part.document for part in parts] == list(range(30))


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
    documents = [Document("a", text)]
    extractive(documents, stretches(documents, tiny_model, 2048), counting, tiny_model, 2048)
    assert 2900 < len(seen) <= 4100
    assert any("number 59" in sentence for sentence in seen[-100:]), "the end is sampled too"


def test_written_gists_are_the_models_own_and_short(documents, tiny_model):
    parts = stretches(documents, tiny_model, 2048)[:3]
    short = [Chunk(part.document, part.start, part.start + 300, part.tokens) for part in parts]
    gists = abstractive(documents, short, tiny_model, en_prompts, 3 * 48)
    assert [(gist.document, gist.start) for gist in gists] == [(part.document, part.start) for part in short]
    asked = en_prompts.gist.replace("{context}", short[0].of(documents))
    assert gists[0].text == tiny_model.generate(asked, 48)[0]


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
        abstractive(documents, [Chunk(0, 0, 300, 80)], tiny_model, en_prompts, 48, stop=stop)
    with pytest.raises(Cancelled):
        stretches(documents, tiny_model, 2048, stop)


@pytest.mark.models
def test_real_gists_name_what_the_text_is_about(engine_models, lighthouse):
    model, encoder = engine_models
    documents = [Document("a", lighthouse)]
    parts = stretches(documents, model, 400)
    text = join(extractive(documents, parts, encoder.encode, model, 400))
    assert model.count_tokens(text) <= 420
    assert sum(word in text for word in ("lamp", "tower", "keeper", "island", "light")) >= 3
