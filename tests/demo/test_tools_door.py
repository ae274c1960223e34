"""At the door for assistants: whose session it is, what ends, and what is let in."""

import logging
import threading
import time

import httpx
import pytest

from demo import text, tools
from demo.tools_door import SESSION, _is_foreign
from tests.demo.assistants import HEADERS, TOKEN, call, connected, mine, said, served, use
from tests.demo.conftest import MILL


@pytest.fixture
def url(idle_service, tmp_path, monkeypatch):
    with served(idle_service, tmp_path / "uploads", monkeypatch) as address:
        yield address


# Who calls


def test_a_session_knows_its_own_texts_and_no_other_does(url, monkeypatch):
    monkeypatch.setattr(tools, "_PATIENCE", {"/memorize": 0.3})

    async def memorise(client, name):
        done = await client.call_tool("memorize", {"text": MILL, "title": "The mill"})
        listed = await client.call_tool("corpora", {})
        async with connected(url) as (other, its_name):
            assert its_name != name
            theirs = await other.call_tool("corpora", {})
            refused = await other.call_tool("ask", {"question": "Who?", "corpus": done.structuredContent["corpus"]})
            unknown = await other.call_tool("ask", {"question": "Who?", "corpus": "mine-none"})
        return done, listed, theirs, refused, unknown

    done, listed, theirs, refused, unknown = use(url, memorise)
    assert done.structuredContent["state"] in ("waiting", "running"), "the work goes on without the call"
    corpus = done.structuredContent["corpus"]
    assert corpus in listed.content[0].text
    assert "The mill.txt" in listed.content[0].text
    assert "mine-" not in theirs.content[0].text
    assert refused.isError
    assert refused.content == unknown.content
    assert corpus not in refused.content[0].text


def test_a_caller_without_a_session_is_told_a_new_one_each_time_and_a_cookie_names_nobody(url, monkeypatch):
    monkeypatch.setattr(tools, "_PATIENCE", {"/memorize": 0.3})
    cookie = {"cookie": f"memorag_visitor={'c' * 43}"}
    first, _ = call(url, "memorize", token=None, headers=cookie, text=MILL)
    second, listed = call(url, "corpora", token=None, headers=cookie)
    assert first.headers[SESSION] != second.headers[SESSION]
    assert "mine-" not in said(listed)
    assert len(mine(url, first.headers[SESSION])) == 1
    third, _ = call(url, "corpora", token=first.headers[SESSION])
    assert SESSION not in third.headers


@pytest.mark.parametrize("made_up", ["1", "a" * 42, "a" * 44, "../" + "a" * 40, "é" * 43, ""])
def test_a_made_up_session_is_refused(url, made_up):
    response, _ = call(url, "corpora", token=made_up.encode())
    assert response.status_code == 404
    assert response.json()["error"]["message"] == text.TOOLS_SESSION


def test_ending_a_session_deletes_what_it_memorised_and_nothing_else(url, monkeypatch):
    monkeypatch.setattr(tools, "_PATIENCE", {"/memorize": 0.3})
    for token in ("a" * 43, "b" * 43):
        call(url, "memorize", token=token, text=MILL)
        assert len(mine(url, token)) == 1
    assert httpx.delete(url, headers={SESSION: "a" * 43}).status_code == 204
    assert mine(url, "a" * 43) == []
    assert len(mine(url, "b" * 43)) == 1
    assert httpx.delete(url).status_code == 404


# Calls that end early


def test_a_call_that_is_cancelled_ends_and_only_its_own_session_can_do_that(url, idle_service, until):
    answers = {}

    def ask(token):
        answers[token] = call(url, "ask", number=7, token=token, question="Who?", corpus="tide-mill")[1]

    asking = [threading.Thread(target=ask, args=(letter * 43,)) for letter in "ab"]
    [thread.start() for thread in asking]
    until(lambda: len(idle_service.room._answers) == 2)
    ending = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    for stranger in ({SESSION: TOKEN}, {}):
        assert httpx.post(url, json=ending, headers={**HEADERS, **stranger}).status_code == 202
    time.sleep(0.5)
    assert not answers
    httpx.post(url, json=ending, headers={**HEADERS, SESSION: "a" * 43})
    asking[0].join(5)
    assert said(answers["a" * 43]) == text.TOOL_STOPPED
    assert len(idle_service.room._answers) == 1, "the work has ended too"
    httpx.delete(url, headers={SESSION: "b" * 43})  # ends what the session is doing
    asking[1].join(5)
    assert answers["b" * 43]["isError"]
    assert not idle_service.room._answers


