"""Beacon weights laid over a stock model: without beacons nothing changes, and what does not fit is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.beacon import Beacons
from engine.beacon_prefix import BeaconConfig
from engine.errors import ModelError
from tests.beacon_checkpoint import TEXT, WINDOW, change, copies, load_beacons, load_net, make_checkpoint, same


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("beacons"))


@pytest.fixture(scope="module")
def beacons(folder):
    return load_beacons(folder)


@pytest.mark.parametrize("kind", ["qwen2-qkvo", "llama-qkv"])
def test_without_beacons_the_model_is_the_stock_model(tmp_path, kind):
    folder = make_checkpoint(tmp_path, kind)
    net, stock = load_beacons(folder, shared=False).net, load_net(folder)
    ids = torch.tensor([TEXT[:30], TEXT[30:60]])
    with torch.inference_mode():
        assert torch.equal(net(input_ids=ids).logits, stock(input_ids=ids).logits)


@pytest.mark.parametrize("kind", ["qwen2-qkv", "mistral-qkvo"])
def test_no_layer_has_a_sliding_window_left(tmp_path, kind):
    folder = make_checkpoint(tmp_path, kind)
    assert load_net(folder).config.sliding_window == 4
    net = load_beacons(folder).net
    # Flash attention would apply a window that is set on a layer; the stock attention used here would not.
    assert net.config.sliding_window is None
    assert {layer.self_attn.sliding_window for layer in net.model.layers} == {None}


def test_one_thread_may_read_beacons_while_another_uses_the_plain_model(beacons):
    ids = torch.tensor([TEXT[:20]])

    def plain(_):
        with torch.inference_mode():
            return beacons.net(input_ids=ids).logits

    expected = plain(0)
    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(beacons.read, TEXT, block=4) for _ in range(2)]
        seen = [plain(0)]
        while not all(future.done() for future in reading):
            seen.append(plain(0))
    assert all(torch.equal(logits, expected) for logits in seen)
    assert same(copies(reading[0].result()), copies(reading[1].result()))


@pytest.mark.parametrize(
    "lost",
    [
        "model.beacon_embed_tokens.weight",
        "model.layers.1.self_attn.beacon_k_proj.weight",
        "model.layers.0.self_attn.beacon_v_proj.bias",
        "v_proj",
        "beacon",
    ],
)
def test_missing_beacon_weights_are_refused(tmp_path, lost):
    folder = make_checkpoint(tmp_path)
    change(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if lost in name])
    with pytest.raises(ModelError, match=r"lacks .* beacon tensors, 'model\."):
        load_beacons(folder)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.layers.0.mlp.beacon_up_proj.weight", (48, 32), "not known here"),
        ("model.layers.0.self_attn.beacon_q_proj.weight", (32, 16), "does not belong together"),
        ("model.beacon_embed_tokens.weight", (2, 32), "64 numbers"),
    ],
)
def test_beacon_weights_that_do_not_fit_are_refused(tmp_path, name, shape, message):
    folder = make_checkpoint(tmp_path)
    change(folder, lambda tensors: tensors.update({name: torch.zeros(shape)}))
    with pytest.raises(ModelError, match=message):
        load_beacons(folder)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    folder = make_checkpoint(tmp_path)
    net = load_net(folder)
    (folder / "model-beacons.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match=r"model-beacons\.safetensors"):
        Beacons.attach(net, folder, BeaconConfig(WINDOW, 4))


def test_a_rotary_embedding_that_was_not_tried_is_refused(tmp_path):
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 512}
    with pytest.raises(ModelError, match="'yarn'"):
        load_beacons(make_checkpoint(tmp_path, rope_parameters=yarn))


def test_a_family_that_was_not_tried_is_refused(folder, tiny_folder_of):
    with pytest.raises(ModelError, match="'qwen3'"):
        Beacons.attach(load_net(tiny_folder_of("qwen3")), folder, BeaconConfig(WINDOW, 4))
