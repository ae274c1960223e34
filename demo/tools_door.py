"""At the door for assistants: who calls, and which calls out of a browser are let in.

Each message of the protocol comes as a request of its own, and of a session nothing is kept but what it memorised. Its
name is a token that nobody can guess, as in a browser's cookie; so it outlasts a restart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import text
from demo.identity import new_token, owner_of
from demo.service import Service

SESSION = "mcp-session-id"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Bytes of a message that may be one that ends a call; others are longer.
_SHORT = 2000


def caller_of(token: str) -> str:
    """Return the name of the session behind a token; the token cannot be told from it."""
    return f"mcp {hashlib.sha256(token.encode()).hexdigest()}"


class Door:
    """ASGI application before the one that answers messages.

    ``cancel`` ends a call of the session that a token names, by the call's id, or all of them.
    """

    def __init__(self, app: ASGIApp, service: Service, cancel: Callable[[str, str | None], None]) -> None:
        self._app, self._service, self._cancel = app, service, cancel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers, method = Headers(scope=scope), scope["method"]
        token = headers.get(SESSION)
        if _is_foreign(headers, self._service.settings.is_private_host):
            await _refusal(text.TOOLS_FOREIGN, 403)(scope, receive, send)
        elif token is not None and not _TOKEN.fullmatch(token):
            await _refusal(text.TOOLS_SESSION, 404)(scope, receive, send)
        elif method == "DELETE":
            await (await self._ended(token))(scope, receive, send)
        elif method == "POST":
            await self._message(scope, receive, send, token)
        elif "text/event-stream" in headers.get("accept", ""):
            # Nothing is said here but in answer to a call.
            await Response(status_code=405, headers={"Allow": "POST, DELETE"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _ended(self, token: str | None) -> Response:
        """End a session: nobody can ask what it memorised any more, so it is deleted."""
        if token is None:
            return _refusal(text.TOOLS_SESSION, 404)
        self._cancel(token, None)
        await run_sync(self._service.delete, owner_of(None, caller_of(token)))
        return Response(status_code=204)

    async def _message(self, scope: Scope, receive: Receive, send: Send, known: str | None) -> None:
        """Pass a message on with the token of its session alone; whoever brings none is told a new one."""
        token = known or new_token()
        if Headers(scope=scope).get("content-length", "x").isdecimal():
            body, receive = await _peeked(scope, receive)
            if (call := _call_to_end(body)) is not None:
                self._cancel(token, call)
                await Response(status_code=202)(scope, receive, send)
                return
        kept = [(name, value) for name, value in scope["headers"] if name not in (b"cookie", SESSION.encode())]
        scope = {**scope, "headers": [*kept, (SESSION.encode(), token.encode())]}

        async def send_with_session(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                MutableHeaders(scope=message)[SESSION] = token
            await send(message)

        await self._app(scope, receive, send if known else send_with_session)


async def _peeked(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """Return the body of a request where it is short, else nothing, and what gives the whole of it again."""
    if int(Headers(scope=scope)["content-length"]) > _SHORT:
        return b"", receive
    body = await Request(scope, receive).body()
    again: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return again.pop() if again else await receive()

    return body, replayed


def _call_to_end(body: bytes) -> str | None:
    """Return the id of the call that a message ends, if it is such a message."""
    try:
        message = json.loads(body)
        is_end = message["method"] == "notifications/cancelled"
        return str(message["params"]["requestId"]) if is_end else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_foreign(headers: Headers, is_private: bool) -> bool:
    """Whether a script of another site calls. Programs name no origin, scripts in browsers always.

    A name that somebody lets point to this machine makes their script look like one of this site. So where the server
    is for this machine alone, it is also only known by this machine's names.
    """
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return True
    place = origin.partition("://")[2]
    return place not in (headers.get("host"), headers.get("x-forwarded-host")) or (is_private and host not in _LOOPBACK)


def _refusal(sentence: str, status: int) -> Response:
    error = {"code": -32600, "message": sentence}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status)
