"""A real HTTP server on loopback for files: ranges and conditions as RFC 9110 has them, and much that goes wrong."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit


@dataclass
class Served:
    """A file at a path.

    ``breaks``: after how many bytes of an answer the connection ends, for the first answers. ``hangs``: after how many
    bytes every answer stays silent. ``length``: what is said of its length, where that is a lie; "" for nothing said.
    ``status``: what is answered instead, for as many requests as there are.
    """

    content: bytes = b""
    etag: str = '"one"'
    modified: str = ""
    kind: str = "text/plain; charset=utf-8"
    ranges: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    hangs: int | None = None
    length: str | None = None
    status: list[int] = field(default_factory=list)


@dataclass
class FileServer:
    """Serves ``files`` by path. ``requests`` holds the path and the headers of each, names in lower case."""

    files: dict[str, Served] = field(default_factory=dict)
    certificate: Path | None = None  # with its key; https where it is given
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FileServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": self}))
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self._server.server_port}"

    def sent(self, name: str) -> list[str | None]:
        """What the requests had in the header ``name``."""
        return [headers.get(name) for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    site: FileServer

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        asked = {name.lower(): value for name, value in self.headers.items()}
        self.site.requests.append((self.path, asked))
        if (served := self.site.files.get(path)) is None:
            return self._head(404, {"Content-Length": "0"})
        if served.status:
            return self._head(served.status.pop(0), {"Content-Length": "0"} | dict(served.headers))
        found = {"ETag": served.etag, "Last-Modified": served.modified}
        validators = {name: value for name, value in found.items() if value}
        asks_again = {"if-none-match": served.etag, "if-modified-since": served.modified}
        if any(asked.get(name) == value for name, value in asks_again.items() if value):
            return self._head(304, validators)
        start = self._start(asked, served)
        body = served.content[start or 0 :]
        said = str(len(body)) if served.length is None else served.length
        headers = validators | {"Content-Type": served.kind} | ({"Content-Length": said} if said else {})
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(served.content) - 1}/{len(served.content)}"
        self._head(200 if start is None else 206, headers | dict(served.headers))
        return self._body(served, body)

    def _start(self, asked: Mapping[str, str], served: Served) -> int | None:
        if not served.ranges or "range" not in asked:
            return None
        if asked.get("if-range") not in (None, served.etag, served.modified):
            return None
        return int(asked["range"].removeprefix("bytes=").removesuffix("-"))

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, served: Served, body: bytes) -> None:
        if served.breaks:
            body = body[: served.breaks.pop(0)]
        self.wfile.write(body[: served.hangs])
        if served.hangs is not None:
            self.site.ended.wait(30)

    def log_message(self, *_: object) -> None:
        pass


def held(folder: Path) -> list[str]:
    """The names of the files in a folder, without locks."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def own_certificate(folder: Path) -> Path:
    """A certificate for loopback with its key, made now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path
