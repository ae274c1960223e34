"""Hardware: what this machine can do, and why; what it lacks is refused."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace

import pytest
import torch

from engine.errors import InputError
from engine.hardware import DEVICES, FLASH_ATTENTION, SDPA, detect


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_cpu_can_always_be_asked_for():
    found = detect("cpu")
    assert found.device == "cpu"
    assert found.attention == SDPA
    assert found.dtype in ("bfloat16", "float32")
    assert found.quantization_config() is None
    assert found.threads == os.cpu_count()


def test_every_decision_has_its_reason():
    found = detect("cpu", threads=2)
    assert len(found.reasons) == 4
    assert str(found) == "; ".join(found.reasons)
    assert found.dtype in str(found)
    assert "2 CPU threads" in str(found)


@pytest.mark.parametrize("count", [1, 2])
def test_the_thread_count_is_set(count):
    assert detect("cpu", threads=count).threads == count
    assert torch.get_num_threads() == count


@pytest.mark.parametrize("device", sorted({*DEVICES, "tpu", ""} - {"auto", "cpu"}))
def test_a_device_that_is_not_there_is_refused(device):
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if present.get(device):
        assert detect(device).device == device
        return
    with pytest.raises(InputError, match=f"{device!r} is not available on this machine; use 'auto' or 'cpu'"):
        detect(device)


def test_auto_says_why_it_chose():
    found = detect()
    if found.device == "cpu":
        assert "because no GPU was found" in found.reasons[0]
    assert found.device in DEVICES


def test_four_bits_without_their_package_are_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="bitsandbytes"):
        detect("cpu", load_in_4bit=True)


def test_four_bits_have_a_configuration():
    config = replace(detect("cpu"), four_bit=True, dtype="bfloat16").quantization_config()
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_compute_dtype is torch.bfloat16


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_a_dtype_is_named_as_torch_names_it(name):
    assert replace(detect("cpu"), dtype=name).torch_dtype is getattr(torch, name)


def test_flash_attention_is_never_chosen_without_a_gpu():
    assert detect("cpu", enable_flash_attn=True).attention != FLASH_ATTENTION


def test_blocks_on_a_cpu_are_small_enough_to_be_stopped_soon():
    assert 64 <= detect("cpu").prefill_block <= 256
