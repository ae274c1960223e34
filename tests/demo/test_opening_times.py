"""The benchmark of ready-made corpora runs end to end on tiny texts, and says what it measured."""

import pytest

from engine.settings import Settings
from tests.benchmarks import corpora
from tests.demo.lighthouse import DATA


@pytest.mark.models
def test_the_benchmark_of_opening_measures_what_it_says(engine_models, write_entry, tmp_path):
    from engine.memorag_lite import MemoRAGLite

    write_entry(tmp_path / "shipped")
    pipeline, settings = MemoRAGLite(*engine_models), Settings(cache_dir=tmp_path)
    found = corpora.measure(
        pipeline, DATA / "lighthouse.txt", 1, 2 * corpora.TWENTY, 0, settings, shipped=tmp_path / "shipped"
    )
    assert found["corpora"].keys() == {"tide-mill", "(a text of one's own)"}
    for row in found["corpora"].values():
        assert 0 < row["asked_after"] <= row["memory_after"]
        assert row["kept_asked_after"] > 0
        assert row["held_mb"] > 0
    switched = found["switching"]
    assert switched["opened"] > corpora.TWENTY, "some were let go and opened again"
    assert 0 < switched["most_held_mb"] <= switched["budget_mb"]
