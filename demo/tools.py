"""The public endpoints as tools for assistants: an MCP server at /gradio_api/mcp/.

Gradio describes the endpoints, but its own way to call them is replaced. There, all callers share one client of this
page and so one visitor, an argument may name a file of the server, which that client then reads, and a call goes on
when its caller has gone. Here, a caller is known by an unguessable session that the server names, as a browser is by
its cookie, and endpoints are called in this process.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import gradio as gr
import gradio.mcp
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from demo import session, text
from demo.publishing import described
from demo.service import Service
from demo.tools_door import SESSION, Door, caller_of
from engine.errors import InputError

if TYPE_CHECKING:
    from mcp import types
    from mcp.server import Server

logger = logging.getLogger(__name__)

# What takes a secret is no tool: assistants keep what they send. Without, there is one generator.
_NO_TOOLS = ("/connect",)
_NO_ARGUMENTS = ("generator",)
_CHANGES = ("/memorize",)
# Seconds that a call of a tool waits for work that goes on without it: many assistants give up after a minute.
_PATIENCE = {"/memorize": 45}
# Calls at once, all callers together, and threads for their steps.
_MOST_CALLS, _THREADS = 32, 16
_OVER = object()


def offer(service: Service) -> bool:
    """Let a page that is launched with ``mcp_server=True`` serve tools; return whether it can be."""
    try:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: F401
    except ImportError as error:
        logger.warning("%s", text.TOOLS_MISSING.format(reason=error))
        return False
    logging.getLogger("mcp").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_harmless)
    gradio.mcp.GradioMCPServer = partial(Tools, service=service)  # type: ignore[assignment, misc]
    return True


def _is_harmless(record: logging.LogRecord) -> bool:
    """Whether a line may stand in the log: here the protocol's own code writes what a caller sent, where it is odd."""
    return not record.pathname.endswith("mcp/shared/session.py")


