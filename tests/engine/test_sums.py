"""The checksums of model files: computed once, ahead of time where that can be."""

from __future__ import annotations

import hashlib

import pytest

from engine import hub
from engine.settings import default_cache_dir


def test_a_file_of_several_blocks_has_its_own_sum_and_a_changed_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_BLOCK", 1000)
    for size in (0, 999, 1000, 1001, 5003):
        for shift in (0, 1):
            content = bytes((number + shift) % 251 for number in range(size))
            (tmp_path / "file").write_bytes(content)
            assert hub._sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_sums_that_were_computed_ahead_are_not_computed_again(engine_models, monkeypatch):
    hub.look_ahead("auto", "auto", default_cache_dir())
    monkeypatch.setattr(hub.hashlib, "sha256", lambda *_: pytest.fail("a file is read once more"))
    for name in (hub.SMOLLM2, hub.MINILM):
        assert (hub.locate(name) / "model.safetensors").is_file()


def test_looking_ahead_minds_neither_models_that_are_not_here_nor_those_of_others(tmp_path):
    hub.look_ahead("auto", "someone/model", tmp_path)
    hub.look_ahead(str(tmp_path), hub.SMOLLM2, tmp_path)
    assert list(tmp_path.iterdir()) == []
