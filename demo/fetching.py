"""Files from the web: downloaded over http or https, gone on with after a break, used again while they are the same.

Ranges, validators and conditions are those of RFC 9110 (HTTP semantics).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from demo import folders
from demo.catalogue import sum_of
from demo.fetched import Place, Version
from demo.transfers import Transfer, other_sum, watched
from engine.documents import ACCEPTED, display_name
from engine.errors import InputError
from engine.events import OnProgress, Stop

if TYPE_CHECKING:
    from httpx2 import URL, Client, Response

_LONGEST_NAME = 60  # characters, of up to four bytes; file systems take 255 bytes
_MOST_REDIRECTS = 5
_TIMEOUT = 20.0  # seconds without a byte
_ATTEMPTS = 4  # in a row that bring nothing new
_PAUSE = 0.5  # seconds before the second attempt, and twice as long before each that follows
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_WEB_PAGES = ("text/html", "application/xhtml+xml")
_SUFFIXES = {
    "text/plain": ".txt",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
}
_MOST_PORTS = 65535
_UNUSUAL = re.compile(r"[\s\\]")  # never in an address
_SPAN = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _Passing(Exception):  # noqa: N818 - never leaves this file
    """The server could not answer now."""


def shown(address: str) -> str:
    """Return an address without what may hold a key: its query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def check(address: str) -> None:
    """Look whether an address can be asked, without asking it.

    Raises:
        InputError: it is malformed, or holds a password, which would be kept in plain sight.
    """
    from httpx2 import URL, InvalidURL

    try:
        url = URL(address)
        is_whole = bool(url.host) and not (url.port and url.port > _MOST_PORTS) and not _UNUSUAL.search(address)
    except InvalidURL:
        is_whole = False
    if not is_whole:
        told = re.sub("//.*@", "//", address.partition("?")[0])  # without what may be a password
        raise InputError(f"{told!r} is no web address: give one like https://example.org/book.txt.")
    if url.userinfo:
        raise InputError(
            f"The address at {url.host} holds a user name or a password, which would be kept: "
            "download the file yourself, and give the file."
        )


