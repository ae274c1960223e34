"""A stand-in for the Hugging Face Hub on loopback: model listings and files, tokens, gates, and a log of requests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]


@dataclass
class HubServer:
    """Serves ``repositories``: model name -> revision -> path -> content.

    ``token``: the only one accepted, where one is sent. ``private``: models that need it. ``gated``: models nobody may
    read yet. ``withheld``: paths that answer 403, so that a download stops there.
    """

    repositories: Mapping[str, Mapping[str, Files]]
    token: str = "hf_right"
    private: frozenset[str] = frozenset()
    gated: frozenset[str] = frozenset()
    withheld: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Authorization

    def __enter__(self) -> HubServer:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fetched(self) -> list[str]:
        """The paths of the files that were downloaded, once each."""
        found = {
            path.split("/resolve/")[1].split("/", 1)[1] for method, path, _ in self.requests if "/resolve/" in path
        }
        return sorted(found)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path, self.headers["Authorization"]))
        api = path.startswith("api/models/")
        owner, name, *rest = path.removeprefix("api/models/").split("/")
        model = f"{owner}/{name}"
        if (problem := self._problem(model)) is not None:
            return self._send(problem[0], b"{}", {"X-Error-Code": problem[1], "X-Error-Message": problem[2]})
        kind, found = (rest[0], "/".join(rest[1:])) if rest else ("revision", "main")
        revisions = {_commit(model, key): (key, files) for key, files in self.hub.repositories[model].items()}
        revisions |= {key: (key, files) for key, files in self.hub.repositories[model].items()}
        wanted = next((key for key in revisions if found == key or found.startswith(f"{key}/")), None)
        if wanted is None:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        key, files = revisions[wanted]
        commit = _commit(model, key)
        if api:
            return self._send(200, json.dumps(_listing(kind, model, commit, files)).encode())
        return self._file(found.removeprefix(wanted).strip("/"), files, commit)

    do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

    def _problem(self, model: str) -> tuple[int, str, str] | None:
        """What keeps the caller from a model: status, error code and message, as the Hub gives them."""
        sent = self.headers["Authorization"]
        if sent is not None and sent != f"Bearer {self.hub.token}":
            return 401, "", "Invalid credentials in Authorization header"
        if model in self.hub.gated:
            return 403, "GatedRepo", "Access to the model is restricted"
        if model not in self.hub.repositories or (model in self.hub.private and sent is None):
            return 404, "RepoNotFound", "Repository not found"
        return None

    def _file(self, path: str, files: Files, commit: str) -> None:
        if path in self.hub.withheld:
            return self._send(403, b"")
        if path not in files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        tag = f'"{hashlib.sha1(files[path]).hexdigest()}"'
        return self._send(200, files[path], {"ETag": tag, "X-Repo-Commit": commit})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _commit(model: str, revision: str) -> str:
    return hashlib.sha1(f"{model}@{revision}".encode()).hexdigest()


def _listing(kind: str, model: str, commit: str, files: Files) -> object:
    if kind == "revision":
        return {"id": model, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
    return [
        {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for path, content in files.items()
    ]
