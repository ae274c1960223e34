"""Continuing from a shared prefix gives the numbers that reading everything anew gives.

The reference is the stock model of transformers, without cache, padding or prefix: one row, one plain forward pass.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from engine import kv
from engine.forward import Forward
from engine.model import Model
from engine.prefix import EMPTY, Prefix
from engine.sampling import Sampling
from tests.recording import prefill, run_by_transformers

STEPS = 10
PREFIX = "The tower was begun in 1867, after the harbour council found an engineer who was willing to live on the rock."
ROWS = (
    " Who?",
    " The stair winds to the left, which was said to be unlucky, and the masons refused to finish it until then.",
    " Keeper",
)


def stock(folder: str) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.inference_mode()
def plain_logits(net: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    return net(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


@torch.inference_mode()
def plain_greedy(net: torch.nn.Module, ids: list[int], steps: int = STEPS) -> list[int]:
    ids, begin = list(ids), len(ids)
    for _ in range(steps):
        ids.append(int(plain_logits(net, ids).argmax()))
    return ids[begin:]


@torch.inference_mode()
def logits_of(model: Model, rows: list[list[int]], prefix: Prefix) -> torch.Tensor:
    """The logits after left-padded rows, as generation computes them."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return prefill(model.decoder, ids, mask, model.decoder.forward.tail(prefix, len(rows), longest))


def greedy(model: Model, rows: list[list[int]], prefix: Prefix, steps: int = STEPS) -> list[list[int]]:
    made = list(model.decoder.steps(rows, Sampling(steps), prefix))
    return [list(row) for row in zip(*made, strict=True)]


def endless(model: Model, block: int | None = None) -> Model:
    """The same model, which never ends early, and reads in blocks of another size."""
    twin = copy.copy(model)
    twin.decoder = replace(model.decoder, end_ids=frozenset(), block=block or model.decoder.block)
    return twin


@pytest.fixture(scope="module")
def reference(family_model):
    return stock(str(family_model.folder))


@pytest.fixture(scope="module", params=["ours", "shared", "joined"])
def model(request, family_model, hardware32):
    """Our own forward pass, that of transformers with a shared prefix, or one whose attention cannot share it."""
    if request.param != "joined":
        assert family_model.decoder.shares_prefix
        assert isinstance(family_model.decoder.forward, Forward)
        return endless(family_model if request.param == "ours" else run_by_transformers(family_model))
    joined = Model(str(family_model.folder), hardware=replace(hardware32, attention="eager"))
    assert not joined.decoder.shares_prefix
    return endless(joined)


def ids_of(model: Model) -> tuple[list[int], list[list[int]]]:
    return model.token_ids(PREFIX), [model.token_ids(row) for row in ROWS]


def test_a_batch_after_a_prefix_has_the_logits_of_the_whole_text(model, reference):
    past, rows = ids_of(model)
    found = logits_of(model, rows, model.read(past))
    for logits, row in zip(found, rows, strict=True):
        torch.testing.assert_close(logits, plain_logits(reference, past + row), atol=1e-4, rtol=0)


def test_a_batch_after_a_prefix_goes_on_as_the_whole_text_does(model, reference):
    past, rows = ids_of(model)
    assert greedy(model, rows, model.read(past)) == [plain_greedy(reference, past + row) for row in rows]


def test_a_batch_without_prefix_goes_on_as_each_row_does(model, reference):
    _, rows = ids_of(model)
    assert greedy(model, rows, EMPTY) == [plain_greedy(reference, row) for row in rows]


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_size_of_blocks_changes_nothing(model, reference, block):
    past, rows = ids_of(model)
    twin = endless(model, block)
    prefix = twin.read(past)
    for ours, theirs in zip(prefix.keys + prefix.values, _read_at_once(model, past), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    found = logits_of(twin, rows, prefix)
    for logits, row in zip(found, rows, strict=True):
        torch.testing.assert_close(logits, plain_logits(reference, past + row), atol=1e-4, rtol=0)


def _read_at_once(model: Model, ids: list[int]) -> tuple[torch.Tensor, ...]:
    prefix = endless(model, 4096).read(ids)
    return prefix.keys + prefix.values


def test_asking_leaves_the_prefix_bitwise_unchanged(model):
    past, rows = ids_of(model)
    prefix = model.read(past)
    before = [t.clone() for t in (*prefix.keys, *prefix.values)]
    greedy(model, rows, prefix)
    assert all(torch.equal(a, b) for a, b in zip(before, (*prefix.keys, *prefix.values), strict=True))
    assert prefix.length == len(past)


def test_two_threads_get_what_one_gets(model):
    past, rows = ids_of(model)
    prefix = model.read(past)
    alone = [greedy(model, [row], prefix) for row in rows]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda row: greedy(model, [row], prefix), rows * 3))
    assert together == alone * 3


def test_generations_interleaved_in_one_thread_do_not_disturb_each_other(model):
    past, rows = ids_of(model)
    prefix = model.read(past)
    runs = [model.decoder.steps([row], Sampling(STEPS), prefix) for row in rows]
    steps = [[token for (token,) in step] for step in islice(zip(*runs, strict=True), STEPS)]
    assert [list(row) for row in zip(*steps, strict=True)] == [greedy(model, [row], prefix)[0] for row in rows]


