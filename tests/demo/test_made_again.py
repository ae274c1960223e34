"""Ready-made corpora that are stale or damaged: they say so, are opened by nobody, and can be made again."""

from __future__ import annotations

import logging

import pytest

from demo import corpora, folders, text
from engine import storage
from engine.errors import InputError
from tests.demo import serving
from tests.demo.own_corpora import OTHER, OWN, damage, held
from tests.demo.serving import (
    another,
    cut,
    of_another_format,
    of_another_retriever,
    opened,
    started,
    with_another_seal,
    without_a_bundle,
    without_its_texts,
)

running, built = serving.running, serving.built
QUESTIONS = ({"question": "What is the dragon called?", "kind": "local"},)
WRONG = {
    of_another_retriever: "stale",
    of_another_format: "stale",
    cut: "damaged",
    without_its_texts: "damaged",
    with_another_seal: "damaged",
    without_a_bundle: "damaged",
}


@pytest.mark.models
@pytest.mark.parametrize(("spoil", "state"), WRONG.items(), ids=[spoil.__name__ for spoil in WRONG])
def test_what_cannot_be_used_says_so_is_opened_by_nobody_and_can_be_made_again(running, built, spoil, state):
    slug = spoil.__name__.replace("_", "-")  # a failure is remembered under its name for a while
    spoil(built(slug, is_shared=True, questions=QUESTIONS))
    assert running.condition(slug).state == state
    assert running.labels("anna")[slug] == f"The {slug} ({text.MARKS[state]})"
    job = running.open(slug, "anna")
    assert job.wait(30)
    said = {"stale": text.STALE, "damaged": text.DAMAGED}[state]
    assert str(job.snapshot().error) == said.format(title=f"The {slug}")
    assert not running.is_open(slug)
    job = running.rebuild(slug)
    assert job.wait(60)
    assert job.snapshot().error is None
    assert running.labels("anna")[slug] == f"The {slug}"
    assert running.pipeline(slug, "anna").memorized.documents[0].text == OWN
    assert running.entries[slug].questions == ("What is the dragon called?",)
    running.let_go(slug)
    assert running.condition(slug).state == "ready", "that is how it lies on the disk"
    with pytest.raises(InputError) as refused:
        running.rebuild(slug)
    assert str(refused.value) == text.NO_REBUILD


@pytest.mark.models
def test_damage_that_no_size_shows_is_known_after_opening(running, built):
    entry = built("flipped", is_shared=True)
    damage(entry.bundle / storage.MEMORY)
    assert running.condition("flipped").state == "ready"
    job = running.open("flipped", "anna")
    assert job.wait(30)
    assert str(job.snapshot().error) == text.DAMAGED.format(title="The flipped")
    assert running.labels("anna") == {"tide-mill": "The tide-mill", "flipped": "The flipped (damaged)"}
    assert running.rebuild("flipped").wait(60)
    assert running.labels("anna")["flipped"] == "The flipped"
    running.let_go("flipped")
    assert running.condition("flipped").state == "ready"
    assert storage.verify(running.entries["flipped"].bundle)


@pytest.mark.models
def test_what_was_repaired_on_the_disk_can_be_opened_at_once(running, built):
    cut(built("repaired"))
    assert running.open("repaired", "anna").wait(30)
    assert running.condition("repaired").state == "damaged"
    built("repaired", OTHER)
    assert running.condition("repaired").state == "ready"
    assert opened(running, "repaired") == OTHER


@pytest.mark.models
def test_what_cannot_be_made_again_says_what_to_do_and_not_where_the_texts_were(running, built, tmp_path):
    without_its_texts(built("lost"))
    (tmp_path / "lost.txt").unlink()
    job = running.rebuild("lost")
    assert job.wait(30)
    said = str(job.snapshot().error)
    assert "python -m demo.corpora build lost FILES" in said
    assert tmp_path.name not in said
    assert "lost.txt" not in said
    assert running.condition("lost").state == "damaged"


@pytest.mark.models
def test_what_ships_and_is_damaged_is_made_again_of_its_texts_beside_the_repository(
    cache_with_models, write_entry, tmp_path, service
):
    entry, cache = write_entry(tmp_path / "texts"), cache_with_models()
    corpora.ship(entry, service.models.get().fork())
    damage(entry.bundle / storage.INDEX)
    before = held(entry.folder)
    with another(service, cache_dir=cache, folder=tmp_path / "texts") as first:
        first.models = service.models
        assert first.condition("tide-mill").state == "ready"
        assert first.open("tide-mill").wait(30)
        assert first.labels("anna") == {"tide-mill": "The tide-mill (damaged)"}
        assert first.rebuild("tide-mill").wait(60)
        assert first.labels("anna") == {"tide-mill": "The tide-mill"}
        assert "Quarrel Bay" in first.pipeline("tide-mill", "anna").memorized.documents[0].text
    with another(service, cache_dir=cache, folder=tmp_path / "texts") as second:
        second.models = service.models
        assert "Quarrel Bay" in opened(second, "tide-mill")
    assert held(entry.folder) == before


@pytest.mark.models
def test_a_server_starts_whatever_lies_in_its_folders(running, built, until, caplog):
    cut(built("a-first", is_shared=True))
    damage(built("b-second", OTHER).bundle / storage.MEMORY)
    for number, data in enumerate((b"", b"{", b"\xff\xfe", b"[]", b'{"slug": "x"}')):
        folder = folders.make(running.ready_made.places.added / f"broken-{number}")
        (folder / "manifest.json").write_bytes(data)
    (running.ready_made.places.added / "a-file").write_text("x", "utf-8")
    (running.ready_made.places.added / "manifest.json").mkdir()
    with caplog.at_level(logging.ERROR), started(running, until) as server:
        until(lambda: server.is_open("tide-mill") or server.opening("tide-mill") is None, 60)
        assert server.labels("anna")["a-first"] == "The a-first (damaged)"
        assert opened(server, "tide-mill").startswith("The tide mill")
        assert server.open("b-second").wait(30)
        assert server.labels("anna")["b-second"] == "The b-second (private, damaged)"
        assert not any("broken" in corpus for corpus in server.titles("anna"))
        server.sweep()
    assert not [record for record in caplog.records if record.exc_info]
