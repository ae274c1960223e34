"""What memorising will cost: sizes near the true ones, times that add up, and a word where nobody can know."""

from __future__ import annotations

import pytest

from engine import Agent
from engine.forecast import forecast
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from tests.pipelines import filler

pytestmark = pytest.mark.models
TEXT = filler(0, 120)


def test_sizes_are_near_the_true_ones(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(TEXT, save_dir=tmp_path / "kept")
    held, told = pipeline.memorized, forecast(tiny, len(TEXT), TEXT[:5000])
    written = sum(path.stat().st_size for path in (tmp_path / "kept").iterdir())
    assert 0.8 < told.tokens / int(held.stats["context_tokens"]) < 1.25
    assert told.memory_tokens <= tiny.memorizer.budget
    assert 0.5 < told.disk_bytes / written < 2
    assert 0.5 < told.ram_bytes / held.nbytes < 2


def test_times_follow_each_other_and_grow_with_the_text(tiny):
    small, large = forecast(tiny, 10**6), forecast(tiny, 10**8)
    for told in (small, large):
        assert 0 < told.words_seconds < told.memory_seconds < told.vectors_seconds
    assert large.words_seconds == pytest.approx(100 * small.words_seconds)
    assert large.tokens == pytest.approx(100 * small.tokens, rel=1e-3)
    assert large.memory_tokens == small.memory_tokens == tiny.memorizer.budget


def test_a_short_text_is_remembered_whole(tiny_model, encoder):
    told = forecast(MemoRAG(tiny_model, encoder), 300)
    assert told.memory_tokens == told.tokens < 200
    assert forecast(MemoRAG(tiny_model, encoder), 10**7).memory_tokens == tiny_model.context_length


def test_how_long_a_model_writes_is_not_known_beforehand(tiny_model, encoder):
    assert forecast(MemoRAGLite(tiny_model, encoder, gist_mode="abstractive"), 10**6).memory_seconds is None


def test_nothing_is_sent_to_a_server_to_find_out(encoder):
    agent = Agent("some-model", "compatible", {"base_url": "http://127.0.0.1:9/v1"})
    told = forecast(MemoRAGLite(agent, encoder, gist_mode="extractive"), 10**6)
    assert told.vectors_seconds > told.memory_seconds > 0
