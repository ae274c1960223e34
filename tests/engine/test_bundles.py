"""Bundles of whole pipelines: saved, loaded, opened with other models, refused when they are not what they say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from engine import storage
from engine.__main__ import main
from engine.bundle import contents_of
from engine.documents import Document
from engine.errors import BundleError
from engine.memorag import MemoRAG
from engine.memorag_lite import MemoRAGLite
from engine.model import Model
from tests.pipelines import OTHER, QUESTION, SHORT, events_of, filler

pytestmark = pytest.mark.models


def test_memorising_saves_where_it_is_told(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(OTHER, save_dir=str(tmp_path / "other"))
    again = tiny.fork()
    again.load(str(tmp_path / "other"))
    assert again.memorized.documents == pipeline.memorized.documents
    assert events_of(again)[-1].text == events_of(pipeline)[-1].text


def test_a_bundle_without_memory_is_small_loads_and_answers_the_same(tiny, tmp_path, bundle):
    tiny.save(tmp_path / "small", with_memory=False)
    assert not (tmp_path / "small" / storage.MEMORY).exists()
    pipeline, seen = tiny.fork(), []
    pipeline.load(tmp_path / "small", on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising", "indexing words"}
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


@pytest.mark.parametrize("with_memory", [True, False])
def test_a_bundle_serves_any_memory_model(tiny, tmp_path, tiny_folder_of, encoder, hardware32, with_memory):
    tiny.save(tmp_path / "bundle", with_memory)
    other, seen = MemoRAGLite(Model(str(tiny_folder_of("qwen3")), hardware=hardware32), encoder), []
    other.load(tmp_path / "bundle", on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising", "indexing words"}, "gists are read again, the text is not"
    assert other.memorized.gists == tiny.memorized.gists
    fresh = MemoRAGLite(other.model, encoder)
    fresh.memorize(SHORT)
    assert other.memorized.memory.answer(QUESTION, 12) == fresh.memorized.memory.answer(QUESTION, 12)


def test_gists_are_made_shorter_for_a_memory_model_with_a_small_window(tiny, tmp_path, tiny_model_dir, hardware32):
    pipeline = tiny.fork()
    pipeline.memorize(filler(0, 40), save_dir=tmp_path / "bundle")
    folder = tmp_path / "small"
    shutil.copytree(tiny_model_dir, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1200}))
    other = MemoRAGLite(Model(str(folder), hardware=hardware32), tiny.encoder)
    other.load(tmp_path / "bundle")
    assert sum(map(other.model.count_tokens, (g.text for g in other.memorized.gists))) <= other.memorizer.budget < 200
    assert sum(map(tiny.model.count_tokens, (g.text for g in pipeline.memorized.gists))) > 400
    assert events_of(other)[-1].evidence


def test_the_manifest_names_all_that_the_bundle_depends_on(tiny, bundle):
    manifest = json.loads((bundle / storage.MANIFEST).read_text("utf-8"))
    assert manifest["memory_model"] == {"name": tiny.model.name, "fingerprint": tiny.model.fingerprint}
    assert manifest["retriever"] == {"name": tiny.encoder.name, "fingerprint": tiny.encoder.fingerprint}
    assert manifest["prompts"] == tiny.memorized.memory.prompts.digest
    assert manifest["tokenizer"] == tiny.model.tokenizer_name
    assert manifest["chunking"] == {"tokens": tiny.memorizer.chunk_size, "tokenizer": tiny.encoder.name}
    assert manifest["versions"]["torch"] == torch.__version__
    assert set(manifest["versions"]) >= {"torch", "transformers", "safetensors", "sentence-transformers", "faiss-cpu"}
    assert str(bundle.parent) not in json.dumps(manifest)


def test_a_memory_made_with_other_prompts_is_read_anew(tiny, bundle):
    read = storage.read(bundle)
    manifest = {**read.manifest, "prompts": "0" * 16}
    storage.write(bundle, {k: v for k, v in manifest.items() if k != "files"}, read.chunks, read.index, read.memory)
    pipeline, seen = tiny.fork(), []
    pipeline.load(bundle, on_progress=seen.append)
    assert {event.stage for event in seen} == {"memorising", "indexing words"}
    assert events_of(pipeline)[-1].text == events_of(tiny)[-1].text


def test_a_bundle_of_another_retriever_is_refused_with_both_named(tiny, bundle):
    read = storage.read(bundle)
    manifest = {**read.manifest, "retriever": {"name": "some/encoder", "fingerprint": "0123456789abcdef"}}
    storage.write(bundle, {k: v for k, v in manifest.items() if k != "files"}, read.chunks, read.index, read.memory)
    both = rf"some/encoder \(0123456789abcdef\).*{tiny.encoder.name} \({tiny.encoder.fingerprint}\)"
    with pytest.raises(BundleError, match=both):
        tiny.fork().load(bundle)


def test_a_bundle_is_memory_mapped(tiny, tmp_path):
    pipeline = tiny.fork()
    pipeline.memorize(SHORT, save_dir=tmp_path / "bundle")
    pipeline.load(tmp_path / "bundle")
    maps = Path("/proc/self/maps").read_text()
    assert str((tmp_path / "bundle" / storage.MEMORY).resolve()) in maps


def test_a_bundle_of_the_other_pipeline_is_refused(tiny_model, encoder, bundle):
    with pytest.raises(BundleError, match="made by 'memorag-lite', not by 'memorag'"):
        MemoRAG(tiny_model, encoder).load(bundle)


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.CHUNKS, storage.INDEX])
def test_a_damaged_bundle_is_refused_and_what_was_held_stays(tiny, bundle, name):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    pipeline = tiny.fork()
    pipeline.memorize(OTHER)
    before = pipeline.memorized
    with pytest.raises(BundleError):
        pipeline.load(bundle)
    assert pipeline.memorized is before


def test_a_bundle_whose_text_was_exchanged_is_refused(tiny, bundle):
    read = storage.read(bundle)
    texts = bytearray(read.index["texts"].numpy().tobytes().replace(b"Marrick", b"Merrick"))
    index = read.index | {"texts": torch.frombuffer(texts, dtype=torch.uint8)}
    storage.write(bundle, {k: v for k, v in read.manifest.items() if k != "files"}, read.chunks, index, read.memory)
    with pytest.raises(BundleError, match=r"holds the text \w{12}, but \w{12} is the one that was memorised"):
        tiny.fork().load(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"language": "\ud800"},
        {"language": 5},
        {"kind": None},
        {"stats": [1]},
        {"chunking": {"tokens": 1e999}},
        {"chunking": {}},
        {"retriever": "some/encoder"},
        {"memory_model": {"name": "\x1b[31m", "fingerprint": "0"}},
        {"versions": 5},
        {"digest": "0" * 64},
    ],
)
def test_a_manifest_that_holds_something_else_is_refused_everywhere(tiny, bundle, change, capsys):
    manifest = {k: v for k, v in json.loads((bundle / storage.MANIFEST).read_text("utf-8")).items() if k != "sha256"}
    manifest |= change
    (bundle / storage.MANIFEST).write_text(json.dumps(manifest | {"sha256": storage._sum_of(manifest)}), "utf-8")
    with pytest.raises(BundleError):
        tiny.fork().load(bundle)
    assert main(["info", str(bundle)]) == 1
    told = capsys.readouterr()
    assert "bundle" in told.err
    assert "Traceback" not in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize("text", ["[" * 100_000, '{"files": ' * 50_000, '{"format": 2, "files": {"chunks.json": 3}}'])
def test_a_manifest_that_is_no_manifest_is_refused_everywhere(tiny, bundle, text, capsys):
    (bundle / storage.MANIFEST).write_text(text, "utf-8")
    with pytest.raises(BundleError):
        tiny.fork().load(bundle)
    for command in (["info", str(bundle)], ["ask", str(bundle), QUESTION]):
        assert main(command) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("chunk", [[0, 5, 5, 1], [0, 0, 10, 10**12], [0, 0, 10, -1]])
def test_chunks_that_cannot_be_are_refused(tiny, bundle, chunk):
    read = storage.read(bundle)
    index = read.index | {"chunks": torch.tensor([chunk])}
    storage.write(bundle, {k: v for k, v in read.manifest.items() if k != "files"}, read.chunks, index, read.memory)
    with pytest.raises(BundleError):
        tiny.fork().load(bundle)


def test_gists_that_a_bundle_lacks_are_made_where_they_are_needed(tiny, bundle):
    read = storage.read(bundle)
    manifest = {k: v for k, v in read.manifest.items() if k != "files"} | {"prompts": "0" * 16}
    storage.write(bundle, manifest, {**read.chunks, "gists": []}, read.index, read.memory)
    opened = tiny.fork()
    opened.load(bundle)
    assert opened.memorized.gists == tiny.memorized.gists
    assert opened.memorized.missing == ()


def test_a_memory_that_has_to_be_read_anew_can_be_left_for_later(tiny, tmp_path):
    tiny.save(tmp_path / "small", with_memory=False)
    opened, ready = tiny.fork(), []
    opened.load(tmp_path / "small", lazily=True)
    assert opened.memorized.missing == ("memory",)
    assert opened.memorized.gists == tiny.memorized.gists
    assert isinstance(opened(QUESTION, max_new_tokens=4), str)
    opened.complete(tmp_path / "whole", on_ready=lambda: ready.append(opened.memorized.missing))
    assert ready[-1] == ()
    assert opened.memorized.gists == tiny.memorized.gists
    assert opened.stats == tiny.stats
    again = tiny.fork()
    again.load(tmp_path / "whole", lazily=True)
    assert again.memorized.missing == ()


def test_a_bundle_that_has_its_memory_is_loaded_whole_also_lazily(tiny, bundle):
    opened = tiny.fork()
    opened.load(bundle, lazily=True)
    assert opened.memorized.missing == ()


def test_the_bytes_held_are_told_beforehand(tiny, bundle):
    assert storage.read_manifest(bundle)["held_bytes"] == tiny.memorized.nbytes


@pytest.mark.parametrize("name", [storage.CHUNKS, storage.INDEX, storage.MEMORY])
def test_every_file_of_a_bundle_is_compared_with_what_was_saved(bundle, name):
    assert storage.verify(bundle)["files"].keys() == {storage.CHUNKS, storage.INDEX, storage.MEMORY}
    damaged = bundle / name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=name):
        storage.verify(bundle)
    storage.verify(bundle, skip=[name])
    damaged.unlink()
    with pytest.raises(BundleError, match="incomplete or damaged"):
        storage.verify(bundle)


def test_texts_can_be_read_where_the_memory_is_damaged(tiny, bundle):
    (bundle / storage.MEMORY).write_bytes(b"")
    with pytest.raises(BundleError):
        storage.read(bundle)
    read = storage.read(bundle, with_memory=False)
    assert read.memory is None
    assert contents_of(read, "bundle").documents == tiny.memorized.documents


def test_the_memory_can_be_taken_out_of_a_bundle(tiny, bundle):
    storage.without_memory(bundle)
    assert not (bundle / storage.MEMORY).exists()
    storage.verify(bundle)
    opened = tiny.fork()
    opened.load(bundle)
    assert opened.stats == tiny.stats


def test_what_a_caller_raises_while_a_bundle_is_loaded_is_its_own(tiny, tmp_path):
    tiny.save(tmp_path / "small", with_memory=False)

    def failing(_):
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        tiny.fork().load(tmp_path / "small", on_progress=failing)


def test_a_corpus_keeps_its_chunk_size(tiny_model, encoder, tmp_path):
    small = MemoRAGLite(tiny_model, encoder, retrieval_chunk_size=32)
    small.memorize(filler(0, 3), save_dir=tmp_path / "small")
    large = MemoRAGLite(tiny_model, encoder)
    large.load(tmp_path / "small")
    large.add(Document("more.txt", filler(3, 3)))
    large.save(tmp_path / "more")
    assert max(chunk.tokens for chunk in large.memorized.chunks) <= 32
    assert json.loads((tmp_path / "more" / storage.MANIFEST).read_text())["chunking"]["tokens"] == 32


def test_a_missing_bundle_is_refused(tiny, tmp_path):
    with pytest.raises(BundleError, match="There is no bundle in 'nowhere'"):
        tiny.fork().load(tmp_path / "nowhere")


def test_a_bundle_can_be_moved(tiny, bundle, tmp_path):
    moved = shutil.move(bundle, tmp_path / "elsewhere")
    pipeline = tiny.fork()
    pipeline.load(moved)
    assert pipeline.memorized.documents == tiny.memorized.documents
