"""Files from the web: what is downloaded, gone on with and used again, with a real server."""

from __future__ import annotations

import gzip
import hashlib
import threading

import pytest

from demo import fetching
from demo.fetching import fetch
from engine.errors import Cancelled, InputError
from engine.events import Progress, Stop
from tests.file_server import FileServer, Served, held
from tests.stopping import seconds_to_stop

TEXT = b"".join(b"%06d: the tide comes, and the tide goes.\n" % number for number in range(8000))
HALF = len(TEXT) // 2
MOST = 2 * len(TEXT)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "_PAUSE", 0.01)


@pytest.fixture
def server():
    with FileServer() as running:
        yield running


def sum_of(content):
    return hashlib.sha256(content).hexdigest()


# What comes


def test_a_file_is_downloaded_under_its_name_with_how_far_it_is(server, tmp_path):
    server.files["/books/The%20Mill.txt"] = Served(TEXT)
    told: list[Progress] = []
    path = fetch(f"{server.url}/books/The%20Mill.txt", "", tmp_path / "fetched", MOST, told.append)
    assert path.read_bytes() == TEXT
    assert path.name == "The Mill.txt"
    assert told[-1].stage == "downloading"
    assert (told[-1].done, told[-1].total, told[-1].eta) == (len(TEXT), len(TEXT), 0.0)
    assert held(tmp_path) == ["The Mill.txt", "kept.json"]
    assert {folder.stat().st_mode & 0o777 for folder in (tmp_path / "fetched", path.parent)} == {0o700}


def test_a_length_that_is_not_said_is_told_as_none(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, length="")
    told: list[Progress] = []
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST, told.append).read_bytes() == TEXT
    assert told[-1] == Progress("downloading", len(TEXT), 0, None)


def test_a_file_that_was_compressed_on_the_way_is_kept_as_it_was(server, tmp_path):
    server.files["/a.txt"] = Served(gzip.compress(TEXT), headers={"Content-Encoding": "gzip"}, breaks=[500])
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("range") == [None, None], "there is no going on in the middle of it"
    assert server.sent("accept-encoding")[0] == "identity"


@pytest.mark.parametrize(
    ("path", "headers", "kind", "name"),
    [
        ("/get", {"Content-Disposition": 'attachment; filename="mill.pdf"'}, "application/pdf", "mill.pdf"),
        ("/get", {"Content-Disposition": "attachment; filename*=UTF-8''%E6%BD%AE.txt"}, "text/plain", "潮.txt"),
        ("/get", {"Content-Disposition": 'attachment; filename="../../.ssh/key.txt"'}, "text/plain", "key.txt"),
        ("/a/%2e%2e%2f%2e%2e%2fup.txt", {}, "text/plain", "up.txt"),
        ("/books/11", {}, "text/plain; charset=utf-8", "11.txt"),
        ("/books/11.utf-8", {}, "TEXT/PLAIN", "11.utf-8.txt"),
        ("/", {}, "application/pdf", "document.pdf"),
        ("/mill.docx", {}, "application/octet-stream", "mill.docx"),
        (f"/{'%E6%BD%AE' * 90}.txt", {}, "text/plain", "潮" * 47 + "…" + "潮" * 8 + ".txt"),
    ],
)
def test_the_name_is_the_servers_or_the_paths_and_is_safe(server, tmp_path, path, headers, kind, name):
    server.files[path] = Served(TEXT, headers=headers, kind=kind)
    found = fetch(server.url + path, "", tmp_path, MOST)
    assert found.name == name
    assert found.parent.parent == tmp_path


# Going on


def test_a_broken_connection_is_gone_on_with_where_it_broke(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, breaks=[HALF, 1000])
    told: list[Progress] = []
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST, told.append).read_bytes() == TEXT
    assert server.sent("range") == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert server.sent("if-range") == [None, '"one"', '"one"']


def test_the_same_call_later_goes_on_and_its_time_left_is_that_of_this_run(server, tmp_path):
    served = server.files["/a.txt"] = Served(TEXT, breaks=[HALF] + [0] * 4)
    with pytest.raises(InputError, match=r"The connection to http://127.0.0.1:\d+/a.txt breaks again and again"):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST)
    assert held(tmp_path) == ["part", "part.json"]
    assert not served.breaks
    server.requests.clear()
    served.hangs, told, stop = 0, list[Progress](), Stop()
    with pytest.raises(Cancelled):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST, lambda at: (told.append(at), stop.set()), stop)
    assert told == [Progress("downloading", HALF, len(TEXT), None)], "what came earlier took none of this run's time"
    served.hangs = None
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("range") == [f"bytes={HALF}-"] * 2


