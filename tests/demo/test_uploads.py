"""Files that wait to be memorised: what is taken in, what is refused, and whose they are."""

import shutil
import stat
import time
from collections import namedtuple
from dataclasses import replace

import pytest

from demo import text
from demo.shelf import Facts, Shelf
from demo.uploads import MOST_FILES, Uploads
from engine.errors import InputError
from engine.settings import Settings

ANNA, BERT = "a" * 64, "b" * 64
SETTINGS = Settings(max_file_mb=1, visitor_mb=2)


@pytest.fixture
def shelf(tmp_path):
    with_root = Shelf(tmp_path / "visitors")
    yield with_root
    with_root.close()


@pytest.fixture
def uploads(shelf):
    return Uploads(shelf)


@pytest.fixture
def send(uploads, tmp_path):
    """Upload bytes under a name."""

    def upload(name, data=b"Some text.", owner=ANNA, settings=SETTINGS):
        source = tmp_path / "incoming" / "file"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(data)
        try:
            return uploads.take(owner, source, name, settings)
        finally:
            assert not source.exists(), "nothing stays where others might fetch it"

    return upload


def names(uploads, owner=ANNA):
    return [upload.name for upload in uploads.waiting(owner)]


def on_disk(shelf):
    return [path for path in shelf.path.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_file_is_moved_to_its_owner_under_a_name_of_our_own(shelf, uploads, send):
    upload = send("diary of anna.txt", b"Dear diary.")
    path = uploads.path(ANNA, upload)
    assert path.read_bytes() == b"Dear diary."
    assert (upload.name, upload.size, upload.suffix) == ("diary of anna.txt", 11, ".txt")
    assert "diary" not in str(path.relative_to(shelf.path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert uploads.waiting(ANNA) == [upload]
    assert uploads.waiting(BERT) == []
    assert uploads.chosen(BERT, [upload.id]) == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("/etc/cron.d/x.txt", "x.txt"),
        ("..\\..\\boot.txt", "boot.txt"),
        ("C:\\a\\b.pdf", "b.pdf"),
        ("a\x00b.txt", "ab.txt"),
        ("line\nbreak\u202e.txt", "linebreak.txt"),
        ("Дневник 日記 🗝.docx", "Дневник 日記 🗝.docx"),
        ("facts.json.txt", "facts.json.txt"),
        ("x" * 3000 + ".txt", "x" * 107 + "…" + "x" * 8 + ".txt"),
        ("<img src=x onerror=alert(1)>.txt", "<img src=x onerror=alert(1)>.txt"),
    ],
)
def test_a_name_is_data_and_never_a_path(shelf, uploads, send, given, shown):
    upload = send(given)
    assert upload.name == shown
    assert sorted(path.name for path in on_disk(shelf)) == sorted([upload.id, f"{upload.id}.json"])


def test_two_files_of_one_name_are_two_files(uploads, send):
    first, second = send("a.txt", b"one"), send("a.txt", b"two")
    assert first.id != second.id
    assert [uploads.path(ANNA, upload).read_bytes() for upload in uploads.waiting(ANNA)] == [b"one", b"two"]


@pytest.mark.parametrize("name", ["notes.md", "old.doc", "a.txt.exe", "noname", ".txt", "archive.zip"])
def test_a_file_of_another_type_is_refused_and_deleted_and_the_others_stay(shelf, uploads, send, name):
    send("good.txt")
    with pytest.raises(InputError) as refused:
        send(name)
    assert str(refused.value) == text.FILE_WRONG_TYPE.format(name=name)
    assert names(uploads) == ["good.txt"]
    assert len(on_disk(shelf)) == 2


def test_a_file_that_is_too_large_is_refused_with_the_limit(uploads, send):
    with pytest.raises(InputError) as refused:
        send("big.txt", b"x" * (2**20 + 1))
    assert str(refused.value) == text.FILE_TOO_LARGE.format(name="big.txt", size="1.0 MB", limit=1)
    assert send("fits.txt", b"x" * 2**20).size == 2**20
    assert names(uploads) == ["fits.txt"]


def test_all_of_a_visitors_files_and_bundles_together_have_a_limit(shelf, uploads, send):
    send("first.txt", b"x" * 2**20)
    corpus = shelf.add(ANNA, Facts("held", ("held",), time.time()))
    shelf.bundle(ANNA, corpus).mkdir()
    (shelf.bundle(ANNA, corpus) / "chunks.json").write_bytes(b"x" * 2**19)
    with pytest.raises(InputError, match=r"too much: your documents take 1\.5 MB of 2\.0 MB"):
        send("second.txt", b"x" * 2**20)
    assert send("theirs.txt", b"x" * 2**20, owner=BERT), "others are not held to it"
    assert names(uploads) == ["first.txt"]


def test_the_number_of_files_that_wait_has_a_limit(uploads, send):
    for number in range(MOST_FILES):
        send(f"{number}.txt")
    with pytest.raises(InputError) as refused:
        send("more.txt")
    assert str(refused.value) == text.TOO_MANY_FILES.format(name="more.txt", limit=MOST_FILES)


def test_a_disk_that_is_nearly_full_takes_nothing(uploads, send, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12 - 10**8, 10**8))
    with pytest.raises(InputError) as refused:
        send("a.txt")
    assert str(refused.value) == text.DISK_FULL.format(name="a.txt")
    assert names(uploads) == []


