"""Folders of visitors: what is kept, what is found again, and that no name leads anywhere else."""

import json
import os
import stat
import time
from dataclasses import asdict, replace

import pytest

from demo.shelf import Facts, Shelf

ANNA, BERT = "a" * 64, "b" * 64
DIARY = Facts("diary.txt", ("diary.txt",), 1000.0)
HOSTILE = ["..", "../b", "/etc", "a/b", "a\\b", "", ".", ".hidden", "a\x00b", "a" * 65, "ä", "a b", "a\nb", "-x"]


@pytest.fixture
def shelf(tmp_path):
    with_root = Shelf(tmp_path / "visitors")
    yield with_root
    with_root.close()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_corpus_is_found_again_after_a_restart_by_its_owner_alone(tmp_path):
    first = Shelf(tmp_path / "visitors")
    corpus, facts = first.add(ANNA, DIARY), replace(DIARY, state="done", notes=("A note.",), attempts=2)
    first.put(ANNA, corpus, facts)
    first.close()
    second = Shelf(tmp_path / "visitors")
    assert second.corpora(ANNA) == {corpus: facts}
    assert second.corpora(BERT) == {}
    assert second.get(BERT, corpus) is None
    second.close()


def test_ids_cannot_be_guessed_and_only_this_user_may_look(shelf):
    ids = {shelf.add(ANNA, DIARY) for _ in range(20)}
    assert len(ids) == 20
    assert all(len(corpus.removeprefix("mine-")) == 22 for corpus in ids)
    for corpus in ids:
        folder = shelf.bundle(ANNA, corpus).parent
        assert [mode(path) for path in (shelf.path, folder.parent, folder)] == [0o700] * 3
        assert mode(folder / "facts.json") == 0o600


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_none_leads_nowhere(shelf, name):
    for look in (
        lambda: shelf.folder(name),
        lambda: shelf.bundle(name, "mine-" + "x" * 22),
        lambda: shelf.add(name, DIARY),
    ):
        with pytest.raises(ValueError, match="no name"):
            look()
    for corpus in (name, f"mine-{name}", f"mine-{'x' * 22}/{name}"):
        with pytest.raises(ValueError, match="no name"):
            shelf.bundle(ANNA, corpus)
        assert shelf.get(ANNA, corpus) is None


@pytest.mark.parametrize("title", ["../../x.txt", "/etc/passwd", "a\x00b", "x" * 5000, "ünï/код.txt", "facts.json"])
def test_what_a_visitor_calls_a_corpus_is_data_only(shelf, title):
    corpus = shelf.add(ANNA, Facts(title, (title,), 1.0))
    assert files(shelf.path) == [".lock", f"{ANNA}/{corpus}/facts.json"]
    again = Shelf(shelf.path)  # the folder is in use, so this one is another
    assert again.path != shelf.path
    again.close()
    shelf.close()
    reopened = Shelf(shelf.path)
    assert reopened.get(ANNA, corpus).title == title
    reopened.close()


def test_removing_takes_all_of_one_visitor_and_nothing_of_others(shelf):
    mine, theirs = [shelf.add(ANNA, DIARY) for _ in range(2)], shelf.add(BERT, DIARY)
    shelf.bundle(ANNA, mine[0]).mkdir()
    (shelf.bundle(ANNA, mine[0]) / "chunks.json").write_text("secret")
    assert sorted(shelf.remove_all(ANNA)) == sorted(mine)
    assert shelf.corpora(ANNA) == {}
    assert not shelf.folder(ANNA).exists()
    assert list(shelf.corpora(BERT)) == [theirs]
    assert files(shelf.path) == [".lock", f"{BERT}/{theirs}/facts.json"]


def test_what_a_stopped_job_still_writes_is_deleted_too(shelf):
    corpus = shelf.add(ANNA, DIARY)
    shelf.remove_all(ANNA)
    shelf.bundle(ANNA, corpus).mkdir(parents=True)
    shelf.put(ANNA, corpus, DIARY)
    assert shelf.get(ANNA, corpus) is None, "it stays removed"
    shelf.remove(ANNA, corpus)
    assert not shelf.bundle(ANNA, corpus).exists()


def test_corpora_go_when_their_time_is_over(shelf):
    old, new = shelf.add(ANNA, DIARY), shelf.add(ANNA, replace(DIARY, since=2000.0))
    assert shelf.expire(1500.0) == [(ANNA, old)]
    assert list(shelf.corpora(ANNA)) == [new]
    assert shelf.expire(1500.0) == []


def test_leftovers_of_a_crash_are_swept_and_what_is_in_use_is_not(shelf):
    kept, busy = shelf.add(ANNA, DIARY), shelf.add(ANNA, DIARY)
    for corpus in (kept, busy):
        (shelf.bundle(ANNA, corpus).parent / ".bundle.1234.partial").mkdir()
        (shelf.bundle(ANNA, corpus).parent / ".bundle.1234.old").mkdir()
    lost = shelf.folder(BERT) / ("mine-" + "y" * 22)
    lost.mkdir(parents=True)
    (lost / "bundle").mkdir()
    outside = shelf.path.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (shelf.folder(ANNA) / "link").symlink_to(outside)
    (shelf.path / "stranger").symlink_to(outside)
    shelf.sweep({busy})
    left = {path.name for path in (shelf.folder(ANNA) / kept).iterdir()}
    assert left == {"facts.json"}
    assert len(list((shelf.folder(ANNA) / busy).iterdir())) == 3
    assert not shelf.folder(BERT).exists()
    assert not (shelf.folder(ANNA) / "link").exists()
    assert (outside / "precious").read_text() == "x", "no link is followed"