def test_what_was_changed_meanwhile_comes_anew(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, breaks=[HALF] + [0] * 4)
    with pytest.raises(InputError):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST)
    server.files["/a.txt"] = Served(TEXT[::-1], etag='"two"')
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT[::-1]
    assert held(tmp_path) == ["a.txt", "kept.json"]


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        (Served(TEXT, ranges=False), [f"bytes={HALF}-"]),
        (Served(TEXT, etag=""), [None]),
        (Served(TEXT, etag='W/"weak"'), [None]),
        (Served(TEXT, headers={"Content-Range": f"bytes 0-9/{len(TEXT)}"}), [f"bytes={HALF}-", None]),
        (Served(TEXT, headers={"Content-Range": f"bytes {HALF}-9/{len(TEXT) + 1}"}), [f"bytes={HALF}-", None]),
        (Served(TEXT, headers={"Content-Range": "bytes 7-/many"}), [f"bytes={HALF}-", None]),
    ],
    ids=["no ranges", "no validator", "a weak one", "another range", "another file", "no range"],
)
def test_what_cannot_be_gone_on_with_comes_anew(server, tmp_path, served, asked):
    served.breaks[:] = [HALF]
    server.files["/a.txt"] = served
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("range") == [None, *asked]


def test_the_date_of_a_file_stands_for_a_version_too(server, tmp_path):
    date = "Tue, 03 Mar 2020 10:00:00 GMT"
    server.files["/a.txt"] = Served(TEXT, etag="", modified=date, breaks=[HALF])
    for _ in range(2):
        assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("if-range") == [None, date, None]
    assert server.sent("if-modified-since") == [None, None, date]


def test_answers_that_may_be_better_the_next_time_are_asked_for_again(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, status=[503, 429])
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert len(server.requests) == 3


def test_a_part_that_is_past_the_end_is_forgotten(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, hangs=HALF)
    stop = Stop()
    with pytest.raises(Cancelled):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST, lambda at: stop.set() if at.done == HALF else None, stop)
    server.files["/a.txt"] = Served(TEXT, status=[416])
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("range")[-2:] == [f"bytes={HALF}-", None]


def test_a_range_that_ends_too_early_is_not_taken_for_the_whole(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, hangs=HALF)
    short = Served(TEXT, length=str(HALF // 2))
    stop = Stop()
    with pytest.raises(Cancelled):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST, lambda at: stop.set() if at.done == HALF else None, stop)
    server.files["/a.txt"] = short
    assert len(fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes()) == len(TEXT)
    assert server.sent("range")[1:3] == [f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


# Using again


def test_a_kept_file_is_asked_about_and_used_again(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT)
    first = fetch(f"{server.url}/a.txt", "", tmp_path, MOST)
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST) == first
    assert server.sent("if-none-match") == [None, '"one"']
    server.files["/a.txt"] = Served(b"new", etag='"two"')
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == b"new"


def test_a_kept_file_with_the_sum_that_was_given_is_used_without_asking(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT)
    first = fetch(f"{server.url}/a.txt", "", tmp_path, MOST)
    assert fetch(f"{server.url}/a.txt", sum_of(TEXT), tmp_path, MOST) == first
    assert len(server.requests) == 1
    first.write_bytes(TEXT[::-1])  # it was damaged, at its full length
    assert fetch(f"{server.url}/a.txt", sum_of(TEXT), tmp_path, MOST).read_bytes() == TEXT


def test_a_file_with_another_sum_is_deleted_and_refused(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT)
    with pytest.raises(InputError, match=f"has the SHA-256 sum {sum_of(TEXT)}, not {'0' * 64} as given; it was del"):
        fetch(f"{server.url}/a.txt", "0" * 64, tmp_path, MOST)
    assert held(tmp_path) == []


def test_who_asks_for_the_same_at_the_same_time_gets_a_folder_of_another_number(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, hangs=HALF)
    stop, begun = Stop(), threading.Event()

    def first():
        with pytest.raises(Cancelled):
            fetch(f"{server.url}/a.txt", "", tmp_path, MOST, lambda at: at.done and begun.set(), stop)

    slow = threading.Thread(target=first)
    slow.start()
    assert begun.wait(10)
    server.files["/a.txt"] = Served(TEXT)
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).parent.name.endswith("-2")
    stop.set()
    slow.join()


# Stopping


@pytest.mark.parametrize("hangs", [0, HALF])
def test_a_stop_is_noticed_within_a_second_while_the_server_is_silent(server, tmp_path, hangs):
    server.files["/a.txt"] = Served(TEXT, hangs=hangs)
    assert seconds_to_stop(lambda stop: fetch(f"{server.url}/a.txt", "", tmp_path, MOST, None, stop)) < 1
    server.files["/a.txt"] = Served(TEXT)
    assert fetch(f"{server.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
    assert server.sent("range") == [None, f"bytes={hangs}-" if hangs else None]


def test_an_error_of_who_watches_ends_the_download(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, hangs=HALF)

    def failing(_):
        raise KeyError("page")

    with pytest.raises(KeyError, match="page"):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST, failing)
