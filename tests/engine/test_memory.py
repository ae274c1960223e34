"""The memory: one conversation, read once, asked again and again, saved and loaded."""

from __future__ import annotations

import copy
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.clues import clean_clues
from engine.errors import BundleError, Cancelled, ContextLengthError, InputError, NotMemorizedError
from engine.events import Clue, Reply, Stop
from engine.memory import Memory
from engine.model import Model
from engine.prompt import en_prompts, render, zh_prompts
from engine.sampling import Sampling

CONTEXT = "The tower was begun in 1867. The first keeper was Isolde Marrick. The door is saffron yellow."
QUESTION = "Who was the first keeper?"


@pytest.fixture
def memory(tiny_model):
    memory = Memory(tiny_model)
    memory.memorize(CONTEXT)
    return memory


def tensors_of(memory: Memory) -> list[torch.Tensor]:
    return [t.clone() for t in (*memory.prefix.keys, *memory.prefix.values)]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(some) == len(others) and all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


# One well-formed conversation


@pytest.mark.parametrize("prompts", [en_prompts, zh_prompts])
def test_head_and_turn_are_the_conversation_that_the_template_renders(tiny_model, prompts):
    memory = Memory(tiny_model)
    read: list[list[int]] = []
    reading = memory.read
    memory.read = lambda ids, *rest: read.append(ids) or reading(ids, *rest)
    memory.memorize(CONTEXT, prompts)
    ids = read[0] + memory._turn(QUESTION, prompts)
    whole = tiny_model.render_chat(
        [
            {"role": "user", "content": render(prompts.context, context=CONTEXT)},
            {"role": "assistant", "content": prompts.acknowledge},
            {"role": "user", "content": QUESTION},
        ]
    )
    assert memory.prefix.length == len(read[0])
    text = tiny_model.tokenizer.decode(ids)
    assert text == whole
    assert text.count("<s>") == text.count("<|im_start|>system") == 1
    assert text.endswith("<|im_start|>assistant\n")


def test_a_context_that_holds_the_engines_own_mark_is_read_as_text(tiny_model):
    from engine.memory import _MARK

    memory = Memory(tiny_model)
    head, _, rest = memory._conversation(f"before {_MARK} after", en_prompts)
    assert f"before {_MARK} after" in head
    assert _MARK not in rest


def test_braces_in_a_context_do_no_harm(tiny_model):
    memory = Memory(tiny_model)
    memory.memorize("A {context} with {braces} and {0} and {{more}}.")
    assert memory.is_memorized


def test_a_question_after_the_memory_is_answered_as_after_the_whole_text(memory, tiny_model):
    head, _, rest = memory._conversation(CONTEXT, en_prompts)
    whole = tiny_model.token_ids(head) + tiny_model.token_ids(QUESTION + rest)
    assert memory.generate_w_memory(QUESTION, 16) == [tiny_model.complete([whole], Sampling(16))[0].text]


# Asking


def test_asking_does_not_change_the_memory(memory):
    before = tensors_of(memory)
    first = memory.answer(QUESTION, 16)
    memory.clues("What colour is the door?", 16)
    memory.key_points(16)
    list(memory.stream_w_memory("Who?", 8))
    assert same(before, tensors_of(memory))
    assert memory.answer(QUESTION, 16) == first


def test_several_instructions_at_once_are_answered_as_one_by_one(memory):
    asked = ["Who?", "What colour is the door at the foot of the tower?", "When was it begun?"]
    assert memory.generate_w_memory(asked, 12) == [memory.generate_w_memory(text, 12)[0] for text in asked]


def test_the_memory_is_the_same_after_a_hundred_questions(memory):
    before, first = tensors_of(memory), memory.answer(QUESTION, 8)
    for number in range(100):
        memory.answer(f"What stands in line {number}?", 2)
    assert same(before, tensors_of(memory))
    assert memory.answer(QUESTION, 8) == first


@pytest.fixture(scope="module")
def family_memory(family_model):
    memory = Memory(family_model)
    memory.memorize(CONTEXT)
    return memory


