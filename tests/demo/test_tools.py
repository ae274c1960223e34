"""The tools for assistants, over a real server and by a real client."""

import json
import logging
import sys
import threading

import httpx
import pytest

from demo import text, tools
from demo.api import Api
from demo.publishing import described
from demo.tools import offer
from demo.tools_door import SESSION
from tests.demo.assistants import HEADERS, TOKEN, call, said, served, use
from tests.demo.conftest import MILL


@pytest.fixture
def url(idle_service, tmp_path, monkeypatch):
    with served(idle_service, tmp_path / "uploads", monkeypatch) as address:
        yield address


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


# Calls


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


# Without the package


def test_without_the_package_the_page_starts_all_the_same_and_says_so(idle_service, monkeypatch, caplog):
    for module in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING):
        assert not offer(idle_service)
    assert "No MCP server" in caplog.text
