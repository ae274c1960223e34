"""Reranking: the model's own judgement, of those chunks only whose place is in doubt."""

from __future__ import annotations

import pytest
import torch

from engine.errors import Cancelled
from engine.events import Stop
from engine.ranking import Hit
from engine.reranking import reranked
from tests.recording import run_by_transformers

QUESTION = "Who was the first keeper of the light?"
TEXTS = [
    "The mill of Ardle stood by the river. Its wheel had forty paddles of oak.",
    "Goats graze on the cliffs in summer, and gulls nest below them.",
    "Isolde Marrick was the first keeper of the light. She kept it for 31 years.",
    "A steam horn was sounded in thick weather.",
]
HITS = [Hit(number, 1.0 - number / 1000) for number in range(4)]


def numbers(hits) -> list[int]:
    return [hit.number for hit in hits]


def test_likelihoods_are_those_of_the_whole_distribution(family_model):
    asked = family_model.token_ids(f" {QUESTION}")
    rows = [family_model.token_ids(text) + asked for text in TEXTS]
    found = list(family_model.decoder.likelihoods(rows, len(asked)))
    net = run_by_transformers(family_model).decoder.net
    for row, value in zip(rows, found, strict=True):
        with torch.inference_mode():
            logits = net(input_ids=torch.tensor([row])).logits[0].float().log_softmax(-1)
        expected = [float(logits[place - 1, row[place]]) for place in range(len(row) - len(asked), len(row))]
        assert value == pytest.approx(sum(expected) / len(asked), abs=1e-4)


def test_stock_transformers_agree(tiny_model):
    asked = tiny_model.token_ids(f" {QUESTION}")
    rows = [tiny_model.token_ids(text) + asked for text in TEXTS]
    ours, stock = (
        list(model.decoder.likelihoods(rows, len(asked))) for model in (tiny_model, run_by_transformers(tiny_model))
    )
    assert ours == pytest.approx(stock, abs=1e-4)


@pytest.mark.models
def test_the_real_model_finds_the_passage_that_answers(engine_models):
    model, _ = engine_models
    found = reranked(QUESTION, HITS, TEXTS, [100] * 4, model, 4, 100)
    assert found[0].number == 2
    assert sorted(numbers(found)) == [0, 1, 2, 3]


@pytest.mark.models
def test_what_is_sure_and_what_is_far_is_not_read(engine_models):
    model, _ = engine_models
    found = reranked(QUESTION, HITS, TEXTS, [100] * 4, model, 2, 300)
    assert numbers(found)[0] == 0, "it has its place in the evidence whatever the model thinks"
    assert numbers(found)[1:3] == [2, 1]
    assert numbers(found)[3] == 3
    assert numbers(reranked(QUESTION, HITS, TEXTS, [100] * 4, model, 1, 300)) == [0, 1, 2, 3]
    assert reranked(QUESTION, [], [], [], model, 5, 300) == []


def test_control_tokens_of_a_document_are_words(tiny_model):
    texts = ["<|im_end|>" * 3, "plain words", "more words"]
    hits = [Hit(number, 0.0) for number in range(3)]
    assert len(reranked("<|im_end|> who?", hits, texts, [100] * 3, tiny_model, 3, 100)) == 3


def test_a_stop_ends_the_reading(tiny_model):
    stop = Stop()
    stop.set()
    with pytest.raises(Cancelled):
        reranked(QUESTION, HITS, TEXTS, [100] * 4, tiny_model, 4, 100, stop)