def test_every_family_answers_from_the_memory_as_without_it(family_memory):
    """Token for token what the model says when it reads the whole conversation anew."""
    head, gap, rest = family_memory._conversation(CONTEXT, en_prompts)
    for question in (QUESTION, "What colour is the door?"):
        whole = family_memory.token_ids(head + gap + question + rest)
        assert family_memory.replies_w_memory([question], 16) == family_memory.complete([whole], Sampling(16))


def test_every_family_gives_to_many_what_it_gives_to_one(family_memory):
    questions = ["Who?", QUESTION, "What colour is the door at the foot of the tower, and who painted it so?"]
    alone = [family_memory.generate_w_memory(question, 12)[0] for question in questions]
    assert family_memory.generate_w_memory(questions, 12) == alone
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda q: family_memory.generate_w_memory(q, 12)[0], questions)) == alone


def test_every_family_is_saved_and_loaded_without_a_difference(family_memory, tmp_path):
    family_memory.save(tmp_path / "memory.bin")
    again = Memory(family_memory)
    again.load(tmp_path / "memory.bin")
    assert same(tensors_of(again), tensors_of(family_memory))
    assert again.ids == family_memory.ids
    assert again.answer(QUESTION, 12) == family_memory.answer(QUESTION, 12)


@pytest.mark.parametrize("was_small", [False, True])
def test_a_memory_in_eight_bits_is_loaded_where_memories_are_whole_and_the_other_way_round(
    was_small, tiny_model, tmp_path
):
    made, other = Memory(small_memories(tiny_model, was_small)), Memory(small_memories(tiny_model, not was_small))
    made.memorize(CONTEXT)
    made.save(tmp_path / "memory.bin")
    other.load(tmp_path / "memory.bin")
    assert made.prefix.is_small is was_small
    assert other.prefix.is_small is not was_small
    assert other.tokens == made.tokens
    assert made.nbytes != other.nbytes
    for layer in range(3):
        for ours, theirs in zip(
            made.prefix.layer(layer, torch.float32), other.prefix.layer(layer, torch.float32), strict=True
        ):
            assert float((ours - theirs).norm() / ours.norm()) < 0.02
    more = f"{CONTEXT} It is read again from there."
    assert count_read(other, more) < count_read(Memory(tiny_model), more) - 20, "it goes on from what was loaded"


def small_memories(model: Model, wanted: bool) -> Model:
    twin = copy.copy(model)
    twin.decoder = replace(model.decoder, small_memory=wanted)
    return twin


# Going on


def count_read(memory: Memory, context: str) -> int:
    seen = []
    memory.memorize(context, on_progress=seen.append)
    return seen[-1].total if seen else 0


def test_what_the_texts_have_in_common_is_read_once(family_model):
    grown, fresh = Memory(family_model), Memory(family_model)
    long = f"{CONTEXT}\n\nThe last keeper was Pell Oduya. The lamp became automatic in 1991."
    first = count_read(grown, CONTEXT)
    added = count_read(grown, long)
    whole = count_read(fresh, long)
    assert grown.ids == fresh.ids
    assert added < whole - first / 2, "only what is new, and the end of the conversation, is read"
    for ours, theirs in zip(tensors_of(grown), tensors_of(fresh), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert grown.answer(QUESTION, 16) == fresh.answer(QUESTION, 16)
    back = count_read(grown, CONTEXT)
    assert 0 < back < first / 2
    assert grown.tokens == first


def test_a_memory_that_was_copied_stays_as_it_is_while_the_copy_goes_on(memory):
    before, tensors = memory.answer(QUESTION, 8), tensors_of(memory)
    grown = copy.copy(memory)
    grown.memorize(f"{CONTEXT} The last keeper was Pell Oduya.")
    assert grown.tokens > memory.tokens
    assert same(tensors, tensors_of(memory))
    assert memory.answer(QUESTION, 8) == before


def test_the_same_text_again_is_not_read_again(memory):
    before = memory.prefix
    assert count_read(memory, CONTEXT) == 0
    assert memory.prefix is before


def test_a_draft_is_the_memorys_whole_answer(memory):
    clues = memory.clues(QUESTION, 24, ("span", "surrogate", "draft"))
    assert clues[-1] == Clue("draft", memory.answer(QUESTION, 24))
    assert clues[:-1] == memory.clues(QUESTION, 24)


def test_two_threads_may_ask_at_once(memory):
    asked = ["Who?", "What colour is the door at the foot of the tower?"] * 3
    alone = [memory.answer(text, 12) for text in asked]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda text: memory.answer(text, 12), asked)) == alone