def test_a_sliding_window_is_kept_when_it_cannot_share(tmp_path, tiny_folder_of, hardware32):
    config = AutoConfig.from_pretrained(tiny_folder_of("mistral"))
    config.sliding_window = 16
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((tiny_folder_of("mistral") / name).read_bytes())
    model = endless(Model(str(tmp_path), hardware=hardware32), block=7)
    assert not model.decoder.shares_prefix
    past, rows = ids_of(model)
    assert len(past) > 16, "longer than the window, or this shows nothing"
    reference = stock(str(tmp_path))
    expected = [model.tokenizer.decode(plain_greedy(reference, past + row), skip_special_tokens=True) for row in rows]
    replies = model.complete(rows, Sampling(STEPS), model.read(past))
    assert [reply.text for reply in replies] == [text.strip() for text in expected]


def test_the_prefix_is_not_copied_into_the_cache(family_model):
    past, _ = ids_of(family_model)
    prefix = family_model.read(past)
    cache = run_by_transformers(family_model).decoder.forward.tail(prefix, 3, 32)
    keys = torch.randn(3, 2, 4, prefix.keys[0].shape[-1])
    found, _ = cache.layers[0].update(keys, keys)
    assert found.shape[-2] == 4, "attention is given the tail alone"
    assert cache.layers[0].keys.shape[-2] == 32
    assert cache.forward_arguments()["shared_prefix"] is prefix


def test_a_frozen_prefix_keeps_no_empty_tail_alive(tiny_model):
    cache = tiny_model.decoder.forward.tail(EMPTY, 1, 500)
    ids = torch.ones(1, 5, dtype=torch.long)
    prefill(tiny_model.decoder, ids, torch.ones_like(ids), cache)
    prefix = cache.freeze()
    assert prefix.length == 5
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in (*prefix.keys, *prefix.values)}
    assert sum(storage.nbytes() for storage in storages.values()) == prefix.nbytes


def test_a_prefix_counts_its_bytes_and_survives_its_tensors(tiny_model):
    prefix = tiny_model.read(list(range(20)))
    assert prefix.nbytes == 3 * 2 * 2 * 20 * 16 * 4  # layers, keys and values, heads, tokens, dimension, bytes
    again = Prefix.from_tensors(prefix.tensors())
    assert again.length == 20
    for ours, theirs in zip(again.keys + again.values, prefix.keys + prefix.values, strict=True):
        assert torch.equal(ours, theirs)
    assert EMPTY.length == 0
    assert EMPTY.nbytes == 0


@pytest.mark.parametrize(
    ("family", "options", "supported"),
    [
        ("llama", {}, True),
        ("qwen3", {}, True),
        ("mistral", {"sliding_window": None}, True),
        ("mistral", {"sliding_window": 4096}, False),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 1, "num_hidden_layers": 3}, False),
        ("gemma2", {}, False),
        ("gemma3_text", {}, False),
    ],
)
def test_only_plain_full_attention_shares_a_prefix(family, options, supported):
    assert kv.supports_shared_prefix(AutoConfig.for_model(family, **options)) is supported


def test_soft_capped_scores_share_no_prefix():
    config = LlamaConfig()
    assert kv.supports_shared_prefix(config)
    config.attn_logit_softcapping = 50.0
    assert not kv.supports_shared_prefix(config)


WAYS = ["_attend", "_attend_in_blocks"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("block", [1, 7, 64, 4096])
@pytest.mark.parametrize("size", [1.0, 5.0])
def test_attention_by_parts_equals_attention_at_once_also_for_large_scores(monkeypatch, way, block, size):
    monkeypatch.setattr(kv, "_KEY_BLOCK", block)
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 2, 5, 16) * size, torch.randn(1, 2, 33, 16) * size, torch.randn(1, 2, 33, 16)
    output, lse = getattr(kv, way)(query, key, value, 0.25, None)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=0.25)
    assert torch.allclose(output, expected, atol=1e-4)
    assert torch.allclose(lse[..., 0], torch.logsumexp(query @ key.transpose(-1, -2) * 0.25, -1), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_large_scores_keep_their_weights_in_half_precision(way):
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 64, 64).bfloat16() * scale for scale in (8, 8, 1))
    exact = torch.nn.functional.scaled_dot_product_attention(query.double(), key.double(), value.double(), scale=0.125)
    output, _ = getattr(kv, way)(query, key, value, 0.125, None)
    assert (output.double() - exact).abs().max() < 0.03


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 6, 1000), (3, 2, 40, 77), (2, 1, 5, 4097)])
def test_masked_attention_is_the_same_in_every_shape_and_type(way, dtype, shape):
    batch, heads, queries, keys = shape
    torch.manual_seed(1)
    query = torch.randn(batch, heads, queries, 64).to(dtype)
    key, value = (torch.randn(batch, heads, keys, 64).to(dtype) for _ in range(2))
    mask = torch.zeros(batch, 1, queries, keys).masked_fill(torch.rand(batch, 1, queries, keys) < 0.3, -1e30)
    mask[..., 0] = 0
    scores = query.double() @ key.double().transpose(-1, -2) * 0.125 + mask
    output, lse = getattr(kv, way)(query, key, value, 0.125, mask)
    assert output.dtype is lse.dtype is torch.float32
    limit = 0.02 if dtype is torch.bfloat16 else 1e-5
    assert (output - scores.softmax(-1) @ value.double()).abs().max() < limit
    torch.testing.assert_close(lse[..., 0], scores.logsumexp(-1).float(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_may_look_nowhere_is_no_number_problem(way):
    query, key = torch.randn(2, 1, 3, 16), torch.randn(2, 1, 5, 16)
    mask = torch.full((2, 1, 3, 5), -1e30)
    output, lse = getattr(kv, way)(query, key, key, 0.25, mask)
    assert output.isfinite().all()
    assert (lse < -1e29).all()
