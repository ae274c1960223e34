"""Where texts come from: files, folders, addresses and files of datasets; the real client against a stand-in Hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.catalogue import Source
from demo.sources import again, gather
from engine.errors import Cancelled, InputError
from engine.events import Stop
from tests.file_server import FileServer, Served, held
from tests.hub_server import HubServer

ROOT = Path(__file__).parents[2]
MOST = 10_000
CODE = """
import json, sys
from pathlib import Path
from demo.sources import again, gather
from engine.errors import InputError
told = []
for sources, token, most in json.loads(sys.argv[2]):
    try:
        given = gather(sources, Path(sys.argv[1]), max_bytes=most, token=token, on_progress=told.append)
        found = [[path.read_text("utf-8") for path in given.files], given.names, again(given.made_from)]
        print(json.dumps([*found, [(at.stage, at.done, at.total) for at in told][-1:]]))
    except InputError as error:
        print(json.dumps(str(error)))
"""


def written(folder, *names):
    """Write small files, each with its own name as the text."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, "utf-8")
    return folder


def given_by(folder, *sources, **options):
    return gather([str(source) for source in sources], folder / "fetched", **({"max_bytes": MOST} | options))


# Files and folders


def test_files_are_read_in_the_order_given_and_names_are_unique(tmp_path):
    written(tmp_path, "a/mill.txt", "b/mill.txt", "c/Mill.PDF", "mill (2).txt")
    files = [tmp_path / name for name in ("b/mill.txt", "a/mill.txt", "mill (2).txt", "c/Mill.PDF")]
    given = given_by(tmp_path, *files, files[0])
    assert given.files == tuple(files)
    assert given.names == ("mill.txt", "mill (2).txt", "mill (2) (2).txt", "Mill.PDF")
    assert given.made_from == (Source(kind="files", places=tuple(map(str, [*files, files[0]]))),)
    assert given.skipped == ("Given more than once, and read once: 1.",)
    assert not (tmp_path / "fetched").exists()


def test_a_folder_gives_its_files_in_natural_order(tmp_path):
    books = written(tmp_path / "books", "10.txt", "2.txt", "1.docx", "part 2/1.txt", "part 10/1.txt", "Part 1/a.pdf")
    given = given_by(tmp_path, books)
    found = [path.relative_to(books).as_posix() for path in given.files]
    assert found == ["1.docx", "2.txt", "10.txt", "Part 1/a.pdf", "part 2/1.txt", "part 10/1.txt"]
    assert given.names == ("1.docx", "2.txt", "10.txt", "a.pdf", "1.txt", "1 (2).txt")
    assert given.made_from == (Source(kind="folder", places=(str(books),)),)
    assert given.skipped == ()


def test_what_a_folder_holds_besides_is_left_out_and_counted(tmp_path):
    outside = written(tmp_path / "outside", "secret.txt", "more/secret.txt")
    books = written(tmp_path / "books", "1.txt", ".hidden.txt", ".git/a.txt", "cover.png", "notes")
    (books / "link.txt").symlink_to(outside / "secret.txt")
    (books / "linked").symlink_to(outside / "more")
    (books / "again.txt").symlink_to(books / "1.txt")
    (books / "broken.txt").symlink_to(books / "nothing.txt")
    (books / "loop").symlink_to(books)
    os.mkfifo(books / "pipe.txt")
    given = given_by(tmp_path, books)
    assert [path.name for path in given.files] == ["1.txt", "again.txt"]
    (sentence,) = given.skipped
    assert sentence.startswith("Left out of 'books': ")
    assert set(sentence.removeprefix("Left out of 'books': ").rstrip(".").split(", ")) == {
        "2 hidden",
        "4 of other kinds than TXT",
        "PDF and DOCX",
        "2 linked from elsewhere",
    }


def test_sources_can_be_given_again_from_another_folder(tmp_path, monkeypatch):
    written(tmp_path, "a.txt", "books/1.txt", "b.txt", "c.txt")
    monkeypatch.chdir(tmp_path)
    given = given_by(tmp_path, "a.txt", "books", "b.txt", "./c.txt")
    assert [source.kind for source in given.made_from] == ["files", "folder", "files"]
    assert again(given.made_from) == [str(tmp_path / name) for name in ("a.txt", "books", "b.txt", "c.txt")]
    monkeypatch.chdir(ROOT)
    assert given_by(tmp_path, *again(given.made_from)) == given
    assert again([Source(kind="repository", places=("someone/corpora",))]) == []


