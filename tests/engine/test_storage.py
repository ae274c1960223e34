"""A bundle on disk: what was written comes back, or one sentence says why not; an old one is never half replaced."""

from __future__ import annotations

import json
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import storage
from engine.errors import BundleError, FormatError

FILES = (storage.MANIFEST, storage.CHUNKS, storage.INDEX, storage.MEMORY)
FACTS = {"kind": "test", "language": "zh-cn", "models": {"memory": {"name": "a/b"}}}
CHUNKS = {"documents": [{"name": "a.txt", "text": "灯塔 and “words” \u2028"}], "chunks": [[0, 0, 4, 2]]}
INDEX = {"vectors": torch.arange(12, dtype=torch.float32).reshape(3, 4)}
MEMORY = {"keys.0": torch.randn(1, 2, 5, 8).to(torch.bfloat16), "values.0": torch.randn(1, 2, 5, 8)}


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "bundles" / "one"
    storage.write(folder, FACTS, CHUNKS, INDEX, MEMORY)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_wholly(folder: Path) -> storage.Bundle:
    """Read a bundle and wait until all of it was verified."""
    bundle = storage.read(folder)
    if bundle.verification is not None:
        bundle.verification.wait()
    return bundle


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


def test_what_was_written_comes_back(folder):
    bundle = read_wholly(folder)
    assert FACTS.items() <= bundle.manifest.items()
    assert bundle.manifest["format"] == storage.FORMAT
    assert bundle.chunks == CHUNKS
    assert same(bundle.index, INDEX)
    assert same(bundle.memory, MEMORY)
    assert names(folder) == sorted(FILES)
    assert names(folder.parent) == ["one"], "nothing is left beside it"


def test_the_memory_may_be_left_out(tmp_path):
    storage.write(tmp_path / "small", FACTS, CHUNKS, INDEX, None)
    bundle = storage.read(tmp_path / "small")
    assert bundle.memory is None
    assert bundle.verification is None
    assert names(tmp_path / "small") == sorted(set(FILES) - {storage.MEMORY})


def test_a_manifest_can_be_read_alone(folder):
    for name in FILES[1:]:
        (folder / name).unlink()
    assert storage.read_manifest(folder)["language"] == "zh-cn"


def test_the_files_are_json_and_safetensors_and_nothing_pickled(folder):
    for name in (storage.MANIFEST, storage.CHUNKS):
        json.loads((folder / name).read_text("utf-8"))
    for name in (storage.INDEX, storage.MEMORY):
        data = (folder / name).read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        assert all({"dtype", "shape", "data_offsets"} == set(facts) for facts in header.values())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.999])
def test_a_flipped_bit_is_noticed(folder, name, place):
    path = folder / name
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="memorise the text again"):
        read_wholly(folder)


@pytest.mark.parametrize("name", FILES[1:-1])
def test_all_but_the_memory_is_verified_before_anything_is_handed_out(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(BundleError, match="checksum"):
        storage.read(folder)


def test_no_changed_letter_of_a_manifest_is_taken_for_true(folder):
    path = folder / storage.MANIFEST
    data = path.read_bytes()
    for place in range(len(data)):
        if data[place : place + 1].isalnum():
            path.write_bytes(data[:place] + (b"7" if data[place] != ord("7") else b"8") + data[place + 1 :])
            with pytest.raises(BundleError):
                storage.read_manifest(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_noticed(folder, name, share):
    path = folder / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BundleError, match="memorise the text again"):
        storage.read(folder)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"'one' is incomplete: {name} is missing"):
        storage.read(folder)


def test_where_there_is_no_bundle_the_way_to_make_one_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleError, match=r"no bundle in .*memorize\(save_dir=\.\.\.\)") as caught:
            storage.read(folder)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{"format": 99, "files": {}}', "[]", '"text"', "{}", '{"format": 1, "files": []}', '{"format": 1}']
)
def test_another_format_is_refused(folder, text):
    (folder / storage.MANIFEST).write_text(text)
    with pytest.raises(FormatError, match="another format"):
        storage.read(folder)


