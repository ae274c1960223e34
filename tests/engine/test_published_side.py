"""The benchmark's reference side does what the published algorithm does; checked on a tiny model in float32."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from tests.benchmarks.published import Limits, Published

LIMITS = Limits(stretch=400, gist=24, clue=12, answer=10, passage=64, hits=2)
QUESTION = "Who was the first keeper of the light?"


@pytest.fixture(scope="module")
def published(tiny_model_dir, encoder, lighthouse) -> Published:
    side = Published(str(tiny_model_dir), limits=LIMITS, dtype=torch.float32)
    side.memorise(lighthouse)
    return side


@torch.inference_mode()
def greedy(side: Published, ids: list[int], limit: int, penalty: float = 1.0) -> list[int]:
    """The likeliest token again and again, with nothing kept between two of them."""
    new: list[int] = []
    while len(new) < limit and side.tokenizer.eos_token_id not in new:
        logits = side.net(input_ids=torch.tensor([ids + new])).logits[0, -1]
        seen = torch.tensor(sorted({*ids, *new}))
        logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        new.append(int(logits.argmax()))
    return new


def test_every_stretch_has_a_greedy_gist_of_its_own_with_a_penalty_for_repetition(published, lighthouse):
    ids = published.tokenizer(lighthouse, add_special_tokens=False)["input_ids"]
    stretches = published.stretches(lighthouse)
    assert len(published.gists) == len(stretches) == -(-len(ids) // LIMITS.stretch) > 1
    assert "".join(stretches) == lighthouse
    asked = published.chat([("user", published.prompts.gist.format(context=stretches[1]))])
    assert published.gists[1] == published.words(greedy(published, asked, LIMITS.gist, penalty=1.2))
    assert published.gists[1] != published.words(greedy(published, asked, LIMITS.gist))


def test_asking_the_memory_is_reading_the_whole_conversation_and_leaves_the_memory_as_it_was(published):
    before = copy.deepcopy(published.memory)
    instruction = published.prompts.span.format(question=QUESTION)
    conversation = published.chat([*published.conversation, ("user", instruction)])
    assert conversation[: published.tokens] == published.chat(published.conversation, answering=False)
    assert published.recall(QUESTION) == greedy(published, conversation, LIMITS.clue)
    for layer, was in zip(published.memory.layers, before.layers, strict=True):
        assert torch.equal(layer.keys, was.keys) and torch.equal(layer.values, was.values)


def test_all_that_any_clue_line_finds_comes_in_the_order_of_the_text(published):
    lines = ["the last keeper", "the colour of the door"]
    each = [published.search([line]) for line in lines]
    assert all(len(found) == LIMITS.hits for found in each)
    assert published.search(lines) == sorted({*each[0], *each[1]})
    assert any("saffron" in published.passages[number] for number in each[1])


def test_an_answer_is_as_long_as_it_is_wanted(published):
    asked = published.ask(QUESTION, exactly=17)
    assert asked.answer_tokens == 17
    assert 0 < asked.first_token < asked.total


def test_equal_work_lets_nothing_end_before_its_limit(published, monkeypatch):
    monkeypatch.setattr(published.net.generation_config, "eos_token_id", published.recall(QUESTION)[2])
    assert len(published.recall(QUESTION)) < LIMITS.clue
    monkeypatch.setattr(published, "limits", replace(LIMITS, exact=True))
    assert len(published.recall(QUESTION)) == LIMITS.clue


def test_a_saved_memory_recalls_the_same(published, tmp_path):
    recalled, size = published.recall(QUESTION), published.nbytes
    published.save(tmp_path)
    published.load(tmp_path)
    assert published.recall(QUESTION) == recalled
    assert published.nbytes == size
