"""The real client of the Hub against a stand-in server: what is downloaded, kept, sent and said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from engine import hub
from engine.download import CONVERSIONS, needed
from tests.hub_server import HubServer

ROOT = Path(__file__).parents[2]
NAME = "someone/tiny"
SMALL = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights"}
MODULES = {
    "modules.json": b"[]",
    "1_Pooling/config.json": b"{}",
    "2_Dense/config.json": b"{}",
    "2_Dense/model.safetensors": b"dense",
    "query_0_StaticEmbedding/model.safetensors": b"static",
}
# What a Hub repository may hold besides: the same weights in other forms, pickles, code, pictures.
BESIDES = dict.fromkeys(
    (
        "pytorch_model.bin",
        "2_Dense/pytorch_model.bin",
        "model.pt",
        "model.fp16.safetensors",
        "consolidated.safetensors",
        "original/consolidated.00.pth",
        "original/model.safetensors",
        "original/params.json",
        "onnx/model.onnx",
        "onnx/config.json",
        "openvino/openvino_model.xml",
        "model-Q4.gguf",
        "modeling_tiny.py",
        "README.md",
        "picture.png",
        "checkpoint-500/model.safetensors",
    ),
    b"not needed",
)
CODE = """
import json, sys
from pathlib import Path
from engine import hub
from engine.errors import ModelError
for name, cache, token in json.loads(sys.argv[1]):
    try:
        print(hub.locate(name, Path(cache) if cache else None, token))
    except ModelError as error:
        print(error)
"""


class Call(NamedTuple):
    name: str = NAME
    cache: str | None = None
    token: str | None = None


def locate(url: str, home: Path, *calls: Call) -> list[str]:
    """What a fresh process finds: for each call the folder, or the sentence of the error."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "XDG_CACHE_HOME": str(home / "cache"),
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-c", CODE, json.dumps(calls)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "hf_" not in run.stdout + run.stderr, "a token is never shown"
    return run.stdout.splitlines()


def held(folder: str | Path) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# What is downloaded


def test_only_what_is_needed_is_downloaded_and_only_once(tmp_path):
    with HubServer({NAME: {"main": SMALL | MODULES | BESIDES}}) as server:
        (folder,) = locate(server.url, tmp_path, Call())
        assert held(folder) == SMALL | MODULES
        assert server.fetched() == sorted(SMALL | MODULES)
        server.requests.clear()
        assert locate(server.url, tmp_path, Call()) == [folder]
        assert not server.requests, "what is there is used without asking the network"
    assert locate("http://127.0.0.1:9", tmp_path, Call()) == [folder]


def test_weights_in_parts_come_with_their_index(tmp_path):
    parts = {f"model-0000{i}-of-00002.safetensors": b"part" for i in (1, 2)}
    parts |= {"config.json": b"{}", "model.safetensors.index.json": b"{}"}
    with HubServer({NAME: {"main": parts | BESIDES}}) as server:
        (folder,) = locate(server.url, tmp_path, Call())
    assert held(folder) == parts


def test_weights_in_parts_beside_the_whole_are_left_out():
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert needed([*parts, "model.safetensors"]) == ["model.safetensors"]
    assert needed(["1_Dense/model-00001-of-00001.safetensors", "model.safetensors", "../config.json"]) == [
        "1_Dense/model-00001-of-00001.safetensors",
        "model.safetensors",
    ]


def test_a_downloaded_model_is_the_model_of_the_folder(tiny_model_dir, tmp_path):
    with HubServer({NAME: {"main": held(tiny_model_dir) | BESIDES}}) as server:
        (folder,) = locate(server.url, tmp_path, Call())
    assert hub.fingerprint(Path(folder)) == hub.fingerprint(tiny_model_dir)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model-Q4.gguf", "adapter_model.safetensors"])
def test_without_weights_that_are_safe_nothing_is_downloaded(tmp_path, weights):
    with HubServer({NAME: {"main": {"config.json": b"{}", weights: b"other weights"}}}) as server:
        (said,) = locate(server.url, tmp_path, Call())
        assert not server.fetched()
    assert said.startswith(
        f"The model {NAME!r} has no model.safetensors on the Hub, whole or in parts; its weights are "
    )
    assert f"{weights}. Pickled weights are never loaded, because they can run code: give {NAME}@REVISION of" in said


# Which one


