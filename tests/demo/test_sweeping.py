"""What crashes and broken-off uploads leave behind, and that the sweeper goes on whatever it meets."""

import logging
import os
import tempfile
import time

import pytest

from demo import service as services
from demo.sweeping import INCOMING, sweep_elsewhere

HASH = "0123456789abcdef" * 4


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "cache"


def made(path, hours, data="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data)
    for changed in (path, path.parent):
        os.utime(changed, (time.time() - hours * 3600,) * 2)
    return path


def test_broken_off_uploads_go_after_ten_minutes_and_running_ones_stay(cache):
    old, new = made(cache / INCOMING / "tmpabc", 0.2), made(cache / INCOMING / "tmpdef", 0.15)
    sweep_elsewhere(cache, cache / INCOMING)
    assert not old.exists()
    assert new.exists()


def test_in_the_demos_own_folder_uploads_that_nobody_came_for_go_too(cache):
    old, other = made(cache / INCOMING / HASH / "a.txt", 0.2), made(cache / INCOMING / "kept" / "a.txt", 2)
    new = made(cache / INCOMING / HASH[::-1] / "a.txt", 0.15)
    sweep_elsewhere(cache, cache / INCOMING)
    assert not old.parent.exists()
    assert new.exists()
    assert other.exists()


def test_in_a_folder_that_others_use_too_only_what_is_surely_left_over_goes(cache, tmp_path):
    shared = tmp_path / "shared"
    theirs, old = made(shared / HASH / "a.txt", 2), made(shared / "tmpabc", 2)
    empty = shared / HASH[::-1]
    empty.mkdir()
    os.utime(empty, (time.time() - 7200,) * 2)
    sweep_elsewhere(cache, shared)
    assert theirs.exists()
    assert not old.exists()
    assert not empty.exists()


@pytest.mark.parametrize("place", ["kept", "added", "building", "building/harry"])
def test_halves_of_ready_made_bundles_and_places_of_reading_go_after_an_hour(cache, tmp_path, place):
    old = made(cache / "corpora" / place / ".harry.12.partial" / "chunks.json", 1.1)
    new = made(cache / "corpora" / place / ".harry.34.partial" / "chunks.json", 0.9)
    whole = made(cache / "corpora" / place / "harry" / "chunks.json", 20)
    reading = made(tmp_path / "temporary" / "memorag-reading-x" / "text", 1.1)
    read_now = made(tmp_path / "temporary" / "memorag-reading-y" / "text", 0.9)
    sweep_elsewhere(cache, None)
    assert not old.parent.exists()
    assert new.exists()
    assert whole.exists()
    assert not reading.parent.exists()
    assert read_now.exists()


def test_a_link_goes_and_what_it_leads_to_stays(cache, tmp_path):
    precious = made(tmp_path / "precious" / "tmpfile", 5)
    (cache / INCOMING).mkdir(parents=True)
    link = cache / INCOMING / "tmplink"
    link.symlink_to(precious)
    os.utime(link, (time.time() - 7200,) * 2, follow_symlinks=False)
    sweep_elsewhere(cache, cache / INCOMING)
    assert precious.exists()
    assert not link.is_symlink()


def test_folders_that_are_not_there_are_no_trouble(cache):
    sweep_elsewhere(cache, None)
    sweep_elsewhere(cache, cache / INCOMING)
    assert not cache.exists()


def test_the_sweeper_goes_on_after_an_error_and_names_no_file_of_a_visitor(idle_service, monkeypatch, caplog, until):
    sweeps = []

    def failing(*_):
        sweeps.append(1)
        raise PermissionError(13, "Permission denied", "/visitors/private diary.txt")

    monkeypatch.setattr(services.sweeping, "sweep_elsewhere", failing)
    monkeypatch.setattr(services, "_SWEEP_SECONDS", 0.01)
    with caplog.at_level(logging.WARNING):
        idle_service.start_sweeping()
        until(lambda: len(sweeps) > 3)
    idle_service.close()
    assert "PermissionError" in caplog.text
    assert "diary" not in caplog.text
