"""The encoder that is run without its library: which folders it takes, and the library's own vectors, bit for bit."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine import hub, sentence_net
from engine.encoder import Encoder
from engine.hardware import detect
from engine.sentence_net import SentenceNet

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "tests/data/lighthouse.txt").read_text("utf-8")


def pieces(count: int) -> list[str]:
    """Texts of very different lengths, some longer than the encoder reads, some without a token."""
    chance = random.Random(5)
    starts = [chance.randrange(len(TEXT) - 2000) for _ in range(count)]
    return [*(TEXT[start : start + chance.choice((2, 30, 300, 1900))] for start in starts), "", " ", "\u706f\u5854"]


@pytest.fixture(scope="module")
def folder(encoder) -> Path:
    return hub.find("retriever", "auto", encoder.hardware).folder


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the encoder's descriptions, to be changed."""
    keep = shutil.ignore_patterns("*.safetensors")
    return Path(shutil.copytree(folder, tmp_path / "encoder", ignore=keep))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | values), "utf-8")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_vectors_are_the_librarys_to_the_last_bit(folder, dtype):
    from sentence_transformers import SentenceTransformer

    hardware = replace(detect("cpu"), dtype=dtype)
    net = sentence_net.load(folder, hardware).eval()
    options = {"dtype": hardware.torch_dtype}
    known = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=options).eval()
    texts = pieces(40)
    expected = known.encode_document(texts, batch_size=len(texts), convert_to_tensor=True, show_progress_bar=False)
    found = net.encode_document(texts)
    assert found.dtype == expected.dtype == hardware.torch_dtype
    assert torch.equal(found, expected)
    assert torch.equal(net.encode_query(texts[:1]), known.encode_query(texts[:1], convert_to_tensor=True))
    assert net.max_seq_length == known.max_seq_length


def test_the_embedded_encoder_is_loaded_without_the_library():
    code = (
        "import sys\nfrom engine.encoder import Encoder\nencoder = Encoder()\nencoder.encode(['a lamp'])\n"
        "print(type(encoder._net).__name__, 'sentence_transformers' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["SentenceNet", "False"]


def test_a_folder_that_is_known_is_taken(changed):
    assert sentence_net._limit(changed) == 256


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"architectures": ["BertForMaskedLM"]}),
        ("config.json", {"max_position_embeddings": 128}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("sentence_bert_config.json", {"query_length": 32}),
        ("sentence_bert_config.json", {"max_seq_length": None}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}}),
        ("config_sentence_transformers.json", {"truncate_dim": 64}),
    ],
)
def test_a_folder_that_says_anything_else_is_left_to_the_library(changed, file, values):
    change(changed / file, **values)
    assert sentence_net.load(changed, detect("cpu")) is None


@pytest.mark.parametrize("layers", [(0, 1), (0, 2), (1, 2), (0, 1, 2, 2), (0, 2, 1), ()])
def test_other_layers_are_left_to_the_library(changed, layers):
    file = changed / "modules.json"
    given = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps([given[number] for number in layers]), "utf-8")
    assert sentence_net.load(changed, detect("cpu")) is None


@pytest.mark.parametrize(
    "file", ["modules.json", "config.json", "sentence_bert_config.json", "config_sentence_transformers.json"]
)
@pytest.mark.parametrize("content", [None, "", "[]", "7", "{"])
def test_descriptions_that_cannot_be_read_are_left_to_the_library(changed, file, content):
    if content is None:
        (changed / file).unlink()
    else:
        (changed / file).write_text(content, "utf-8")
    assert sentence_net.load(changed, detect("cpu")) is None


def test_the_encoder_says_the_same_of_itself_both_ways(encoder, monkeypatch):
    monkeypatch.setattr(sentence_net, "load", lambda *_: None)
    by_library = Encoder(hardware=encoder.hardware)
    assert isinstance(encoder._net, SentenceNet)
    assert not isinstance(by_library._net, SentenceNet)
    for name in ("name", "fingerprint", "max_tokens", "dimension", "_overhead", "_token_bytes", "_batch_tokens"):
        assert getattr(encoder, name) == getattr(by_library, name)
    assert (encoder.encode(pieces(20)) == by_library.encode(pieces(20))).all()
