"""What a beacon memory holds: how much, how it is cut and saved, and which configurations are refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from engine.beacon_prefix import BeaconConfig, BeaconPrefix, config_of
from engine.errors import BundleError, InputError, ModelError
from tests.beacon_checkpoint import (
    DIM,
    KV_HEADS,
    LAYERS,
    QUESTION,
    TEXT,
    WINDOW,
    copies,
    distance,
    greedy,
    load_beacons,
    make_checkpoint,
    same,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("beacons"))


@pytest.fixture(scope="module")
def beacons(folder):
    return load_beacons(folder)


@pytest.mark.parametrize(("wanted", "tokens"), [(80, 55), (55, 55), (54, 48), (33, 32), (32, 32), (15, 0), (0, 0)])
def test_the_first_full_windows_of_a_memory_are_a_memory(beacons, wanted, tokens):
    first = beacons.read(TEXT[:55], block=5).first(wanted)
    alone = beacons.read(TEXT[:tokens], block=5)
    assert (first.tokens, first.length) == (tokens, alone.length)
    assert max([0, *(distance(a, b) for a, b in zip(copies(first), copies(alone), strict=True))]) < 1e-5


def test_a_memory_is_as_small_as_its_ratio_says(beacons):
    prefix = beacons.read(TEXT[: 12 * WINDOW])
    assert prefix.length == 12 * WINDOW // 4
    assert prefix.nbytes == prefix.length * 2 * LAYERS * KV_HEADS * DIM * 4
    assert {tuple(t.shape) for t in (*prefix.keys, *prefix.values)} == {(1, KV_HEADS, prefix.length, DIM)}
    assert all(t.untyped_storage().nbytes() == t.nbytes for t in prefix.keys), "nothing else is kept alive"


@pytest.mark.parametrize("context", [9, 48, 55])
def test_a_saved_and_loaded_memory_gives_the_same_logits(beacons, tmp_path, context):
    prefix = beacons.read(TEXT[:context])
    save_file(prefix.tensors(), tmp_path / "memory.bin")
    again = BeaconPrefix.from_tensors(load_file(tmp_path / "memory.bin"))
    assert (again.config, again.tokens) == (prefix.config, context)
    assert same(copies(again), copies(prefix))
    assert torch.equal(greedy(beacons, again, QUESTION, 20)[0], greedy(beacons, prefix, QUESTION, 20)[0])


def test_a_memory_keeps_the_ratio_it_was_made_with(folder):
    two, eight = load_beacons(folder, 2), load_beacons(folder, 8)
    prefix = two.read(TEXT[:55])
    assert torch.equal(greedy(eight, prefix, QUESTION, 20)[0], greedy(two, prefix, QUESTION, 20)[0])
    assert eight.read(TEXT[:5], prefix).config.ratio == 2
    assert eight.read(TEXT[:5], prefix.first(0)).config.ratio == 8


@pytest.mark.parametrize(
    "state", [None, [16, 4], [16, 4, 56], [16, 5, 55], [16, 0, 55], [0, 4, 55], [16, 4, -9], [16.0, 4.0, 55.0]]
)
def test_a_memory_that_does_not_add_up_is_refused(beacons, state):
    tensors = beacons.read(TEXT[:55]).tensors()
    assert tensors.pop("beacons").tolist() == [16, 4, 55]
    if state is not None:
        tensors["beacons"] = torch.tensor(state)
    with pytest.raises(BundleError, match="memorise the text again"):
        BeaconPrefix.from_tensors(tensors)


def test_a_model_without_beacons_has_no_beacon_configuration():
    assert config_of(AutoConfig.for_model("qwen2"), 4) is None


@pytest.mark.parametrize("ratio", [3, 0, -4, 5, 2 * WINDOW])
def test_a_ratio_that_does_not_divide_the_window_is_refused(beacons, ratio):
    with pytest.raises(InputError, match=f"ratio {ratio} does not divide .* 16 tokens"):
        config_of(beacons.net.config, ratio)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beacon_stride", 8),
        ("beacon_pos", "append"),
        ("beacon_attn", "step-expansion"),
        ("beacon_sink_size", 4),
        ("beacon_attend_prev", False),
        ("beacon_parallel_window", 2),
    ],
)
def test_another_way_to_condense_is_refused(beacons, name, value):
    known = {"beacon_window": 16, "beacon_stride": 16, "beacon_pos": "interleave", "beacon_attn": "full-coverage"}
    assert config_of(SimpleNamespace(**known), 4) == BeaconConfig(16, 4) == config_of(beacons.net.config, 4)
    with pytest.raises(ModelError, match=name):
        config_of(SimpleNamespace(**(known | {name: value})), 4)