def fetch(
    address: str,
    expected: str,
    fetched: Path,
    max_bytes: int,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Path:
    """Return the file at an address that ``check`` accepts; it is kept in the folder ``fetched``.

    Where it is there already, the server is asked whether it is still the same. ``expected`` is its SHA-256 sum in
    hex, or "": a kept file that has it is used without asking.

    Raises:
        InputError: it cannot be reached, is too large, of no kind that is read, has another sum, or cannot be stored.
        Cancelled: ``stop`` was set. What has come is kept, and the next call goes on there.
    """
    transfer = Transfer(shown(address), max_bytes)
    try:
        folders.make(fetched)
        # Who downloads the same at the same time does so in a folder of another number.
        root = folders.Root(fetched / hashlib.sha256(address.encode()).hexdigest()[:32])
        try:
            return _fetch(address, expected, Place(root.path), transfer, on_progress, stop)
        finally:
            root.close()
    except OSError as error:
        raise InputError(f"{transfer.shown} could not be stored in the cache folder: {error.strerror}.") from error


def _fetch(
    address: str, expected: str, place: Place, transfer: Transfer, on_progress: OnProgress | None, stop: Stop | None
) -> Path:
    if expected and (kept := place.kept()) is not None:
        if sum_of(place.folder / kept.name) == expected:
            return place.folder / kept.name
        place.forget()
    path = watched(transfer, _Download(address, place, transfer).run, on_progress, stop)
    if expected and (found := sum_of(path)) != expected:
        place.clear()
        raise InputError(other_sum(transfer.shown, found, expected))
    return path


class _Download:
    """Brings the file at one address to its place."""

    def __init__(self, address: str, place: Place, transfer: Transfer) -> None:
        self._address, self._place, self._transfer = address, place, transfer

    def run(self) -> Path:
        """Return the whole file; where the connection breaks, go on as long as each attempt brings something new."""
        from httpx2 import Client, RequestError

        most, vain = 0, 0
        # Compressed on the way, a file has no length and no ranges that would be of use here.
        with Client(timeout=_TIMEOUT, headers={"User-Agent": "MemoRAG", "Accept-Encoding": "identity"}) as client:
            while True:
                try:
                    return self._attempt(client)
                except (RequestError, _Passing) as error:
                    vain = 0 if self._place.arrived > most else vain + 1
                    most = max(most, self._place.arrived)
                    if vain >= _ATTEMPTS:
                        raise InputError(self._failure()) from error
                self._transfer.pause(_PAUSE * 2 ** max(vain - 1, 0))

    def _failure(self) -> str:
        if self._place.begun() is None:
            return f"{self._transfer.shown} cannot be reached now: check the address and the connection, or try later."
        return (
            f"The connection to {self._transfer.shown} breaks again and again: give it again to go on where it broke."
        )

    def _attempt(self, client: Client) -> Path:
        part = self._place.begun()
        kept = None if part is not None else self._place.kept()
        with self._opened(client, self._conditions(part, kept)) as response:
            if response.status_code == HTTPStatus.NOT_MODIFIED and kept is not None:
                return self._place.folder / kept.name
            if response.status_code == HTTPStatus.OK:
                version = self._described(response)
                self._transfer.begin(version.size)
                self._place.begin(version)
            elif part is not None and self._goes_on(response, part):
                version = part
                self._transfer.begin(version.size, self._place.arrived)
            else:
                raise self._refusal(response, part)
            self._take(response)
        if version.size not in (0, self._place.arrived):
            raise _Passing()
        return self._place.finish(version)

    def _take(self, response: Response) -> None:
        """Put what comes at the end of the part."""
        with self._place.part.open("ab") as stream:
            for block in response.iter_bytes():
                try:
                    self._transfer.add(len(block))
                except InputError:
                    self._place.drop()
                    raise
                stream.write(block)
                stream.flush()  # nothing may be left to be written after a stop

    def _conditions(self, part: Version | None, kept: Version | None) -> Mapping[str, str]:
        if part is not None:
            return {"Range": f"bytes={self._place.arrived}-", "If-Range": part.validator}
        found = {"If-None-Match": kept.etag, "If-Modified-Since": kept.modified} if kept is not None else {}
        return {name: value for name, value in found.items() if value}

    def _goes_on(self, response: Response, part: Version) -> bool:
        """Whether an answer begins where the part ends, and is of the same file as far as it says."""
        span = _SPAN.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code != HTTPStatus.PARTIAL_CONTENT or span is None or _is_encoded(response):
            return False
        is_same_size = span[2] == "*" or not part.size or int(span[2]) == part.size
        return is_same_size and int(span[1]) == self._place.arrived

    def _refusal(self, response: Response, part: Version | None) -> Exception:
        """Return what to raise about an answer without the file; what may be well the next time is tried again."""
        status, name = response.status_code, self._transfer.shown
        if part is not None and status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            self._place.drop()
            return _Passing()
        if status in _PASSING:
            return _Passing()
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return InputError(
                f"{name} is not open to everybody (status {status}): download it yourself, give the file."
            )
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return InputError(f"There is nothing at {name} (status {status}): check the address.")
        return InputError(f"{name} was answered with status {status}, not with a file: check the address.")

    @contextmanager
    def _opened(self, client: Client, headers: Mapping[str, str]) -> Iterator[Response]:
        from httpx2 import URL

        address = URL(self._address)
        for _ in range(_MOST_REDIRECTS + 1):
            self._transfer.check()
            with client.stream("GET", address, headers=headers) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                address = self._next(address, response)
        raise InputError(f"{self._transfer.shown} leads on more than {_MOST_REDIRECTS} times: give the last address.")

    def _next(self, address: URL, response: Response) -> URL:
        found = address.join(response.headers["Location"])
        if found.scheme not in ("http", "https") or not found.host:
            raise InputError(f"{self._transfer.shown} leads to something that is no http(s) address: give another.")
        if address.scheme == "https" and found.scheme == "http":
            raise InputError(f"{self._transfer.shown} leads from https to an address without encryption: give another.")
        return found

    def _described(self, response: Response) -> Version:
        """Return what an answer with the whole file says about it."""
        name = self._name(response)
        if _is_encoded(response):  # its length and validators are not those of what will be written
            return Version(name)
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else 0
        return Version(name, response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), size)

    def _name(self, response: Response) -> str:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in _WEB_PAGES:
            raise InputError(f"{self._transfer.shown} is a web page: save it as text, and give the file.")
        paths = (urlsplit(self._address).path, response.url.path)
        given = (_attached(response), *(unquote(path).rpartition("/")[2] for path in paths))
        names = [display_name(name, _LONGEST_NAME) for name in given if name]
        if (fitting := next((name for name in names if Path(name).suffix.lower() in ACCEPTED), None)) is not None:
            return fitting
        if (suffix := _SUFFIXES.get(kind)) is None:
            raise InputError(
                f"{self._transfer.shown} is of the kind {kind[:100] or 'unknown'}; only TXT, PDF and DOCX are read."
            )
        return (names or ["document"])[0] + suffix


def _attached(response: Response) -> str:
    """Return the file name in the header Content-Disposition, "" where there is none."""
    header = Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    return header.get_filename("")


def _is_encoded(response: Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")
