"""The page's tools, used by an assistant's client with the real models; and the README's examples for programs."""

import asyncio
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.conftest import until

pytestmark = pytest.mark.models
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
README = (ROOT / "README.md").read_text("utf-8")


@asynccontextmanager
async def connected(app):
    async with (
        streamable_http_client(f"{app.url}/gradio_api/mcp/") as (incoming, outgoing, _),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield session


def use(app, steps):
    """Run what a test does in a session."""

    async def run():
        async with connected(app) as session:
            return await steps(session)

    return asyncio.run(run())


async def told(session, tool, **arguments):
    result = await session.call_tool(tool, arguments)
    assert not result.isError, result.content[0].text
    return result.structuredContent


def test_an_assistant_memorises_an_uploaded_pdf_and_gets_cited_answers(app):
    with (DATA / "lighthouse.pdf").open("rb") as file:
        uploaded = httpx.post(f"{app.url}/gradio_api/upload", files={"files": file}).json()
    stages = []

    async def note(_, __, message):
        stages.append(message)

    async def steps(session):
        memorised = await told(session, "memorize", files=uploaded)
        about = {"question": "How many steps does the stair of the tower have?", "corpus": memorised["corpus"]}
        found = await told(session, "evidence", **about)
        answer = await session.call_tool("ask", {**about, "max_new_tokens": 40}, progress_callback=note)
        turns = [[about["question"], answer.structuredContent["answer"]]]
        again = {"question": "Who was the first keeper?", "corpus": about["corpus"], "history": turns}
        return memorised, found, answer.structuredContent, await told(session, "evidence", **again)

    memorised, found, answer, again = use(app, steps)
    assert memorised["state"] == "done"
    assert [passage["page"] for passage in found["evidence"] if "214 steps" in passage["text"]] == [1]
    assert answer["evidence"] == found["evidence"]
    assert answer["answer"]
    assert "Recalling clues" in stages
    assert again["evidence"]


def test_what_a_session_memorised_goes_with_it_and_no_other_sees_it(app):
    before, logged = set(app.visitors_files()), len(app.log.read_text())
    words = "The heron of Skell eats nine eels a day."

    async def steps(session):
        memorised = await told(session, "memorize", text=words)
        assert set(app.visitors_files()) - before
        async with connected(app) as other:
            refused = await other.call_tool("ask", {"question": "Who?", "corpus": memorised["corpus"]})
            listed = await told(other, "corpora")
        assert refused.isError
        assert not [corpus for corpus in listed["corpora"] if corpus["mine"]]
        return await told(session, "evidence", question="What does the heron eat?", corpus=memorised["corpus"])

    assert use(app, steps)["evidence"][0]["text"] == words
    until(lambda: not set(app.visitors_files()) - before, 10)
    written = app.log.read_text()[logged:]
    assert "heron" not in written
    assert "Traceback" not in written


# The README


def blocks(language):
    """The examples for programs in a language."""
    section = README.split("## From a program\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.S)


def run(app, program, example):
    example = example.replace("http://localhost:7860", app.url)
    ran = subprocess.run([*program, example], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_python_examples_run(app):
    client, assistant = (run(app, [sys.executable, "-c"], example) for example in blocks("python"))
    assert "keeper" in client
    assert "Quill" in assistant


def test_the_curl_example_runs(app, tmp_path):
    (example,) = blocks("sh")
    said = run(app, ["bash", "-euc"], example.replace("visitor ", f"{tmp_path}/visitor "))
    assert said.rstrip().rpartition("event: complete")[2].count('"answer"') >= 1
    assert "214" in said


def test_the_address_for_assistants_is_served(app):
    (settings,) = blocks("json")
    address = re.search(r'"(http://localhost:7860[^"]*)"', settings)[1].replace("http://localhost:7860", app.url)
    assert httpx.get(address).status_code == 200