NO_COUNT = json.dumps({name: value for name, value in asdict(DIARY).items() if name != "attempts"})
BAD_COUNT = json.dumps(asdict(DIARY) | {"attempts": "x"})
BROKEN = ["", "[]", "{", '{"title": 1}', '{"title": "a", "names": 5}', "\x00", "9" * 5000, NO_COUNT, BAD_COUNT]


@pytest.mark.parametrize("facts", BROKEN)
def test_a_corpus_whose_facts_cannot_be_read_is_gone_and_swept(tmp_path, facts):
    shelf = Shelf(tmp_path / "visitors")
    good, bad = shelf.add(ANNA, DIARY), shelf.add(ANNA, DIARY)
    (shelf.folder(ANNA) / bad / "facts.json").write_text(facts)
    shelf.close()
    again = Shelf(tmp_path / "visitors")
    assert list(again.corpora(ANNA)) == [good]
    again.sweep(())
    assert not (again.folder(ANNA) / bad).exists()
    again.close()


def test_a_link_in_place_of_a_corpus_is_not_followed(tmp_path):
    shelf = Shelf(tmp_path / "visitors")
    corpus = shelf.add(ANNA, DIARY)
    link = shelf.folder(BERT) / corpus
    link.parent.mkdir()
    link.symlink_to(shelf.folder(ANNA) / corpus)
    shelf.close()
    again = Shelf(tmp_path / "visitors")
    assert again.corpora(BERT) == {}
    again.sweep(())
    assert list(again.corpora(ANNA)) == [corpus]
    assert (again.folder(ANNA) / corpus / "facts.json").is_file()
    again.close()


def test_two_servers_share_no_folder_and_a_restarted_one_finds_its_own(tmp_path):
    first, second = Shelf(tmp_path / "visitors"), Shelf(tmp_path / "visitors")
    assert first.path != second.path
    corpus = second.add(ANNA, DIARY)
    assert first.corpora(ANNA) == {}
    second.close()
    third = Shelf(tmp_path / "visitors")
    assert list(third.corpora(ANNA)) == [corpus]
    first.close()
    third.close()


def test_facts_are_written_as_a_whole_and_leave_nothing_beside(shelf):
    corpus = shelf.add(ANNA, replace(DIARY, since=time.time()))
    for number in range(5):
        shelf.put(ANNA, corpus, replace(DIARY, title=f"title {number}"))
    folder = shelf.folder(ANNA) / corpus
    assert [path.name for path in folder.iterdir()] == ["facts.json"]
    assert json.loads((folder / "facts.json").read_text())["title"] == "title 4"


# Folders of servers that ended


def aged(folder):
    """Let a folder and all in it be from long ago."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1000.0, 1000.0), follow_symlinks=False)
    return folder


def test_what_a_server_left_that_does_not_run_any_more_goes_when_its_time_is_over(tmp_path):
    first, second = Shelf(tmp_path / "visitors"), Shelf(tmp_path / "visitors")
    old, new = second.add(ANNA, DIARY), second.add(BERT, DIARY)
    upload = second.folder(ANNA) / "uploads" / ("0" * 32)
    upload.parent.mkdir()
    upload.write_text("secret")
    second.bundle(BERT, new).mkdir()
    aged(second.path)
    (second.bundle(BERT, new) / "chunks.json").write_text("just now")
    first.sweep_unused(2000.0)
    assert second.get(ANNA, old) is not None
    assert upload.exists(), "it runs: what it does with it is its own affair"
    second.close()
    first.sweep_unused(500.0)
    assert upload.exists(), "its time is not over"
    first.sweep_unused(2000.0)
    left = [path for path in files(second.path) if path != ".lock"]
    assert left == [f"{BERT}/{new}/bundle/chunks.json", f"{BERT}/{new}/facts.json"]
    assert not second.folder(ANNA).exists()
    first.close()


def test_a_server_does_not_take_its_own_folder_for_one_of_those(shelf):
    corpus = shelf.add(ANNA, DIARY)
    aged(shelf.path)
    shelf.sweep_unused(2000.0)
    assert files(shelf.path) == [".lock", f"{ANNA}/{corpus}/facts.json"]


@pytest.mark.parametrize("name", ["visitors-old", "visitors2", "visitors-2-copy", "visitors-", "guests", "visitors-3"])
def test_folders_that_no_server_claimed_are_left_alone(shelf, name):
    folder = shelf.path.with_name(name)
    precious = folder / ANNA / ("mine-" + "x" * 22) / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("x")
    if name != "visitors-3":  # this one has the right name, and no lock
        (folder / ".lock").touch()
    aged(folder)
    shelf.sweep_unused(2000.0)
    assert precious.exists()


def test_links_in_the_folder_of_another_server_are_not_followed(shelf, tmp_path):
    precious = tmp_path / "outside" / "corpus" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("x")
    ended = Shelf(shelf.path)
    ended.close()
    (ended.path / ANNA).mkdir()
    (ended.path / ANNA / "link").symlink_to(precious.parent)
    (ended.path / BERT).symlink_to(tmp_path / "outside")
    aged(tmp_path)
    shelf.sweep_unused(2000.0)
    assert precious.exists()
    assert not (ended.path / ANNA).exists()


def test_a_server_that_starts_takes_a_folder_again_after_it_was_swept(shelf):
    ended = Shelf(shelf.path)
    ended.close()
    shelf.sweep_unused(2000.0)
    again = Shelf(shelf.path)
    assert again.path == ended.path
    assert again.add(ANNA, DIARY)
    again.close()
