"""A page that offers tools, and assistants that call them; models are needed for none of this."""

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager

import gradio.mcp
import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from demo import ui
from demo.tools import offer
from demo.tools_door import SESSION

TOKEN = "t" * 43
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@contextmanager
def served(service, folder, monkeypatch):
    """Where the tools of a page are served that takes its uploads in a folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    monkeypatch.setattr(gradio.mcp, "GradioMCPServer", gradio.mcp.GradioMCPServer)  # put back at the end
    page = ui.build(service)
    page.launch(mcp_server=offer(service), prevent_thread_lock=True, quiet=True, show_error=False)
    try:
        yield f"{page.local_url}gradio_api/mcp/"
    finally:
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
