"""The door: uploads that cannot be kept are refused before they are written, and so is any other large request."""

from __future__ import annotations

from collections import namedtuple

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo import gate
from demo.gate import Gate

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def client(tmp_path):
    """A server whose uploads tell how many bytes came through."""

    async def upload(request: Request) -> PlainTextResponse:
        try:
            return PlainTextResponse(str(len(await request.body())))
        except ClientDisconnect:
            return PlainTextResponse("hung up", 499)

    places = ("/gradio_api/upload", "/x", "/gradio_api/component_server", "/component_server/", "/a/upload/b")
    app = Starlette(routes=[Route(place, upload, methods=["GET", "POST", "PUT", "PATCH"]) for place in places])
    (tmp_path / "incoming").mkdir()
    return TestClient(Gate(app, tmp_path / "incoming", 1000))


def test_what_fits_passes(client):
    assert client.post("/gradio_api/upload", content=b"a" * 1000).text == "1000"


def test_more_than_one_visitor_may_keep_is_refused_by_its_announced_size(client):
    answer = client.post("/gradio_api/upload", content=b"a" * 1001)
    assert answer.status_code == 413
    assert "at most 1000 bytes are taken at once" in answer.json()["detail"]


def test_a_request_that_brings_more_than_it_said_is_hung_up_on(client):
    answer = client.post("/gradio_api/upload", content=iter([b"a" * 600, b"b" * 600]))
    assert answer.status_code == 499


def test_nothing_is_taken_when_the_disk_is_nearly_full(client, monkeypatch):
    monkeypatch.setattr(gate.shutil, "disk_usage", lambda folder: Disk(10**12, 10**12, gate.SPARE_BYTES + 4))
    assert client.post("/gradio_api/upload", content=b"abcd").text == "4"
    answer = client.post("/gradio_api/upload", content=b"abcde")
    assert (answer.status_code, "disk is nearly full" in answer.json()["detail"]) == (507, True)


def test_what_nobody_took_in_leaves_room_for_so_much_only(client, tmp_path):
    (tmp_path / "incoming" / "left").write_bytes(b"a" * 3500)
    assert client.post("/gradio_api/upload", content=b"a" * 500).text == "500"
    assert client.post("/gradio_api/upload", content=b"a" * 501).status_code == 503


def test_uploads_are_looked_at_also_where_as_much_is_taken_as_of_words(client, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "_MOST_WORDS", 1000)
    (tmp_path / "incoming" / "left").write_bytes(b"a" * 4000)
    assert client.post("/gradio_api/upload", content=b"a").status_code == 503


# Requests that bring no file


@pytest.fixture
def few_words(monkeypatch):
    monkeypatch.setattr(gate, "_MOST_WORDS", 5000)


def test_a_request_without_a_file_may_be_long_and_not_endless(client, few_words):
    for send in (client.post, client.put, client.patch):
        assert send("/x", content=b"a" * 5000).text == "5000"
        answer = send("/x", content=b"a" * 5001)
        assert (answer.status_code, "at most 4.9 KB" in answer.json()["detail"]) == (413, True)
        assert send("/x", content=iter([b"a" * 3000, b"b" * 3000])).status_code == 499
    assert client.post("/a/upload/b", content=b"a" * 5001).status_code == 413, "only what ends in it is an upload"


def test_a_long_conversation_with_its_passages_is_no_large_request(client):
    assert client.post("/x", content=b"a" * 2**22).text == str(2**22)


def test_neither_a_full_disk_nor_waiting_uploads_hold_up_questions(client, tmp_path, monkeypatch):
    monkeypatch.setattr(gate.shutil, "disk_usage", lambda folder: Disk(10**12, 10**12, 0))
    (tmp_path / "incoming" / "left").write_bytes(b"a" * 5000)
    assert client.post("/x", content=b"a" * 2000).text == "2000"


def test_requests_that_read_pass_untouched(client, few_words):
    assert client.get("/x", headers={"content-length": "0"}).text == "0"
    assert client.get("/gradio_api/component_server").status_code == 200


@pytest.mark.parametrize("place", ["/gradio_api/component_server", "/component_server/"])
def test_files_for_functions_of_components_are_not_read_because_there_are_none(client, place):
    for send in (client.post, client.put, client.patch):
        answer = send(place, files={"f": ("a.txt", b"a" * 100)})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