def test_a_caller_who_hangs_up_ends_the_work(url, idle_service, until):
    with pytest.raises(httpx.ReadTimeout):
        call(url, "ask", timeout=1.0, question="Who?", corpus="tide-mill")
    until(lambda: not idle_service.room._answers, 3)


# What is no message


def test_what_is_no_message_is_refused_and_nothing_of_it_is_logged(url, caplog):
    marker = "the-heron-ate-it"
    caplog.set_level(logging.INFO)
    bodies = [
        b"",
        b"{",
        b"[" * 1500,
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":"%s"}}' % marker.encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"%s"}' % marker.encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % marker.encode(),
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":["%s"]}}' % marker.encode(),
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":"%s"}' % marker.encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s"}}' % (marker.encode() * 300_000),
    ]
    for body in bodies:
        response = httpx.post(url, content=body, headers={**HEADERS, SESSION: TOKEN}, timeout=30)
        assert response.status_code in (200, 202, 400, 413, 500)
        assert "Traceback" not in response.text
    assert httpx.post(url, content=b"{}", headers={**HEADERS, "content-type": "text/plain"}).status_code == 400
    assert not call(url, "corpora")[1]["isError"], "it goes on working"
    assert marker not in caplog.text


def test_nothing_else_is_served_there(url):
    assert httpx.get(url, headers={"Accept": "text/event-stream"}).status_code == 405
    assert httpx.get(f"{url}sse", headers={"Accept": "text/event-stream"}).status_code in (404, 405)
    assert httpx.post(f"{url}messages/", json={}, headers=HEADERS).status_code == 404
    assert httpx.put(url, headers=HEADERS).status_code == 405
    landing = httpx.get(url, headers={"Accept": "text/html"})
    assert landing.status_code == 200
    assert "MCP" in landing.text


# Browsers


def test_a_script_of_another_site_is_refused_and_one_of_this_page_is_not(url):
    assert call(url, "corpora", headers={"origin": "https://evil.example"})[0].status_code == 403
    assert call(url, "corpora", headers={"origin": "null"})[0].status_code == 403
    assert httpx.delete(url, headers={"origin": "https://evil.example", SESSION: TOKEN}).status_code == 403
    own = url.removesuffix("/gradio_api/mcp/")
    assert call(url, "corpora", headers={"origin": own})[0].status_code == 200
    rebound = {"origin": "http://evil.example:7860", "host": "evil.example:7860"}
    assert call(url, "corpora", headers=rebound)[0].status_code == 403


@pytest.mark.parametrize(
    ("headers", "is_private", "expected"),
    [
        ({"host": "a.org"}, True, False),
        ({"host": "a.org", "origin": "https://a.org"}, False, False),
        ({"host": "a.org", "origin": "https://a.org"}, True, True),
        ({"host": "10.0.0.1", "x-forwarded-host": "a.org", "origin": "https://a.org"}, False, False),
        ({"host": "a.org", "origin": "https://a.org:8443"}, False, True),
        ({"host": "a.org", "origin": "https://b.org"}, False, True),
        ({"host": "a.org", "origin": "null"}, False, True),
        ({"host": "a.org", "origin": ""}, False, True),
        ({"host": "a.org", "origin": "http://[::1"}, False, True),
        ({"host": "localhost:7860", "origin": "http://localhost:7860"}, True, False),
        ({"host": "[::1]:7860", "origin": "http://[::1]:7860"}, True, False),
        ({"host": "127.0.0.1:7860", "origin": "http://localhost:7860"}, True, True),
        ({"host": "evil.org", "x-forwarded-host": "localhost", "origin": "http://evil.org"}, True, True),
    ],
)
def test_who_is_foreign(headers, is_private, expected):
    assert _is_foreign(headers, is_private) == expected
