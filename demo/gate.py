"""At the door for uploads: none when the disk is nearly full, and no more at once than the server can keep.

Gradio limits the size of a file, but neither how many come in one request nor how many lie about that nobody asks for.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import folders, text
from demo.uploads import SPARE_BYTES

# How often what one visitor may keep may lie there before it was taken in, of all visitors together.
_MOST_WAITING = 4
# Bytes of a request that brings no file: a long conversation and its passages.
_MOST_WORDS = 8 * 2**20


class Gate:
    """ASGI middleware that refuses uploads to ``folder``; ``most`` is how many bytes one request may bring."""

    def __init__(self, app: ASGIApp, folder: Path, most: int) -> None:
        self._app, self._folder, self._most = app, folder, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is an upload that cannot be kept."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        place = scope["path"].rstrip("/").rpartition("/")[2]
        if place == "component_server":  # no component here has such a function, but its files would be read first
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        size = int(length) if length.isdecimal() else 0
        is_upload = place == "upload"
        most = self._most if is_upload else _MOST_WORDS
        with text.speaking(text.language_of(Headers(scope=scope).get("accept-language"))):  # the thread takes it along
            refusal = await asyncio.to_thread(self._refusal, size, most, is_upload)
        if refusal:
            status, sentence = refusal
            await JSONResponse({"detail": sentence}, status)(scope, receive, send)
            return
        left = most

        async def counted() -> Message:
            """Hang up on a request that brings more than it said."""
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await self._app(scope, counted, send)

    def _refusal(self, size: int, most: int, is_upload: bool) -> tuple[int, str] | None:
        """Return the status and the sentence with which a request of so many bytes is refused, if it is."""
        if size > most:
            return 413, text.UPLOAD_TOO_LARGE.format(size=text.size(size), limit=text.size(most))
        if not is_upload or not self._folder.is_dir():
            return None
        if shutil.disk_usage(self._folder).free < size + SPARE_BYTES:
            return 507, text.UPLOAD_DISK_FULL
        if folders.size_of(self._folder) + size > _MOST_WAITING * self._most:
            return 503, text.UPLOAD_BUSY
        return None