# What is refused before anything is downloaded


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "There is no file or folder ''"),
        ("   ", "There is no file or folder '   '"),
        ("missing.txt", "There is no file or folder 'missing.txt': give a TXT, PDF or DOCX file, a folder"),
        ("book.epub", "'book.epub' is not named .txt, .pdf or .docx"),
        ("large.txt", "The file 'large.txt' has .* are read"),
        ("empty", "There is no TXT, PDF or DOCX file in the folder 'empty'"),
        ("ftp://example.org/a.txt", "begins with ftp://, which is not known here"),
        ("http://", "'http://' is no web address"),
        ("https://example.org:99999/a.txt", "is no web address"),
        ("https://example.org/a b.txt", "is no web address"),
        ("https://256.1.1.1/a.txt", "is no web address"),
        ("https://example.org/a.txt#sha256=12", "The sum after https://example.org/a.txt#sha256= is malformed"),
        (f"https://example.org/a.txt#sha256={'g' * 64}", "is malformed: a SHA-256 sum has 64 digits"),
        ("hf://datasets/someone/books", "does not name a file of a dataset on the Hub: give hf://datasets/OWNER/NAME"),
        ("hf://datasets/someone/books/", "does not name a file"),
        ("hf://datasets/someone/books/../a.txt", "does not name a file"),
        ("hf://someone/books/a.txt", "does not name a file"),
        ("hf://datasets/someone/books/a.parquet", "'a.parquet' is not named .txt, .pdf or .docx"),
        ("hf://datasets/someone/books/a.txt#sha256=", "is malformed"),
    ],
)
def test_a_source_that_cannot_be_used_is_named_before_any_download(tmp_path, monkeypatch, source, sentence):
    written(tmp_path, "book.epub", "empty/cover.png")
    (tmp_path / "large.txt").write_bytes(b"x" * (MOST + 1))
    monkeypatch.chdir(tmp_path)
    with FileServer({"/a.txt": Served(b"text")}) as server:
        with pytest.raises(InputError, match=sentence):
            given_by(tmp_path, f"{server.url}/a.txt", source)
        assert not server.requests


@pytest.mark.parametrize(
    "address", ["https://me:SECRET@example.org/a.txt", "https://me:SECRET@example.org:99999/a.txt"]
)
def test_an_address_with_a_password_is_refused_without_showing_it(tmp_path, address):
    with pytest.raises(InputError, match=r"example\.org") as refused:
        given_by(tmp_path, address)
    assert "SECRET" not in str(refused.value)