def test_a_revision_may_be_named(tmp_path):
    other = SMALL | {"model.safetensors": b"converted weights"}
    with HubServer({NAME: {"main": SMALL, "refs/pr/3": other, "v1": SMALL}}) as server:
        names = [f"{NAME}@refs/pr/3", f"{NAME}@v1", NAME, f"{NAME}@v2"]
        *folders, refused = locate(server.url, tmp_path, *(Call(name) for name in names))
    assert [held(folder) for folder in folders] == [other, SMALL, SMALL]
    assert refused == (
        f"The Hub has no such revision of '{NAME}@v2'; give a branch, a tag or a commit of it after the '@'."
    )


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_known_conversion_to_safetensors_is_taken(tmp_path, name):
    pickled = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with HubServer({name: {"main": pickled, CONVERSIONS[name]: pickled | SMALL}}) as server:
        folder, said = locate(server.url, tmp_path, Call(name), Call(f"{name}@main"))
        assert "pytorch_model.bin" not in server.fetched()
    assert held(folder) == SMALL
    assert "its weights are pytorch_model.bin" in said


def test_the_gpu_retriever_needs_no_pickle():
    assert hub.AUTO["retriever"]["gpu"] in CONVERSIONS


# Where it is kept


def test_downloads_go_to_the_cache_that_all_programs_share_or_to_ones_own(tmp_path):
    own = tmp_path / "own"
    with HubServer({NAME: {"main": SMALL}}) as server:
        calls = [Call(), Call(cache=str(own)), Call(cache=str(tmp_path / "cache" / "memorag"))]
        shared, mine, default = map(Path, locate(server.url, tmp_path, *calls))
    assert shared.is_relative_to(tmp_path / "hub")
    assert mine.is_relative_to(own / "hub")
    assert default == shared, "the default folder named in full is the default"
    assert held(mine) == held(shared) == SMALL


def test_a_cache_folder_that_cannot_be_written_is_told_apart(tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    with HubServer({NAME: {"main": SMALL}}) as server:
        (said,) = locate(server.url, tmp_path, Call(cache=str(tmp_path / "file")))
    assert said.startswith(f"The model {NAME!r} could not be stored in the cache folder: ")


def test_a_download_that_stopped_is_finished_later_and_not_taken_for_whole(tmp_path):
    with HubServer({NAME: {"main": SMALL}}, withheld={"model.safetensors"}) as server:
        (said,) = locate(server.url, tmp_path, Call())
        assert "The Hub refused access" in said
        (said,) = locate("http://127.0.0.1:9", tmp_path, Call())
        assert "is not on this machine and the Hugging Face Hub cannot be reached" in said
        server.withheld.clear()
        server.requests.clear()
        (folder,) = locate(server.url, tmp_path, Call())
        assert server.fetched() == ["model.safetensors"]
    assert held(folder) == SMALL


@pytest.mark.parametrize("gone", [None, "config.json", "model-00002-of-00002.safetensors", "tokenizer.json"])
def test_what_older_programs_left_in_the_cache_is_used_where_it_can_be_loaded(tmp_path, gone):
    parts = {f"model-0000{i}-of-00002.safetensors": b"part" for i in (1, 2)}
    index = json.dumps({"weight_map": {str(i): name for i, name in enumerate(parts)}}).encode()
    files = parts | {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": index}
    with HubServer({NAME: {"main": files}}) as server:
        (folder,) = locate(server.url, tmp_path, Call())
        shutil.rmtree(Path(folder).parents[1] / "trees")  # older versions kept no list of files
        if gone is not None:
            (Path(folder) / gone).unlink()
        (said,) = locate("http://127.0.0.1:9", tmp_path, Call())
        assert (said == folder) == (gone in (None, "tokenizer.json"))
        assert locate(server.url, tmp_path, Call()) == [folder]
    assert held(folder) == files, "with the Hub in reach it is completed"


# What is sent and what is said


@pytest.mark.parametrize(
    ("token", "header"), [(None, None), ("", None), (" \n", None), ("hf_right\n", "Bearer hf_right")]
)
def test_the_token_is_sent_with_every_request_for_a_model_and_never_empty(tmp_path, token, header):
    with HubServer({NAME: {"main": SMALL}}) as server:
        (folder,) = locate(server.url, tmp_path, Call(token=token))
        # The client also asks the Hub for things of its own, which name no model.
        assert {sent for _, path, sent in server.requests if NAME in path} == {header}
    assert held(folder) == SMALL


def test_what_the_hub_refuses_is_told_apart(tmp_path):
    models = {name: {"main": SMALL} for name in (NAME, "some/gated", "some/private")}
    with HubServer(models, gated=frozenset({"some/gated"}), private=frozenset({"some/private"})) as server:
        calls = [
            Call("some/gated", token="hf_right"),
            Call("some/missing"),
            Call("some/private"),
            Call(token="hf_wrong"),
            Call("some/private", token="hf_right"),
        ]
        gated, missing, private, wrong, allowed = locate(server.url, tmp_path, *calls)
    assert gated == "The model 'some/gated' is gated: accept its terms on the Hub and give an access token."
    assert missing == "The Hub has no model 'some/missing', or it is private: check the name, or give a token."
    assert private == missing.replace("missing", "private")
    assert wrong == (f"The Hub refused access to {NAME!r}: give an access token that is valid and may read this model.")
    assert held(allowed) == SMALL
