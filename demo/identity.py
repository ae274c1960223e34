"""Who is who: a visitor is known by an unguessable token in a cookie, and named by a fingerprint of it.

The token itself is never kept here, on disk or in a log. Whoever sends no cookie (a program, say) is known by Gradio's
session instead.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "memorag_visitor"
_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """Return a token that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(_BYTES)


def owner_of(token: str | None, session: str | None) -> str:
    """Return the name under which a visitor's documents are kept: 64 hex digits.

    Without a good token the session stands in; without either, the caller is a new visitor at every call.
    """
    if token is not None and _TOKEN.fullmatch(token):
        return _fingerprint(f"cookie {token}")
    return _fingerprint(f"session {session or new_token()}")


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def token_of(request: Any) -> str | None:  # noqa: ANN401 - a gr.Request, whose cookies are no plain mapping
    """Return the visitor's token in a request, if there is one."""
    cookies = getattr(request, "cookies", None)
    return str(cookies[COOKIE]) if cookies is not None and COOKIE in cookies else None


class Recognise:
    """ASGI middleware that gives every browser its cookie, and makes it last from the last visit on.

    Only pages and uploads carry it: of requests that run at once, one alone must name a new visitor.
    """

    def __init__(self, app: ASGIApp, max_age: int) -> None:
        self._app, self._max_age = app, max_age

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and set the cookie on the way back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_foreign = _is_foreign(scope)
        if is_foreign:
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"cookie"]}
        known = _known_token(scope)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                if is_page:
                    headers["cache-control"] = "private, no-store"  # a page that a proxy hands on names one visitor
                if (is_page and not is_foreign) or (known is not None and scope["path"].endswith("/upload")):
                    headers.append("set-cookie", self._cookie(known or new_token(), _is_secure(scope)))
            await send(message)

        await self._app(scope, receive, send_with_cookie)

    def _cookie(self, token: str, is_secure: bool) -> str:
        # A Space is shown inside another site's page: there, only a cookie that is kept for that pair of sites lives.
        sites = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
        return f"{COOKIE}={token}; Path=/; Max-Age={self._max_age}; HttpOnly; {sites}"


def _known_token(scope: Scope) -> str | None:
    token = HTTPConnection(scope).cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else None


def _is_foreign(scope: Scope) -> bool:
    """Whether another site's script sends a request: Gradio lets every site read the answers, so it must name nobody.

    Opening the page from another site, also inside a frame there, is none of that. A program names no site.
    """
    headers = Headers(scope=scope)
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if site is not None:
        return site in ("cross-site", "same-site") and not (mode == "navigate" and scope["method"] in ("GET", "HEAD"))
    # Browsers tell plain HTTP pages nothing of the kind, but every one names the origin of a script's request.
    origin = headers.get("origin")
    hosts = (headers.get("host"), headers.get("x-forwarded-host"))
    return origin is not None and origin.partition("://")[2] not in hosts


def _is_secure(scope: Scope) -> bool:
    """Whether the visitor's browser speaks HTTPS, be it with a proxy in front."""
    forwarded = Headers(scope=scope).get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return (forwarded or scope.get("scheme", "http")) == "https"
