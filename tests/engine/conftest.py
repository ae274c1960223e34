"""Pipelines over tiny models, for tests of everything but the models' words."""

from __future__ import annotations

import pytest

from engine.memorag_lite import MemoRAGLite
from tests.pipelines import SHORT, Scripted


@pytest.fixture(scope="module")
def tiny(tiny_model, encoder):
    """A pipeline whose memory and generator is a tiny random model, with a short text memorised."""
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(SHORT)
    return pipeline


@pytest.fixture
def scripted(tiny):
    generator = Scripted()
    return tiny.with_generator(generator), generator


@pytest.fixture
def bundle(tiny, tmp_path):
    tiny.save(tmp_path / "bundle")
    return tmp_path / "bundle"
