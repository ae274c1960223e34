"""Our own forward pass gives the numbers of transformers, for every family, dtype and shape of a batch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from engine import attention
from engine.attention import Tail
from engine.errors import Cancelled
from engine.events import Stop
from engine.forward import Forward, forward_of
from engine.hardware import detect
from engine.linear import FewRowsLinear
from engine.model import Model
from engine.prefix import EMPTY, Prefix
from engine.sampling import Sampling
from tests.recording import prefill, recorded


def stock(folder: Path, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def ids_of(length: int, seed: int = 0) -> list[int]:
    return torch.randint(20, 480, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.inference_mode()
def plain(net: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    return net(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


@torch.inference_mode()
def fed(forward: Forward, ids: list[int], sizes: list[int], prefix: Prefix = EMPTY) -> torch.Tensor:
    """The last logits after feeding ids in blocks of these sizes."""
    tail, done, logits = forward.tail(prefix, 1, len(ids)), 0, torch.empty(0)
    for size in sizes:
        mask = torch.ones(1, done + size, dtype=torch.long)
        positions = torch.arange(done, done + size)[None] + prefix.length
        logits = forward(torch.tensor([ids[done : done + size]]), mask, positions, tail)
        done += size
    assert done == len(ids)
    return logits[0]


def test_every_family_is_run_by_it(family_model):
    assert isinstance(family_model.decoder.forward, Forward)
    assert family_model.decoder.forward.head(torch.zeros(1, 64)).shape == (1, 500)


@pytest.mark.parametrize("sizes", [[90], [1] * 90, [64, 26], [7] * 12 + [6], [89, 1]])
def test_blocks_of_any_size_give_the_logits_of_transformers(family_model, sizes):
    ids = ids_of(90)
    torch.testing.assert_close(
        fed(family_model.decoder.forward, ids, sizes), plain(stock(family_model.folder), ids), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("lengths", [(5, 90, 33), (1, 2), (70, 70, 70, 1)])
@pytest.mark.parametrize("block", [16, 1000])
@pytest.mark.parametrize("past", [0, 41])
def test_rows_of_a_batch_give_what_each_gives_alone(tiny_model, lengths, block, past):
    decoder, net = replace(tiny_model.decoder, block=block), stock(tiny_model.folder)
    before, rows = ids_of(past, seed=9), [ids_of(length, seed) for seed, length in enumerate(lengths)]
    prefix, longest = decoder.read(before), max(lengths)
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    found = prefill(decoder, ids, mask, decoder.forward.tail(prefix, len(rows), longest))
    for logits, row in zip(found, rows, strict=True):
        torch.testing.assert_close(logits, plain(net, before + row), atol=2e-5, rtol=0)


def test_long_rows_are_read_without_their_padding(tiny_model):
    rows = [ids_of(100), ids_of(30, 1), ids_of(60, 2)]
    with recorded(tiny_model) as passes:
        list(replace(tiny_model.decoder, block=64).steps(rows, Sampling(2)))
    assert passes[:-1] == [(1, 64), (1, 36), (1, 30), (1, 60)]
    assert passes[-1] == (3, 1)


def test_rows_that_have_ended_leave_the_batch_and_the_others_go_on_as_alone(family_model):
    rows = [ids_of(12, seed) for seed in range(4)]
    alone = [[token for (token,) in family_model.decoder.steps([row], Sampling(12))] for row in rows]
    # The first row that ends is ended by a token of its own; the others write it later or never.
    ending = alone[1][3]
    expected = [row[: row.index(ending)] if ending in row else row for row in alone]
    with recorded(family_model) as passes:
        decoder = replace(family_model.decoder, end_ids=frozenset([ending]))
        made: list[list[int]] = [[] for _ in rows]
        for step in decoder.steps(rows, Sampling(12)):
            for row, token in zip(made, step, strict=True):
                if token is not None:
                    row.append(token)
    assert made == expected
    batches = [count for count, tokens in passes if tokens == 1]
    assert batches[0] == sum(len(row) > 0 for row in expected)
    assert batches[-1] == sum(len(row) == max(map(len, expected)) for row in expected) < 4


@pytest.mark.parametrize("rows", [1, 3])
def test_a_small_prefix_is_read_as_what_it_stands_for(family_model, rows):
    before, ids = ids_of(80, 3), torch.tensor([ids_of(7, row) for row in range(rows)])
    small = family_model.decoder.read(before).small()
    found, expected = (
        prefill(family_model.decoder, ids, torch.ones_like(ids), family_model.decoder.forward.tail(prefix, rows, 7))
        for prefix in (small, small.full(torch.float32))
    )
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("small_weights", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_bfloat16_is_as_near_to_float32_as_that_of_transformers(family, small_weights, tiny_folder_of):
    folder, ids = tiny_folder_of(family), ids_of(90)
    exact, theirs = plain(stock(folder), ids), plain(stock(folder, torch.bfloat16), ids)
    forward = forward_of(stock(folder, torch.bfloat16), small_weights)
    few = all(
        isinstance(product.__self__, FewRowsLinear) for product in (forward.layers[0].qkv, forward.layers[0].down)
    )
    assert few is small_weights
    for sizes in ([90], [80] + [1] * 10):
        found = fed(forward, ids, sizes)
        allowed = 2 * float((theirs - exact).norm()) + (0.02 * float(exact.norm()) if small_weights else 0)
        assert float((found - exact).norm()) < allowed


@pytest.mark.parametrize("scores", [1000, 3000])
@pytest.mark.parametrize("past", [0, 41])
def test_queries_take_turns_where_scores_would_fill_the_memory(family_model, past, scores, monkeypatch):
    decoder, net = family_model.decoder, stock(family_model.folder)
    before, rows = ids_of(past, 9), [ids_of(60), ids_of(60, 1)]
    prefix, ids = decoder.read(before), torch.tensor(rows)
    monkeypatch.setattr(attention, "_SCORES", scores)
    found = prefill(decoder, ids, torch.ones_like(ids), decoder.forward.tail(prefix, 2, 60))
    for logits, row in zip(found, rows, strict=True):
        torch.testing.assert_close(logits, plain(net, before + row), atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "change", "ours"),
    [
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}, True),
        (
            "llama",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 10000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                }
            },
            True,
        ),
        ("llama", {"tie_word_embeddings": True}, True),
        ("llama", {"attention_bias": True}, True),
        ("qwen3", {"head_dim": 32}, True),
        ("llama", {"mlp_bias": True}, True),
        ("llama", {"num_key_value_heads": 1}, True),
        ("llama", {"hidden_act": "gelu"}, False),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}, False),
        ("mistral", {"sliding_window": 16}, False),
    ],
)
def test_variants_of_a_family_are_computed_right_or_left_to_transformers(
    family, change, ours, tiny_folder_of, hardware32, tmp_path
):
    config = AutoConfig.from_pretrained(tiny_folder_of(family))
    for name, value in change.items():
        setattr(config, name, value)
    torch.manual_seed(5)
    net = AutoModelForCausalLM.from_config(config)
    for parameter in net.parameters():  # biases begin as zeros, and would show nothing
        parameter.data += 0.05 * torch.randn_like(parameter)
    net.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_folder_of(family)).save_pretrained(tmp_path)
    model, ids = Model(str(tmp_path), hardware=hardware32), ids_of(90)
    assert isinstance(model.decoder.forward, Forward) is ours
    assert model.parameters == sum(parameter.numel() for parameter in stock(tmp_path).parameters())
    if ours:
        expected = plain(stock(tmp_path), ids)
        torch.testing.assert_close(fed(model.decoder.forward, ids, [60, 29, 1]), expected, atol=5e-5, rtol=0)
        prefix, twice = model.decoder.read(ids[:50]), torch.tensor([ids[50:]] * 2)
        rows = prefill(model.decoder, twice, torch.ones_like(twice), model.decoder.forward.tail(prefix, 2, 40))
        torch.testing.assert_close(rows, expected.expand(2, -1), atol=5e-5, rtol=0)


def test_layers_that_are_more_than_their_weights_are_left_to_transformers(tiny_model_dir):
    class Adapted(torch.nn.Linear):
        pass

    hooked, adapted, mixed = (stock(tiny_model_dir) for _ in range(3))
    hooked.model.layers[1].mlp.up_proj.register_forward_hook(lambda *_: None)
    adapted.model.layers[2].self_attn.v_proj.__class__ = Adapted
    mixed.model.layers[0].self_attn.o_proj.to(torch.float16)
    assert [forward_of(net, small_weights=False) for net in (hooked, adapted, mixed)] == [None] * 3


def test_a_model_of_another_family_with_small_weights_counts_its_parameters_all_the_same(tiny_folder_of, tmp_path):
    config = AutoConfig.from_pretrained(tiny_folder_of("llama"))
    config.hidden_act = "gelu"
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_folder_of("llama")).save_pretrained(tmp_path)
    found = replace(detect("cpu", threads=2), dtype="bfloat16", small_weights=True)
    assert Model(str(tmp_path), hardware=found).parameters == sum(p.numel() for p in stock(tmp_path).parameters())


def test_the_model_it_took_its_weights_from_refuses_to_run(tiny_model):
    with pytest.raises(RuntimeError, match="taken over"):
        tiny_model.net(input_ids=torch.tensor([[1]]))


def test_weights_are_held_once(tiny_model_dir):
    net = stock(tiny_model_dir)
    forward = forward_of(net, small_weights=False)
    inner = net.model.layers[0]
    assert inner.self_attn.q_proj.weight.is_meta
    assert inner.mlp.down_proj.weight.is_meta
    assert forward.layers[0].qkv.__self__.weight.shape[0] == 64 + 2 * 32
    assert forward.embedding.data_ptr() == net.model.embed_tokens.weight.data_ptr()


def test_a_tail_is_float32_only_where_it_is_small(tiny_model):
    heads = tiny_model.decoder.forward.heads
    assert Tail.empty(EMPTY, heads, 1, 4, 256, None).keys.dtype == torch.float32
    assert Tail.empty(EMPTY, heads, 1, 4, 257, None).keys.dtype == torch.bfloat16
    assert Tail.empty(EMPTY, heads, 1, 1, 8, torch.bfloat16).keys.dtype == torch.bfloat16


@torch.inference_mode()
def perplexity_after(decoder, prefix, ids):
    """How surprised the model is by ids that follow what it remembers, fed one by one."""
    tail, loss = decoder.forward.tail(prefix, 1, len(ids)), 0.0
    for place, token in enumerate(ids[:-1]):
        mask = torch.ones(1, place + 1, dtype=torch.long)
        logits = decoder.forward(torch.tensor([[token]]), mask, torch.tensor([[place + prefix.length]]), tail)
        loss -= float(logits[0].log_softmax(-1)[ids[place + 1]])
    return math.exp(loss / (len(ids) - 1))


@pytest.mark.models
def test_the_embedded_model_with_a_small_memory_loses_no_quality(engine_models, lighthouse):
    model = engine_models[0]
    if not model.hardware.small_memory:
        pytest.skip("this CPU lacks bfloat16 instructions, so memories stay as they are")
    ids = model.token_ids(lighthouse)
    before, rest = ids[:900], ids[900:1100]
    net = stock(model.folder)
    with torch.inference_mode():
        logits = net(input_ids=torch.tensor([before + rest])).logits[0, len(before) : -1].float()
    exact = math.exp(float(torch.nn.functional.cross_entropy(logits, torch.tensor(rest[1:]))))
    memory = model.decoder.read(before)
    assert memory.is_small
    assert perplexity_after(model.decoder, memory, rest) < 1.02 * exact


@pytest.mark.models
def test_reading_can_be_stopped(engine_models, lighthouse):
    stop, read = Stop(), []

    def note(done: int) -> None:
        read.append(done)
        stop.set()

    model = engine_models[0]
    with pytest.raises(Cancelled):
        model.decoder.read(model.token_ids(lighthouse)[:1000], stop=stop, on_read=note)
    assert len(read) == 1
