"""The door for uploads: what cannot be kept is refused before it is written, and all else passes untouched."""

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

    app = Starlette(
        routes=[Route("/gradio_api/upload", upload, methods=["POST"]), Route("/x", upload, methods=["POST"])]
    )
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


def test_other_requests_are_not_looked_at(client):
    assert client.post("/x", content=b"a" * 5000).text == "5000"