class Tools(gradio.mcp.GradioMCPServer):
    """The server over a page's endpoints."""

    def __init__(self, blocks: gr.Blocks, service: Service) -> None:
        self._calls: dict[anyio.CancelScope, tuple[str, str]] = {}
        self._threads = anyio.CapacityLimiter(_THREADS)
        super().__init__(blocks)
        self._door = Door(self.handle_streamable_http, service, self._cancel)

    def launch_mcp_on_sse(self, app: Starlette, subpath: str, root_path: str) -> None:
        """Serve the tools, and for the API page their description; nothing is served in the protocol's old way."""
        self.root_path = root_path
        routes = [Route("/schema", endpoint=self.get_complete_schema), Mount("/", app=self._door)]
        app.mount(subpath, Starlette(routes=routes))

    # What there is

    def get_tool_to_endpoint(self) -> dict[str, str]:
        """Return the endpoints by the names of their tools."""
        names = [name for name in self.api_info["named_endpoints"] if name not in _NO_TOOLS]
        return {f"{self.tool_prefix}{name.removeprefix('/')}": name for name in names}

    def get_fn_description(self, block_fn: Any, tool_name: str) -> tuple[str, dict[str, str]]:  # noqa: ANN401
        """Return what a tool does and gives, and what each argument means, from the endpoint's docstring."""
        about, arguments, returns = described(block_fn.fn)
        endpoint = self.tool_to_endpoint[tool_name]
        waits = text.TOOL_WAITS.format(seconds=_PATIENCE[endpoint]) if endpoint in _PATIENCE else ""
        gives = "Returns the last of" if inspect.isgeneratorfunction(block_fn.fn) else "Returns"
        return " ".join(filter(None, (about, waits, f"{gives}: {returns}"))), arguments

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Return the schema of a tool's arguments; none of them is a file that Gradio would fetch."""
        properties: dict[str, dict[str, Any]] = {}
        required = []
        for name, facts in self._parameters(tool_name).items():
            known = {key: value for key, value in facts["type"].items() if key != "additional_description"}
            known["description"] = (parameters or {}).get(name, "")
            if name == "files":
                known = {"type": "array", "items": {"type": "string"}, "description": text.TOOL_FILES}
            if facts["parameter_has_default"]:
                known["default"] = facts["parameter_default"]
            else:
                required.append(name)
            properties[name] = known
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return schema, []

    def _parameters(self, tool: str) -> dict[str, dict[str, Any]]:
        """Return what is known of the arguments of a tool, by name."""
        given = self.api_info["named_endpoints"][self.tool_to_endpoint[tool]]["parameters"]
        return {facts["parameter_name"]: facts for facts in given if facts["parameter_name"] not in _NO_ARGUMENTS}

    def create_mcp_server(self) -> Server:
        """Return what answers the protocol's messages."""
        server: Server = self.Server(text.TITLE, instructions=text.TOOLS_FOR)

        @server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]
        async def tools() -> list[types.Tool]:
            return [self._tool(name) for name in self.tool_to_endpoint]

        @server.call_tool(validate_input=False)  # type: ignore[untyped-decorator]
        async def call(name: str, arguments: dict[str, Any]) -> types.CallToolResult:
            return await self._called(name, arguments)

        return server

    def _tool(self, name: str) -> types.Tool:
        from mcp.types import Tool, ToolAnnotations

        endpoint = self.tool_to_endpoint[name]
        about, arguments = self.get_fn_description(self.get_block_fn_from_endpoint_name(endpoint), name)
        hints = ToolAnnotations(readOnlyHint=endpoint not in _CHANGES, destructiveHint=False, openWorldHint=False)
        schema, _ = self.get_input_schema(name, arguments)
        return Tool(name=name, description=about, inputSchema=schema, annotations=hints)

    # Calls

    async def _called(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Call a tool for whoever asks; what goes wrong is one sentence."""
        context = self.mcp_server.request_context
        request: Any = context.request
        token = request.headers[SESSION]
        try:
            if len(self._calls) >= _MOST_CALLS:
                raise InputError(text.TOOLS_BUSY)
            work = self._work(name, arguments, request, token)
            with anyio.CancelScope() as scope:
                self._calls[scope] = (token, str(context.request_id))
                try:
                    value = await self._last(work, _PATIENCE.get(self.tool_to_endpoint[name]))
                finally:
                    del self._calls[scope]
            if scope.cancelled_caught:
                raise InputError(text.TOOL_STOPPED)
        except Exception as error:
            sentence = error.message if isinstance(error, gr.Error) else session.sentence(error)
            return self._result(sentence, is_error=True)
        return self._result(value if isinstance(value, dict) else {name.removeprefix(self.tool_prefix): value})

    def _work(self, name: str, arguments: Mapping[str, Any], request: Request, token: str) -> Callable[[], Any]:
        """Return a call of the endpoint behind a tool.

        Raises:
            InputError: there is no such tool, or it takes other arguments.
        """
        if name not in self.tool_to_endpoint:
            raise InputError(text.UNKNOWN_TOOL.format(name=name, known=", ".join(self.tool_to_endpoint)))
        known = self._parameters(name)
        given = {argument: value for argument, value in arguments.items() if value is not None}
        needed = [argument for argument, facts in known.items() if not facts["parameter_has_default"]]
        if not given.keys() <= known.keys() or not given.keys() >= set(needed):
            names = [", ".join(each) or "-" for each in (known, needed, given)]
            raise InputError(text.TOOL_ARGUMENTS.format(name=name, known=names[0], needed=names[1], given=names[2]))
        endpoint = self.tool_to_endpoint[name]
        every = self.api_info["named_endpoints"][endpoint]["parameters"]
        values = [given.get(facts["parameter_name"], facts["parameter_default"]) for facts in every]
        caller = gr.Request(request, session_hash=caller_of(token))
        block = self.get_block_fn_from_endpoint_name(endpoint)
        assert block is not None and block.fn is not None  # noqa: S101 - it is one of those that are listed
        return partial(block.fn, *values, caller)

    async def _last(self, work: Callable[[], Any], patience: float | None) -> Any:  # noqa: ANN401 - what endpoints give
        """Return what an endpoint gives at last, telling of its steps; being cancelled closes it."""
        steps = await run_sync(work, limiter=self._threads)
        if not isinstance(steps, Generator):
            return steps
        began, told = anyio.current_time(), ""
        last: Any = None
        try:
            while (step := await run_sync(next, steps, _OVER, limiter=self._threads)) is not _OVER:
                last = step
                if last["status"] != told:
                    told = last["status"]
                    await self._tell(anyio.current_time() - began, told)
                if patience is not None and anyio.current_time() > began + patience:
                    break
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(steps.close)
        return last

    async def _tell(self, seconds: float, status: str) -> None:
        """Tell a caller who wants to know how far its call is."""
        context = self.mcp_server.request_context
        if context.meta is not None and context.meta.progressToken is not None:
            await context.session.send_progress_notification(
                context.meta.progressToken, seconds, message=status, related_request_id=str(context.request_id)
            )

    def _result(self, value: str | dict[str, Any], is_error: bool = False) -> types.CallToolResult:
        from mcp.types import CallToolResult, TextContent

        # Half of a pair of surrogates in a text is no text that can be sent.
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        words = words.encode("utf-8", "replace").decode()
        structured = None if isinstance(value, str) else json.loads(words)
        return CallToolResult(
            content=[TextContent(type="text", text=words)], structuredContent=structured, isError=is_error
        )

    def _cancel(self, token: str, request: str | None) -> None:
        """End a call of a session, or all of them; a name that is none of its calls ends nothing."""
        for scope, (whose, call) in list(self._calls.items()):
            if whose == token and request in (None, call):
                scope.cancel()
