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


class Gate:
    """ASGI middleware that refuses uploads to ``folder``; ``most`` is how many bytes one request may bring."""

    def __init__(self, app: ASGIApp, folder: Path, most: int) -> None:
        self._app, self._folder, self._most = app, folder, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless it is an upload that cannot be kept."""
        is_upload = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/upload")
        if not is_upload:
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        size = int(length) if length.isdecimal() else 0
        if refusal := await asyncio.to_thread(self._refusal, size):
            status, sentence = refusal
            await JSONResponse({"detail": sentence}, status)(scope, receive, send)
            return
        left = self._most

        async def counted() -> Message:
            """Hang up on a request that brings more than it said."""
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await self._app(scope, counted, send)

    def _refusal(self, size: int) -> tuple[int, str] | None:
        """Return the status and the sentence with which an upload of so many bytes is refused, if it is."""
        if size > self._most:
            return 413, text.UPLOAD_TOO_LARGE.format(size=text.size(size), limit=text.size(self._most))
        if not self._folder.is_dir():
            return None
        if shutil.disk_usage(self._folder).free < size + SPARE_BYTES:
            return 507, text.UPLOAD_DISK_FULL
        if folders.size_of(self._folder) + size > _MOST_WAITING * self._most:
            return 503, text.UPLOAD_BUSY
        return None
