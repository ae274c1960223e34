"""Addresses that are refused: too large, of no kind that is read, not there, or leading astray."""

from __future__ import annotations

import logging
import re
from itertools import pairwise

import pytest

from demo import fetching
from demo.fetching import fetch
from engine.errors import InputError
from tests.file_server import FileServer, Served, held, own_certificate

TEXT = b"The tide comes, and the tide goes.\n" * 4000
MOST = 2 * len(TEXT)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(fetching, "_PAUSE", 0.01)


@pytest.fixture
def server():
    with FileServer() as running:
        yield running


def test_what_is_said_to_be_too_large_is_refused_before_it_comes(server, tmp_path):
    server.files["/a.txt"] = Served(b"x" * (3 * 2**20))
    with pytest.raises(InputError, match=r"a.txt has 3.0 MB; at most 1.0 MB are read. Split it, or raise"):
        fetch(f"{server.url}/a.txt", "", tmp_path, 2**20)
    assert held(tmp_path) == []


def test_what_turns_out_to_be_too_large_is_refused_while_it_comes(server, tmp_path):
    server.files["/a.txt"] = Served(b"x" * (3 * 2**20), length="")
    with pytest.raises(InputError, match=r"a.txt has more than 1.0 MB; at most 1.0 MB are read"):
        fetch(f"{server.url}/a.txt", "", tmp_path, 2**20)
    assert held(tmp_path) == []


def test_a_server_that_promises_more_than_it_has_is_given_up(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT, length=str(len(TEXT) + 1), ranges=False)
    with pytest.raises(InputError, match="breaks again and again"):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST)
    assert len(server.requests) == 5
    assert "a.txt" not in held(tmp_path)


@pytest.mark.parametrize(
    ("served", "sentence"),
    [
        (Served(b"<html>", kind="text/html; charset=utf-8"), "/a.txt is a web page: save it as text"),
        (Served(status=[401]), r"is not open to everybody \(status 401\)"),
        (Served(status=[410]), r"There is nothing at .*/a.txt \(status 410\)"),
        (Served(status=[418]), "was answered with status 418"),
        (Served(status=[206]), "was answered with status 206"),
        (Served(status=[503] * 9), "cannot be reached now"),
    ],
)
def test_an_answer_that_is_no_text_is_refused_in_a_sentence(server, tmp_path, served, sentence):
    server.files["/a.txt"] = served
    with pytest.raises(InputError, match=sentence):
        fetch(f"{server.url}/a.txt", "", tmp_path, MOST)


def test_a_file_of_a_kind_that_is_not_read_is_refused(server, tmp_path):
    server.files["/a.epub"] = Served(TEXT, kind="application/epub+zip")
    with pytest.raises(InputError, match=r"/a.epub is of the kind application/epub\+zip; only TXT, PDF and DOCX"):
        fetch(f"{server.url}/a.epub", "", tmp_path, MOST)


def test_a_server_that_is_not_there_is_named_without_the_keys_of_its_address(tmp_path, caplog):
    with FileServer() as gone:
        address = f"{gone.url}/a.txt?token=SECRET"
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="cannot be reached now") as refused:
        fetch(address, "", tmp_path, MOST)
    assert "SECRET" not in str(refused.value) + caplog.text


def test_a_folder_that_cannot_be_written_is_told_in_words(server, tmp_path):
    server.files["/a.txt"] = Served(TEXT)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be stored in the cache folder: Not a directory"):
        fetch(f"{server.url}/a.txt", "", tmp_path / "file" / "fetched", MOST)


# Where addresses lead


def leading(server, *steps):
    """Make each path lead to the next."""
    for path, to in pairwise(steps):
        server.files[path] = Served(status=[302] * 9, headers={"Location": to})


def test_an_address_may_lead_elsewhere_and_keeps_its_name_where_it_has_one(server, tmp_path):
    leading(server, "/book.txt", "/2", "/3", "/4", "/5", "/6")
    server.files["/6"] = Served(TEXT, breaks=[len(TEXT) // 2])
    path = fetch(f"{server.url}/book.txt", "", tmp_path, MOST)
    assert (path.name, path.read_bytes()) == ("book.txt", TEXT)
    leading(server, "/11", "/cache/pg11.txt")
    server.files["/cache/pg11.txt"] = Served(TEXT)
    assert fetch(f"{server.url}/11", "", tmp_path, MOST).name == "pg11.txt"


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (["/1", "/2", "/3", "/4", "/5", "/6", "/7"], "leads on more than 5 times"),
        (["/1", "ftp://127.0.0.1/a.txt"], "leads to something that is no http"),
        (["/1", "file:///etc/passwd"], "leads to something that is no http"),
        (["/1", "http://[half"], "cannot be reached now"),
    ],
)
def test_an_address_that_leads_astray_is_refused(server, tmp_path, steps, sentence):
    leading(server, *steps)
    with pytest.raises(InputError, match=re.escape("/1 ") + sentence):
        fetch(f"{server.url}/1", "", tmp_path, MOST)


def test_an_address_with_encryption_never_leads_to_one_without(server, tmp_path, monkeypatch):
    server.files["/a.txt"] = Served(TEXT)
    known = own_certificate(tmp_path)
    with FileServer({"/a.txt": Served(TEXT)}, known) as safe:
        leading(safe, "/1", f"{server.url}/a.txt")
        with pytest.raises(InputError, match="cannot be reached now"):  # nobody knows this server
            fetch(f"{safe.url}/a.txt", "", tmp_path, MOST)
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        assert fetch(f"{safe.url}/a.txt", "", tmp_path, MOST).read_bytes() == TEXT
        with pytest.raises(InputError, match="/1 leads from https to an address without encryption"):
            fetch(f"{safe.url}/1", "", tmp_path, MOST)
    assert not server.requests
