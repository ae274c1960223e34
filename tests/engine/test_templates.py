"""Chat templates of every style: memory, question and answer form one conversation as the template would render it."""

from __future__ import annotations

import copy
import string

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engine.errors import ModelError
from engine.memory import Memory
from engine.prompt import en_prompts, render
from engine.sampling import Sampling
from tests.conftest import DATA, make_tokenizer

CONTEXT = "The tower was begun in 1867. The first keeper was Isolde Marrick."
QUESTION = "Who was the first keeper?"
ALTERNATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user and assistant') }}{% endif %}"
)
# Written for this test in the manner of model families; [I], [/I] and the like stand for their control tokens.
TEMPLATES = {
    "header with a date and a default system turn": (
        "{{ bos_token }}<|im_start|>system\nKnowledge: {{ strftime_now('%d %b %Y') }}<|im_end|>\n"
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n\n{{ m['content'] | trim }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
    ),
    "instruction brackets with spaces": (
        "{{ bos_token }}" + ALTERNATE + "{% if m['role'] == 'user' %}[I] {{ m['content'] }} [/I]"
        "{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
    "no system turn, another name for the assistant": (
        "{{ bos_token }}" + ALTERNATE + "<|im_start|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
        "{{ m['content'] | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
    ),
    "ends of turns only": (
        "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    ),
    "an empty thought before the answer": (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
    ),
    "plain names": (
        "{{ bos_token }}{% for m in messages %}{{ 'User: ' if m['role'] == 'user' else 'Assistant: ' }}"
        "{{ m['content'] }}\n\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
}


def spaced_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that joins a space with the word behind it and puts one before a text, as SentencePiece does."""
    special = ["<|endoftext|>", "<s>", "<|im_start|>", "<|im_end|>"]
    pieces = Tokenizer(models.BPE(unk_token="<|endoftext|>"))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    alphabet = list(string.printable)
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator((DATA / "lighthouse.txt").read_text("utf-8").splitlines(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token="<s>", eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )


@pytest.fixture(params=["bytes", "spaces"])
def memory(request, tiny_model):
    twin = copy.copy(tiny_model)
    twin.tokenizer = make_tokenizer() if request.param == "bytes" else spaced_tokenizer()
    twin.tokenizer.padding_side = "left"
    return Memory(twin)


@pytest.mark.parametrize("style", TEMPLATES)
def test_memory_and_question_are_one_conversation_in_every_style(memory, style):
    memory.tokenizer.chat_template = TEMPLATES[style]
    memory.memorize(CONTEXT)
    turn = memory._turn(QUESTION, en_prompts)
    messages = [
        {"role": "user", "content": render(en_prompts.context, context=CONTEXT)},
        {"role": "assistant", "content": en_prompts.acknowledge},
        {"role": "user", "content": QUESTION},
    ]
    text = memory.render_chat(messages)
    whole = memory.token_ids(text)
    assert [*memory.ids, *turn] == whole, "the same tokens as those of the conversation in one piece"
    assert text.count("system\n") <= 1
    assert text.count("<s>") <= 1
    assert text.count(QUESTION) == 1
    assert text.index("Isolde Marrick") < text.index("What would you like to know?") < text.index(QUESTION)
    found = memory.replies_w_memory([QUESTION], 12)
    assert found == memory.complete([whole], Sampling(12)), "and so the same answer"


def test_a_template_that_loses_the_question_is_refused(memory):
    memory.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    with pytest.raises(ModelError, match="leaves out the last message"):
        memory.memorize(CONTEXT)