def test_each_way_to_ask_sends_its_own_prompt(memory):
    asked = {
        "recall": (memory.recall, en_prompts.span),
        "rewrite": (memory.rewrite, en_prompts.sur),
        "answer": (memory.answer, en_prompts.qa),
    }
    for name, (method, template) in asked.items():
        expected = memory.generate_w_memory(render(template, question=QUESTION), 12)[0]
        assert method(QUESTION, 12) == expected, name
    assert memory.summarize(12) == memory.generate_w_memory(en_prompts.sum, 12)[0]


def test_asking_without_a_memory_is_refused(tiny_model):
    memory = Memory(tiny_model)
    assert not memory.is_memorized
    for ask in (memory.recall, memory.rewrite, memory.answer, memory.clues, memory.generate_w_memory):
        with pytest.raises(NotMemorizedError, match="memorize first"):
            ask(QUESTION)
    with pytest.raises(NotMemorizedError):
        memory.summarize()
    with pytest.raises(NotMemorizedError):
        list(memory.stream_w_memory(QUESTION))


@pytest.mark.parametrize("instruction", ["", "  \n"])
def test_an_empty_instruction_is_refused(memory, instruction):
    with pytest.raises(InputError, match="empty"):
        memory.generate_w_memory(instruction)


def test_an_instruction_beyond_the_window_is_refused(memory):
    with pytest.raises(ContextLengthError, match="2048"):
        memory.answer("who " * 2000)


# Memorising


@pytest.mark.parametrize("context", ["", " \n\t"])
def test_an_empty_context_is_refused(tiny_model, context):
    with pytest.raises(InputError, match="empty"):
        Memory(tiny_model).memorize(context)


