"""Long corpora: asked while they are memorised, kept stage by stage, and gone on with where work was interrupted."""

from __future__ import annotations

import numpy as np
import pytest

from engine import memorizer, storage
from engine.bundle import contents_of
from engine.errors import BundleError, Cancelled, NotMemorizedError
from engine.events import Stop
from tests.pipelines import OTHER, QUESTION, SHORT, events_of, evidence_of, filler

pytestmark = pytest.mark.models
# The tenth text is the one that the question is about.
TEXTS = [*(filler(4 * n, 4) for n in range(9)), SHORT, filler(36, 4)]


@pytest.fixture
def long(monkeypatch):
    """Makes twenty chunks a long corpus, embedded five at a time."""
    monkeypatch.setattr(memorizer, "_LONG", 20)
    monkeypatch.setattr(memorizer, "_BLOCK", 5)


@pytest.fixture(scope="module")
def whole(tiny):
    """The same texts, memorised without stages."""
    pipeline = tiny.fork()
    pipeline.memorize(TEXTS)
    return pipeline


def interrupted(pipeline, folder, stage: str, after: int = 1) -> list[str]:
    """Memorise and stop when a stage was reported on so many times; return the stages that were reported."""
    seen, stop = [], Stop()

    def on_progress(progress) -> None:
        seen.append(progress.stage)
        if seen.count(stage) >= after:
            stop.set()

    with pytest.raises(Cancelled):
        pipeline.memorize(TEXTS, save_dir=folder, on_progress=on_progress, stop=stop)
    return seen


def test_a_long_corpus_can_be_asked_at_every_stage(tiny, long, whole, tmp_path):
    pipeline, missing = tiny.fork(), []

    def on_ready() -> None:
        missing.append(pipeline.memorized.missing)
        assert any("Isolde Marrick" in p.text for p in evidence_of(pipeline, QUESTION, "memorag").passages)
        for task in ("memorag", "rag", "summarize"):
            assert events_of(pipeline, task_type=task)[-1].evidence
        again = tiny.fork()
        again.load(tmp_path / "kept")
        assert again.memorized.missing == pipeline.memorized.missing
        assert again.memorized.chunks == pipeline.memorized.chunks

    pipeline.memorize(TEXTS, save_dir=tmp_path / "kept", on_ready=on_ready)
    assert missing == [("memory", "vectors"), ("vectors",), ()]
    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "kept" / storage.UNFINISHED).exists()
    assert pipeline.memorized.gists == whole.memorized.gists
    # Texts of one length share a batch, and batches differ: so may the last bit of a number.
    np.testing.assert_allclose(
        pipeline.memorized.dense.index.vectors(), whole.memorized.dense.index.vectors(), atol=2e-3
    )


def test_a_short_corpus_is_ready_once(tiny):
    pipeline, missing = tiny.fork(), []
    pipeline.memorize(SHORT, on_ready=lambda: missing.append(pipeline.memorized.missing))
    assert missing == [()]


def test_the_memory_alone_is_not_asked_before_it_is_there(tiny, long):
    pipeline, told = tiny.fork(), []

    def on_ready() -> None:
        if "memory" in pipeline.memorized.missing:
            with pytest.raises(NotMemorizedError, match="still being made") as caught:
                events_of(pipeline, task_type="qa")
            told.append(str(caught.value))

    pipeline.memorize(TEXTS, on_ready=on_ready)
    assert len(told) == 1


@pytest.mark.parametrize(("stage", "missing"), [("choosing gists", ("memory", "vectors")), ("embedding", ("vectors",))])
def test_stopping_keeps_what_can_be_asked_already(tiny, long, tmp_path, stage, missing):
    pipeline = tiny.fork()
    pipeline.memorize(OTHER)
    interrupted(pipeline, tmp_path / "kept", stage)
    assert pipeline.memorized.missing == missing
    assert any("Isolde Marrick" in p.text for p in evidence_of(pipeline, QUESTION).passages)


@pytest.mark.parametrize("way", ["memorize", "complete"])
def test_work_goes_on_where_it_was_interrupted(tiny, long, whole, tmp_path, way):
    interrupted(tiny.fork(), tmp_path / "kept", "embedding", after=3)
    kept = (tmp_path / "kept" / storage.UNFINISHED).stat().st_size
    again, seen = tiny.fork(), []
    if way == "memorize":
        again.memorize(TEXTS, save_dir=tmp_path / "kept", on_progress=seen.append)
    else:
        again.load(tmp_path / "kept")
        again.complete(tmp_path / "kept", on_progress=seen.append)
    embedding = [event for event in seen if event.stage == "embedding"]
    assert {event.stage for event in seen} <= {"indexing words", "embedding"}, "neither split nor read again"
    assert embedding[0].done > embedding[0].total // 10 and kept > 10 * 2 * 384, "what was embedded is kept"
    assert embedding[-1].done == embedding[-1].total
    assert again.memorized.missing == ()
    np.testing.assert_allclose(again.memorized.dense.index.vectors(), whole.memorized.dense.index.vectors(), atol=2e-3)
    loaded = tiny.fork()
    loaded.load(tmp_path / "kept")
    assert loaded.memorized.missing == ()
    assert events_of(loaded)[-1].text == events_of(again)[-1].text


def test_another_text_in_that_folder_is_read_from_its_beginning(tiny, long, tmp_path):
    interrupted(tiny.fork(), tmp_path / "kept", "embedding", after=2)
    other, seen = tiny.fork(), []
    other.memorize(list(reversed(TEXTS)), save_dir=tmp_path / "kept", on_progress=seen.append)
    assert {"splitting", "memorising"} <= {event.stage for event in seen}
    assert next(event for event in seen if event.stage == "embedding").done < seen[-1].total // 4


def test_what_was_begun_and_is_damaged_is_read_from_its_beginning(tiny, long, tmp_path):
    interrupted(tiny.fork(), tmp_path / "kept", "embedding", after=2)
    path = tmp_path / "kept" / storage.INDEX
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    again, seen = tiny.fork(), []
    again.memorize(TEXTS, save_dir=tmp_path / "kept", on_progress=seen.append)
    assert "splitting" in {event.stage for event in seen}
    assert again.memorized.missing == ()


def test_documents_can_be_added_to_and_taken_from_what_is_not_finished(tiny, long, tmp_path):
    pipeline = tiny.fork()
    interrupted(pipeline, tmp_path / "kept", "embedding")
    pipeline.add(OTHER)
    held = pipeline.memorized
    assert (held.missing, len(held.documents)) == ((), len(TEXTS) + 1)
    assert len(held.dense) == len(held.chunks)
    interrupted(pipeline, tmp_path / "again", "choosing gists")
    pipeline.remove("text 1")
    assert (pipeline.memorized.missing, len(pipeline.memorized.documents)) == ((), len(TEXTS) - 1)


def test_a_bundle_says_what_is_missing_and_may_not_lie_about_it(tiny, long, tmp_path):
    interrupted(tiny.fork(), tmp_path / "kept", "embedding")
    bundle = storage.read(tmp_path / "kept")
    assert contents_of(bundle, "kept").missing == ("vectors",)
    manifest = {name: value for name, value in bundle.manifest.items() if name != "files"}
    storage.write(tmp_path / "kept", manifest | {"missing": []}, bundle.chunks, dict(bundle.index), bundle.memory)
    with pytest.raises(BundleError, match=r"0 vectors for \d+ chunks"):
        tiny.fork().load(tmp_path / "kept")