def test_a_manifest_cannot_name_files_elsewhere(folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    manifest = storage.read_manifest(folder)
    manifest["files"]["../../secret"] = {"bytes": 6, "sha256": "0"}
    manifest["sha256"] = storage._sum_of(manifest)
    (folder / storage.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="incomplete"):
        storage.read(folder)


def test_a_bundle_is_replaced_as_a_whole(folder):
    storage.write(folder, FACTS | {"kind": "new"}, {"new": True}, INDEX, None)
    bundle = storage.read(folder)
    assert bundle.manifest["kind"] == "new"
    assert bundle.chunks == {"new": True}
    assert bundle.memory is None
    assert names(folder.parent) == ["one"]


def test_an_open_bundle_can_be_replaced(folder):
    before = storage.read(folder)
    storage.write(folder, FACTS, {}, INDEX, {"keys.0": torch.zeros(3)})
    assert same(before.memory, MEMORY)
    before.verification.wait()


def unharmed(folder: Path) -> None:
    assert storage.read(folder).chunks == CHUNKS
    assert names(folder.parent) == ["one"], "nothing half-made is left"


def test_a_full_disk_leaves_the_old_bundle(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(BundleError, match="'one' could not be written"):
            storage.write(folder, FACTS, {"new": True}, INDEX, {"keys.0": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    unharmed(folder)


def test_a_mistake_while_writing_leaves_the_old_bundle(folder):
    with pytest.raises(TypeError):
        storage.write(folder, FACTS, {"new": object()}, INDEX, None)
    unharmed(folder)


def test_a_failing_swap_puts_the_old_bundle_back(folder, monkeypatch):
    replace = Path.replace

    def failing(self, target):
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(BundleError, match="could not be written: Input/output error"):
        storage.write(folder, FACTS, {"new": True}, INDEX, None)
    unharmed(folder)


def test_writers_and_readers_at_once_see_whole_bundles_and_leave_nothing(tmp_path):
    place, until = tmp_path / "shared", time.monotonic() + 3
    storage.write(place, FACTS, CHUNKS, INDEX, MEMORY)

    def write(number: int) -> None:
        while time.monotonic() < until:
            with suppress(BundleError):
                storage.write(place, FACTS | {"kind": str(number)}, CHUNKS, INDEX, MEMORY)

    def read(_: int) -> int:
        whole = 0
        while time.monotonic() < until:
            with suppress(BundleError):
                assert same(read_wholly(place).memory, MEMORY)
                whole += 1
        return whole

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        assert sum(pool.map(read, range(2))) > 0
        for writer in writers:
            writer.result()
    assert names(tmp_path) == ["shared"]
    assert storage.read(place).chunks == CHUNKS


def test_an_interruption_between_the_two_renames_puts_the_old_bundle_back(folder, monkeypatch):
    replace = Path.replace

    def interrupted(self, target):
        if self.name.endswith(".partial"):
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.write(folder, FACTS, {"new": True}, INDEX, None)
    unharmed(folder)


def test_a_folder_with_other_files_is_never_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="'mine' holds other files than a bundle"):
        storage.write(tmp_path / "mine", FACTS, CHUNKS, INDEX, None)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_file_is_no_place_for_a_bundle(tmp_path):
    (tmp_path / "mine").write_text("years of work")
    for place in (tmp_path / "mine", tmp_path / "mine" / "below"):
        with pytest.raises(BundleError):
            storage.write(place, FACTS, CHUNKS, INDEX, None)
    assert (tmp_path / "mine").read_text() == "years of work"


def test_an_empty_folder_may_be_given(tmp_path):
    (tmp_path / "empty").mkdir()
    storage.write(tmp_path / "empty", FACTS, CHUNKS, INDEX, None)
    assert storage.read(tmp_path / "empty").chunks == CHUNKS


def test_an_array_in_any_layout_can_be_stored(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4).T
    storage.write(tmp_path / "a", FACTS, CHUNKS, {"vectors": storage.tensor(values)}, None)
    assert np.array_equal(storage.read(tmp_path / "a").index["vectors"].numpy(), values)


@pytest.mark.parametrize(
    "others", [("manifest.json",), ("manifest.json", "app.js"), ("manifest.json", "chunks.json", "notes.txt")]
)
def test_a_folder_with_a_manifest_of_something_else_is_never_replaced(tmp_path, others):
    for name in others:
        (tmp_path / "site" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "site" / name).write_text('{"name": "an app"}', "utf-8")
    with pytest.raises(BundleError, match="holds other files"):
        storage.write(tmp_path / "site", FACTS, CHUNKS, INDEX, MEMORY)
    assert names(tmp_path / "site") == sorted(others)
