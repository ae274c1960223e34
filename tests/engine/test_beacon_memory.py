"""A beacon model as the memory: many tokens in few keys, asked, saved, loaded and continued like any other memory."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import BundleError, ContextLengthError, InputError
from engine.memorag import MemoRAG
from engine.memory import Memory
from engine.model import Model
from engine.prefix import EMPTY
from tests.conftest import make_tokenizer
from tests.recording import prefill

CONTEXT = "The tower was begun in 1867. The first keeper was Isolde Marrick. The door is saffron yellow. " * 6
WINDOW = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random beacon checkpoint with a tokenizer and a window of 1,024 positions."""
    folder, tokenizer = tmp_path_factory.mktemp("beacons"), make_tokenizer()
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        beacon_window=WINDOW,
        beacon_stride=WINDOW,
        beacon_pos="interleave",
        beacon_attn="full-coverage",
        beacon_param=["q", "k", "v"],
    )
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    weights = load_file(folder / "model.safetensors")
    for name, tensor in dict(weights).items():
        for letter in "qkv":
            if f"self_attn.{letter}_proj" in name:
                beacon = name.replace(f"{letter}_proj", f"beacon_{letter}_proj")
                weights[beacon] = torch.randn_like(tensor) * 0.2
    weights["model.beacon_embed_tokens.weight"] = torch.randn(1, 64)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def model(folder, hardware32):
    return Model(str(folder), hardware=hardware32)


@pytest.fixture
def memory(model):
    memory = Memory(model)
    memory.memorize(CONTEXT)
    return memory


def copies(memory: Memory) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in (*memory.prefix.keys, *memory.prefix.values)]


def test_far_fewer_keys_than_tokens_are_held(memory):
    assert memory.tokens == len(memory.ids) > 4 * WINDOW
    assert memory.prefix.length < memory.tokens / 2


def test_asking_is_repeatable_alone_or_with_others_and_changes_nothing(memory):
    before, questions = copies(memory), ["Who?", "What colour is the door?"]
    found = memory.generate_w_memory(questions, 40)
    assert found == [memory.generate_w_memory(question, 40)[0] for question in questions]
    assert "".join(memory.stream_w_memory("Who?", 20))
    assert all(torch.equal(a, b) for a, b in zip(before, copies(memory), strict=True))


def test_a_saved_beacon_memory_answers_as_before(memory, model, tmp_path):
    memory.save(tmp_path / "memory.bin")
    again = Memory(model)
    again.load(tmp_path / "memory.bin")
    assert again.tokens == memory.tokens
    assert again.answer("Who?", 40) == memory.answer("Who?", 40)


@pytest.mark.parametrize("change", ["tokens", "window", "gone", "keys"])
def test_a_beacon_memory_that_contradicts_itself_is_refused(memory, model, change):
    tensors = {name: tensor.clone() for name, tensor in memory.tensors().items()}
    if change == "gone":
        del tensors["beacons"]
    elif change == "keys":
        tensors["keys.1"] = tensors["keys.1"][:, :, 1:]
    else:
        tensors["beacons"][{"window": 0, "tokens": 2}[change]] += WINDOW
    with pytest.raises(BundleError):
        Memory(model).restore(tensors, memory.prompts)


def test_a_memory_that_goes_on_equals_one_read_at_once(memory, model):
    fresh, seen = Memory(model), []
    fresh.memorize(CONTEXT + "The last keeper was Pell Oduya.")
    memory.memorize(CONTEXT + "The last keeper was Pell Oduya.", on_progress=seen.append)
    assert seen[-1].total < 3 * WINDOW, "only the unfinished window, and what is new, is read"
    for ours, theirs in zip(copies(memory), copies(fresh), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_more_is_remembered_than_the_window_holds(model):
    memory = Memory(model)
    memory.memorize(CONTEXT * 10)
    assert memory.tokens > model.context_length > memory.prefix.length
    assert memory.answer("Who?", 20) is not None
    before = memory.tokens
    with pytest.raises(ContextLengthError, match="reads at most 1024 tokens"):
        memory.memorize(CONTEXT * 40)
    assert memory.tokens == before


def test_without_a_memory_it_is_the_model_it_was_made_from(model, folder):
    stock = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    ids = model.chat_ids("Who was the first keeper?")
    with torch.inference_mode():
        logits = stock(input_ids=torch.tensor([ids])).logits[0, -1]
        mask = torch.ones(1, len(ids), dtype=torch.long)
        ours = prefill(model.decoder, torch.tensor([ids]), mask, model.decoder.forward.tail(EMPTY, 1, len(ids)))
    torch.testing.assert_close(ours[0], logits, atol=1e-4, rtol=0)


def test_the_ratio_is_the_pipelines(folder, hardware32):
    sizes = {}
    for ratio in (2, 8):
        model = Model(str(folder), beacon_ratio=ratio, hardware=hardware32)
        memory = Memory(model)
        memory.memorize(CONTEXT)
        sizes[ratio] = memory.prefix.length
    assert sizes[2] > 2 * sizes[8]
    with pytest.raises(InputError, match="beacon ratio 3 does not divide"):
        Model(str(folder), beacon_ratio=3, hardware=hardware32)


@pytest.mark.models
def test_a_pipeline_memorises_with_beacons(model, encoder, tmp_path):
    pipeline = MemoRAG(model, encoder)
    pipeline.memorize(CONTEXT * 10, save_dir=tmp_path / "bundle")
    text = pipeline(query="Who was the first keeper?", max_new_tokens=8)
    again = MemoRAG(model, encoder)
    again.load(tmp_path / "bundle")
    assert again(query="Who was the first keeper?", max_new_tokens=8) == text
