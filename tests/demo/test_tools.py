"""The tools for assistants, over a real server and by a real client; models are needed for none of this."""

import asyncio
import json
import logging
import sys
import threading
import time
from contextlib import asynccontextmanager

import gradio.mcp
import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from demo import text, tools, ui
from demo.api import Api
from demo.publishing import described
from demo.tools import offer
from demo.tools_door import SESSION, _is_foreign
from tests.demo.conftest import MILL

TOKEN = "t" * 43
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@pytest.fixture
def url(idle_service, tmp_path, monkeypatch):
    """Where the tools of a page are served whose models never come."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr(gradio.mcp, "GradioMCPServer", gradio.mcp.GradioMCPServer)  # put back at the end
    page = ui.build(idle_service)
    page.launch(mcp_server=offer(idle_service), prevent_thread_lock=True, quiet=True, show_error=False)
    yield f"{page.local_url}gradio_api/mcp/"
    page.close()


@asynccontextmanager
async def connected(url):
    """A client that has begun a session, and the session's name."""
    async with streamable_http_client(url) as (reading, writing, name):  # noqa: SIM117
        async with ClientSession(reading, writing) as client:
            await client.initialize()
            yield client, name()


def use(url, steps):
    """Run what a test does as a client."""

    async def run():
        async with connected(url) as (client, name):
            return await steps(client, name)

    return asyncio.run(run())


def call(url, name, *, number=1, token=TOKEN, timeout=20, headers=None, **arguments):
    """Call a tool by hand; returns the response and what the tool says."""
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    known = {} if token is None else {SESSION: token}
    response = httpx.post(url, json=message, headers={**HEADERS, **known, **(headers or {})}, timeout=timeout)
    answers = [json.loads(line[5:]) for line in response.text.splitlines() if line.startswith("data:")]
    return response, answers[-1].get("result", answers[-1]) if answers else None


def said(result):
    return result["content"][0]["text"]


def mine(url, token):
    _, result = call(url, "corpora", token=token)
    return [corpus["id"] for corpus in result["structuredContent"]["corpora"] if corpus["mine"]]


# What there is


def test_exactly_the_endpoints_without_secrets_are_tools_and_everything_is_described(url):
    listed = use(url, lambda client, _: client.list_tools()).tools
    assert [tool.name for tool in listed] == ["corpora", "memorize", "ask", "evidence"]
    assert [tool.annotations.readOnlyHint for tool in listed] == [True, False, True, True]
    for tool in listed:
        assert tool.description.split(". ")[0] in (getattr(Api, tool.name).__doc__)
        assert "Returns" in tool.description
        assert "request" not in tool.inputSchema["properties"]
        assert all(facts["description"].endswith(".") for facts in tool.inputSchema["properties"].values())
        assert not tool.inputSchema["additionalProperties"]
        assert "api_key" not in json.dumps(tool.inputSchema)
        assert "generator" not in tool.inputSchema["properties"]
    schema = listed[2].inputSchema
    assert schema["required"] == ["question", "corpus"]
    assert schema["properties"]["temperature"]["default"] == 0.0
    assert schema["properties"]["mode"]["description"].endswith("where it fits).")
    assert listed[1].inputSchema["properties"]["files"]["items"] == {"type": "string"}
    assert httpx.get(f"{url}schema").json()[1]["inputSchema"] == listed[1].inputSchema


def test_a_docstring_is_read_with_lines_that_go_on():
    def endpoint():
        """Do this
        and that.

        Args:
            one: the first: with
                a second line.
            two: short.

        Returns:
            A thing
            or two.
        """

    assert described(endpoint) == (
        "Do this and that.",
        {"one": "The first: with a second line.", "two": "Short."},
        "A thing or two.",
    )


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


def test_who_wants_to_know_is_told_how_far_a_call_is(url, monkeypatch):
    monkeypatch.setattr(tools, "_PATIENCE", {"/memorize": 1.5})
    told = []

    async def note(seconds, total, message):
        told.append((seconds, message))

    arguments = {"text": MILL}
    use(url, lambda client, _: client.call_tool("memorize", arguments, progress_callback=note))
    assert any("Memorising text.txt" in message for _, message in told)
    assert [seconds for seconds, _ in told] == sorted(seconds for seconds, _ in told)


def test_more_calls_than_can_be_served_are_refused(url, monkeypatch, until, idle_service):
    monkeypatch.setattr(tools, "_MOST_CALLS", 1)
    asking = threading.Thread(target=call, args=(url, "ask"), kwargs={"question": "Who?", "corpus": "tide-mill"})
    asking.start()
    until(lambda: idle_service.room._answers)
    assert said(call(url, "corpora", token="o" * 43)[1]) == text.TOOLS_BUSY
    httpx.delete(url, headers={SESSION: TOKEN})
    asking.join(5)
    assert not call(url, "corpora")[1]["isError"]


# What callers send


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("nope", {}, "There is no tool 'nope'; there are: corpora, memorize, ask, evidence."),
        ("connect", {"generator": "openai", "model": "", "api_key": "k", "address": ""}, "There is no tool 'connect'"),
        ("ask", {"question": "Who?"}, "ask takes question, corpus,"),
        ("ask", {"question": "Who?", "corpus": None}, "ask takes question, corpus,"),
        ("ask", {"question": "Who?", "corpus": "tide-mill", "generator": "openai"}, "ask takes question, corpus,"),
        ("ask", {"question": "Who?", "corpus": "tide-mill", "request": {}}, "ask takes question, corpus,"),
        ("ask", {"question": " ", "corpus": "tide-mill"}, text.QUESTION_EMPTY),
        ("ask", {"question": 5, "corpus": "tide-mill"}, text.NOT_TEXT.format(name=text.QUESTION, value=5)),
        ("ask", {"question": "\ud800?", "corpus": "\udfff"}, "There is no corpus"),
        ("evidence", {"question": "Who?", "corpus": "tide-mill", "mode": "qa"}, "There is no mode 'qa'"),
        ("memorize", {"corpus": "mine-x"}, text.EXPIRED),
    ],
)
def test_wrong_arguments_get_one_clear_sentence(url, name, arguments, sentence):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    response = httpx.post(url, content=json.dumps(message), headers={**HEADERS, SESSION: TOKEN})
    result = json.loads(response.text.partition("data: ")[2])["result"]
    assert result["isError"]
    assert sentence in said(result)


def test_no_argument_makes_the_server_read_a_file_or_fetch_an_address(url, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody may read this")
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    inside = tmp_path / "uploads" / "a" / "up.txt"
    for given in (str(secret), f"{inside}/../../../secret.txt", f"http://x/gradio_api/file={secret}", file, [file]):
        result = call(url, "memorize", files=[given])[1]
        assert said(result) == text.FILE_NOT_UPLOADED
    with_data = "data:text/plain;base64,bm9ib2R5"
    for given in (with_data, f"file://{secret}", url, "http://169.254.169.254/latest"):
        assert said(call(url, "memorize", files=[given])[1]) == text.FILE_NOT_UPLOADED
    for history in ([file], [[file, file]], file):
        assert call(url, "ask", question="Who?", corpus="tide-mill", history=history)[1]["isError"]
    assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


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


# Without the package


def test_without_the_package_the_page_starts_all_the_same_and_says_so(idle_service, monkeypatch, caplog):
    for module in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING):
        assert not offer(idle_service)
    assert "No MCP server" in caplog.text