def test_no_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="No source was given: give a TXT"):
        given_by(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be read by root")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    written(tmp_path, "a.txt")
    (tmp_path / "a.txt").chmod(0)
    with pytest.raises(InputError, match=r"The file 'a.txt' may not be read"):
        given_by(tmp_path, tmp_path / "a.txt")


# Addresses


def test_addresses_files_and_folders_may_be_mixed(tmp_path):
    written(tmp_path, "a.txt", "books/1.txt")
    total = hashlib.sha256(b"two").hexdigest()
    with FileServer({"/a.txt": Served(b"one"), "/b.txt": Served(b"two")}) as server:
        first, second = f"{server.url}/a.txt", f"{server.url}/b.txt"
        given = given_by(
            tmp_path, f"{first}?key=1#top", tmp_path / "a.txt", tmp_path / "books", f"{second}#sha256={total}"
        )
        assert [path.read_bytes() for path in given.files] == [b"one", b"a.txt", b"books/1.txt", b"two"]
        assert given.names == ("a.txt", "a (2).txt", "1.txt", "b.txt")
        assert [source.kind for source in given.made_from] == ["http", "files", "folder", "http"]
        assert again(given.made_from)[0::3] == [f"{first}?key=1", f"{second}#sha256={total}"]
        assert given_by(tmp_path, *again(given.made_from)) == given
    assert [path for path, _ in server.requests] == ["/a.txt?key=1", "/b.txt", "/a.txt?key=1"]


def test_a_stop_before_a_source_ends_all(tmp_path):
    stop = Stop()
    with FileServer({"/a.txt": Served(b"one"), "/b.txt": Served(b"two")}) as server:
        with pytest.raises(Cancelled):
            given_by(
                tmp_path, f"{server.url}/a.txt", f"{server.url}/b.txt", on_progress=lambda _: stop.set(), stop=stop
            )
        assert len(server.requests) == 1


# The Hub


def from_hub(server, folder, *calls):
    """What a fresh process finds for each (sources, token, most bytes): what was given, or a sentence."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(folder / "home"),
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-c", CODE, str(folder / "fetched"), json.dumps(calls)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "hf_" not in run.stdout + run.stderr, "a token is never shown"
    return [json.loads(line) for line in run.stdout.splitlines()]


NAME = "someone/books"
FILES = {"en/1.txt": b"The tide mill.", "en/2.txt": "潮汐磨坊。".encode(), "README.md": b"not needed"}
FIRST = f"hf://datasets/{NAME}/en/1.txt"


def test_a_file_of_a_dataset_is_downloaded_once_and_its_commit_recorded(tmp_path):
    with HubServer(datasets={NAME: {"main": FILES, "v1": {"en/1.txt": b"older"}, "refs/pr/3": FILES}}) as server:
        commit = server.commit(NAME)
        pinned = f"hf://datasets/{NAME}@{commit}/en/1.txt"
        found = from_hub(
            server,
            tmp_path,
            ([FIRST], "", MOST),
            ([f"hf://datasets/{NAME}@v1/en/1.txt", f"hf://datasets/{NAME}@refs%2Fpr%2F3/en/2.txt"], "", MOST),
            ([f"hf://datasets/{NAME}@refs/pr/3/en/2.txt"], "", MOST),
            ([pinned], "", MOST),
        )
    assert found[0] == [["The tide mill."], ["1.txt"], [pinned], [["downloading", 14, 14]]]
    assert found[1][:2] == [["older", "潮汐磨坊。"], ["1.txt", "2.txt"]]
    assert found[1][2][0] == f"hf://datasets/{NAME}@v1/en/1.txt"
    assert found[2][0] == ["潮汐磨坊。"]
    assert found[3][:3] == [["The tide mill."], ["1.txt"], [pinned]]
    downloads = [path for method, path, _ in server.requests if method == "GET" and path.endswith("en/1.txt")]
    assert len(downloads) == 2, "one for each version"
    assert "README.md" not in held(tmp_path / "fetched")
    assert (tmp_path / "fetched" / "hub").stat().st_mode & 0o777 == 0o700


def test_a_private_dataset_needs_the_token_and_each_refusal_is_a_sentence(tmp_path):
    datasets = {name: {"main": FILES} for name in (NAME, "someone/private", "someone/gated")}
    private, gated = (f"hf://datasets/someone/{name}/en/1.txt" for name in ("private", "gated"))
    total = hashlib.sha256(FILES["en/1.txt"]).hexdigest()
    with HubServer(
        datasets=datasets, private=frozenset({"someone/private"}), gated=frozenset({"someone/gated"})
    ) as server:
        found = from_hub(
            server,
            tmp_path,
            ([private], "", MOST),
            ([private], "hf_right", MOST),
            ([gated], "hf_right", MOST),
            ([FIRST], "hf_wrong", MOST),
            ([f"hf://datasets/{NAME}@v9/en/1.txt"], "", MOST),
            ([f"hf://datasets/{NAME}/en/9.txt"], "", MOST),
            (["hf://datasets/someone/-odd-/en/1.txt"], "", MOST),
            ([FIRST], "", 10),
            ([f"{FIRST}#sha256={'0' * 64}"], "", MOST),
            ([f"{FIRST}#sha256={total}"], "", MOST),
        )
    assert "The Hub has no dataset repository 'someone/private', or it is private" in found[0]
    assert found[1][0] == ["The tide mill."]
    assert "The dataset repository 'someone/gated' is gated" in found[2]
    assert "The Hub refused access" in found[3]
    assert "The Hub has no such revision of 'someone/books'" in found[4]
    assert "has no file 'en/9.txt'" in found[5]
    assert "'someone/-odd-' names no dataset repository" in found[6]
    assert "/en/1.txt has 0.0 MB; at most 0.0 MB are read" in found[7]
    assert f"has the SHA-256 sum {total}, not {'0' * 64} as given; it was deleted" in found[8]
    assert found[9][0] == ["The tide mill."]
    assert found[9][2][0].endswith(f"/en/1.txt#sha256={total}")


def test_without_the_hub_a_commit_that_is_here_is_used_and_anything_else_refused_soon(tmp_path):
    with HubServer(datasets={NAME: {"main": FILES}}) as server:
        ((_, _, pinned, _),) = from_hub(server, tmp_path, ([FIRST], "", MOST))
    began = time.monotonic()
    kept, other = from_hub(server, tmp_path, (pinned, "", MOST), ([FIRST], "", MOST))
    assert kept[:3] == [["The tide mill."], ["1.txt"], pinned]
    assert "The Hugging Face Hub cannot be reached for 'someone/books'" in other
    assert time.monotonic() - began < 10


def test_a_download_from_the_hub_that_breaks_is_tried_again(tmp_path):
    text = b"The tide comes, and the tide goes.\n" * 9000
    with HubServer(datasets={NAME: {"main": {"a.txt": text}}}, breaking={"a.txt": len(text) // 2}) as server:
        (found,) = from_hub(server, tmp_path, ([f"hf://datasets/{NAME}/a.txt"], "", len(text)))
        assert not server.breaking
    assert found[0] == [text.decode()]
    assert found[3] == [["downloading", len(text), len(text)]]
