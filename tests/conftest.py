"""What the tests share: settings of the machine, tiny random models for exact tests, and the real embedded models."""

from __future__ import annotations

import os

# Before anything heavy is imported. Threads that wait without spinning let other programs work beside the tests.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.encoder import Encoder
    from engine.hardware import Hardware
    from engine.model import Model
    from tests.llama_server import LlamaServer

DATA = Path(__file__).parent / "data"
FAMILIES = ("llama", "qwen2", "qwen3", "mistral")
# ChatML with a text start and a default system message, as chat models have them: both must come once only.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe helpful.<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer() -> Any:
    """A small byte-level tokenizer with a chat template, as tiny models have it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<s>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator((DATA / "lighthouse.txt").read_text("utf-8").splitlines(), trainer)
    # Adds a text start wherever special tokens are asked for, so asking by mistake shows.
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def _tiny_model(family: str, folder: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tokenizer()
    options: dict[str, Any] = {"head_dim": 16} if family == "qwen3" else {}
    options |= {"sliding_window": None} if family == "mistral" else {}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.2,  # wide, so that the likeliest token is clearly the likeliest
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        **options,
    )
    torch.manual_seed(7)
    AutoModelForCausalLM.from_config(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def hardware32() -> Hardware:
    """The CPU in float32, where two ways to compute the same thing must give the same numbers."""
    from engine.hardware import SDPA, detect

    return replace(detect("cpu", threads=2, exact=True), dtype="float32", attention=SDPA)


@pytest.fixture(scope="session")
def tiny_folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a tiny random model of a family on first use and returns its folder. Nobody writes to it."""
    made: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in made:
            made[family] = _tiny_model(family, tmp_path_factory.mktemp(f"tiny-{family}"))
        return made[family]

    return folder_of


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_folder_of: Callable[[str], Path]) -> Path:
    """The folder of a tiny random Llama."""
    return tiny_folder_of("llama")


@pytest.fixture(scope="session")
def tiny_model(tiny_model_dir: Path, hardware32: Hardware) -> Model:
    """A tiny random Llama in float32."""
    from engine.model import Model

    return Model(str(tiny_model_dir), hardware=hardware32)


@pytest.fixture(scope="session", params=FAMILIES)
def family_model(request: pytest.FixtureRequest, tiny_folder_of: Callable[[str], Path], hardware32: Hardware) -> Model:
    """A tiny random model in float32, one of every family in turn."""
    from engine.model import Model

    return Model(str(tiny_folder_of(request.param)), hardware=hardware32)


@pytest.fixture(scope="session")
def engine_models() -> tuple[Model, Encoder]:
    """The real embedded models on the CPU; the unpacked model in the user's cache folder is used and kept."""
    from engine.hub import WHEELS

    for wheel in WHEELS.values():
        try:
            importlib.metadata.distribution(wheel.distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{wheel.distribution} is not installed; it is listed in requirements-offline.txt")
    from engine.encoder import Encoder
    from engine.hardware import detect
    from engine.model import Model

    hardware = detect("cpu", threads=2)
    return Model("auto", hardware=hardware), Encoder("auto", hardware=hardware)


@pytest.fixture(scope="session")
def encoder(engine_models: tuple[Model, Encoder]) -> Encoder:
    """The real embedded encoder."""
    return engine_models[1]


@pytest.fixture(scope="session")
def lighthouse() -> str:
    """The text that tests ask questions about."""
    return (DATA / "lighthouse.txt").read_text("utf-8")


@pytest.fixture(scope="session")
def llama() -> Iterator[LlamaServer]:
    """A real model server that answers two requests at a time."""
    from tests.llama_server import llama_server, missing

    if reason := missing():
        pytest.skip(reason)
    with llama_server(context=4096, slots=2) as running:
        yield running