def test_a_disk_that_refuses_is_a_sentence_and_leaves_no_half(shelf, uploads, send, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("demo.folders.write_json", full)
    with pytest.raises(InputError) as refused:
        send("a.txt")
    assert str(refused.value) == text.FILE_NOT_KEPT.format(name="a.txt")
    assert on_disk(shelf) == []


def test_a_link_is_no_upload_and_what_it_leads_to_stays(uploads, tmp_path):
    secret, link = tmp_path / "secret.txt", tmp_path / "link.txt"
    secret.write_text("x")
    link.symlink_to(secret)
    with pytest.raises(InputError) as refused:
        uploads.take(ANNA, link, "link.txt", SETTINGS)
    assert str(refused.value) == text.FILE_NOT_UPLOADED
    assert secret.read_text() == "x"


def test_files_of_a_corpus_that_is_being_made_do_not_wait(shelf, uploads, send):
    first, second = send("a.txt"), send("b.txt")
    corpus = shelf.add(ANNA, Facts("a.txt", ("a.txt",), time.time(), uploads=(first.id,)))
    assert uploads.waiting(ANNA) == [second]
    assert uploads.chosen(ANNA, [first.id, second.id]) == [second]
    shelf.remove(ANNA, corpus)
    assert uploads.waiting(ANNA) == [first, second]


def test_files_are_dropped_by_id_and_anothers_id_drops_nothing(shelf, uploads, send):
    mine, theirs = send("a.txt"), send("b.txt", owner=BERT)
    uploads.drop(ANNA, [theirs.id, "../" + theirs.id])
    assert uploads.waiting(BERT) == [theirs]
    uploads.drop(ANNA, [mine.id])
    assert uploads.waiting(ANNA) == []
    assert len(on_disk(shelf)) == 2


def test_sweeping_takes_what_is_old_and_halves_of_files_and_leaves_the_rest(shelf, uploads, send):
    old, new = send("old.txt"), send("new.txt")
    folder = uploads.path(ANNA, old).parent
    for name in ("0" * 32, ".x.json.12.partial", "1" * 32 + ".json"):
        (folder / name).write_text("half")
    uploads.sweep(old.since + (new.since - old.since) / 2)
    assert uploads.waiting(ANNA) == [new]
    assert {path.name for path in folder.iterdir()} == {new.id, f"{new.id}.json"}
    uploads.sweep(time.time() + 1)
    assert not folder.exists()


def test_a_note_that_names_another_file_is_none(uploads, send):
    upload = send("a.txt")
    note = uploads.path(ANNA, upload).with_suffix(".json")
    for changed in (note.read_text().replace(upload.id, "../" + upload.id), "{}", "[", '{"id": 5}'):
        note.write_text(changed)
        assert uploads.waiting(ANNA) == []


def test_files_are_found_again_after_a_restart(tmp_path, shelf, uploads, send):
    upload = send("a.txt")
    shelf.close()
    again = Shelf(tmp_path / "visitors")
    assert Uploads(again).waiting(ANNA) == [upload]
    assert replace(upload, name="x") != upload
    again.close()