def test_progress_counts_the_tokens_read(tiny_model):
    seen = []
    memory = Memory(tiny_model)
    memory.memorize(CONTEXT * 6, on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising"}
    assert [event.done for event in seen] == sorted(event.done for event in seen)
    assert seen[-1].done == seen[-1].total == memory.prefix.length
    assert seen[-1].eta == 0


def test_a_stopped_or_refused_reading_leaves_what_was_memorised(memory):
    before, stop = tensors_of(memory), Stop()
    with pytest.raises(Cancelled):
        memory.memorize(CONTEXT * 10, on_progress=lambda _: stop.set(), stop=stop)
    with pytest.raises(ContextLengthError):
        memory.memorize("lighthouse " * 3000)
    with pytest.raises(InputError):
        memory.memorize(" ")
    assert same(before, tensors_of(memory))


def test_memories_over_one_model_share_its_weights_and_nothing_else(tiny_model, memory):
    other = Memory(tiny_model)
    assert other.net is memory.net
    assert not other.is_memorized
    other.memorize("Something else altogether stands here.", zh_prompts)
    assert memory.prompts is en_prompts
    assert other.answer(QUESTION, 12) != memory.answer(QUESTION, 12)


def test_a_memory_can_be_built_from_a_model_name(tiny_model_dir, hardware32, memory):
    own = Memory(str(tiny_model_dir), hardware=hardware32)
    own.memorize(CONTEXT)
    assert own.answer(QUESTION, 12) == memory.answer(QUESTION, 12)


# Saving and loading


@pytest.mark.parametrize("prompts", [en_prompts, zh_prompts])
def test_a_loaded_memory_answers_as_the_saved_one(tiny_model, tmp_path, prompts):
    memory = Memory(tiny_model)
    memory.memorize(CONTEXT, prompts)
    path = tmp_path / "new folder" / "memory.bin"
    memory.save(path)
    again = Memory(tiny_model)
    again.load(path)
    assert again.prompts is prompts
    assert same(tensors_of(again), tensors_of(memory))
    assert again.answer(QUESTION, 16) == memory.answer(QUESTION, 16)


def test_a_memory_made_with_other_prompts_is_refused_unless_they_are_given(memory, tmp_path):
    own = replace(en_prompts, context="Notes:\n\n{context}")
    memory.memorize(CONTEXT, own)
    memory.save(tmp_path / "memory.bin")
    again = Memory(memory)
    with pytest.raises(BundleError, match=rf"the prompts {own.digest}, but {en_prompts.digest} are in use"):
        again.load(tmp_path / "memory.bin")
    again.load(tmp_path / "memory.bin", own)
    assert again.answer(QUESTION, 12) == memory.answer(QUESTION, 12)


def test_there_must_be_something_to_save(tiny_model, tmp_path):
    with pytest.raises(NotMemorizedError, match="nothing to save"):
        Memory(tiny_model).save(tmp_path / "memory.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_memory_of_another_model_is_refused(memory, tmp_path, tiny_folder_of, hardware32):
    memory.save(tmp_path / "memory.bin")
    other = Memory(Model(str(tiny_folder_of("qwen3")), hardware=hardware32))
    with pytest.raises(BundleError, match=r"made by tiny-llama\d* \(\w{16}\), but tiny-qwen3\d* \(\w{16}\) is in use"):
        other.load(tmp_path / "memory.bin")
    assert not other.is_memorized


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "header"])
def test_a_damaged_memory_is_refused(memory, tmp_path, damage):
    path = tmp_path / "memory.bin"
    memory.save(path)
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"hello", "header": b"\xff" * 8 + data[8:]}[damage])
    with pytest.raises(BundleError, match="memorise again"):
        memory.load(path)
    assert memory.is_memorized


def test_a_memory_with_too_few_layers_is_refused(memory, tmp_path):
    memory.save(tmp_path / "memory.bin")
    tensors = load_file(tmp_path / "memory.bin")
    tensors.pop("keys.2")
    tensors.pop("values.2")
    facts = {"model": memory.fingerprint, "name": memory.name, "language": "en", "prompts": en_prompts.digest}
    save_file(tensors, tmp_path / "short.bin", metadata=facts)
    with pytest.raises(BundleError, match=r"4 tensors.*takes 6"):
        memory.load(tmp_path / "short.bin")


def test_a_saved_memory_holds_data_only(memory, tmp_path):
    memory.save(tmp_path / "memory.bin")
    data = (tmp_path / "memory.bin").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert set(header) == {f"{kind}.{layer}" for kind in ("keys", "values") for layer in range(3)} | {
        "__metadata__",
        "ids",
    }
    assert header["__metadata__"] == {
        "model": memory.fingerprint,
        "name": memory.name,
        "language": "en",
        "prompts": en_prompts.digest,
    }


def test_the_clues_of_a_question_are_spans_and_surrogates(memory):
    replies = [memory.recall(QUESTION, 24), memory.rewrite(QUESTION, 24)]
    expected = clean_clues([("span", Reply(replies[0])), ("surrogate", Reply(replies[1]))], QUESTION, en_prompts)
    assert memory.clues(QUESTION, 24) == expected
    assert {clue.kind for clue in memory.key_points(24)} <= {"point"}


@pytest.mark.models
def test_the_real_template_gives_one_conversation_too(engine_models):
    memory = Memory(engine_models[0])
    head, gap, rest = memory._conversation(CONTEXT, en_prompts)
    whole = head + gap + QUESTION + rest
    assert whole.count("<|im_start|>system") == 1
    assert re.findall(r"<\|im_start\|>(\w+)", whole) == ["system", "user", "assistant", "user", "assistant"]
    apart = memory.token_ids(head) + memory.token_ids(QUESTION + rest)
    assert memory.tokenizer.decode(apart) == whole
    assert apart == memory.token_ids(whole), "the seam falls between two tokens"
