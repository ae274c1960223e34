"""A stand-in for the Hugging Face Hub on loopback: models and datasets, listings, files, tokens, gates, and a log."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

import pytest

from tests.hub_writing import Writing, blob, is_large

Files = Mapping[str, bytes]
Repositories = Mapping[str, Mapping[str, Files]]


@dataclass
class HubServer:
    """Serves ``repositories`` (models) and ``datasets``: name -> revision -> path -> content.

    A commit is named after what it holds, and stays when its revision is replaced. ``token`` may do anything and
    ``reader`` only read; no other token is accepted. ``private``: what needs a token. ``gated``: what nobody may read
    yet. ``withheld``: paths that answer 403, so that a download stops there. ``breaking``: the bytes of a path after
    which the connection breaks, once each. ``lies``: other content than the listing tells, by path.
    """

    repositories: Repositories = field(default_factory=dict)
    token: str = "hf_right"
    private: frozenset[str] = frozenset()
    gated: frozenset[str] = frozenset()
    withheld: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Authorization
    datasets: dict[str, dict[str, Files]] = field(default_factory=dict)
    reader: str = "hf_reader"
    breaking: dict[str, int] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)  # what was uploaded apart from commits, by its sum
    ranges: list[str] = field(default_factory=list)  # the Range headers that were sent
    _commits: dict[str, Files] = field(default_factory=dict)

    def __enter__(self) -> HubServer:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
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

    def commit(self, name: str, revision: str = "main") -> str:
        """The full id of the commit that a revision of a repository is at."""
        return _commit(name, (self.datasets.get(name) or self.repositories[name])[revision])

    def revisions(self, name: str, of: Repositories) -> dict[str, tuple[str, Files]]:
        """What revisions and commits of a repository there are: commit and files of each."""
        found = {key: (_commit(name, files), files) for key, files in of[name].items()}
        self._commits |= {f"{name}@{commit}": files for commit, files in found.values()}
        known = {key.partition("@")[2]: files for key, files in self._commits.items() if key.startswith(f"{name}@")}
        return found | {commit: (commit, files) for commit, files in known.items()}


@contextmanager
def client_of(url: str, home: Path) -> Iterator[None]:
    """Let the real client of this process talk to a stand-in: no saved login, no other stores than plain LFS."""
    from huggingface_hub import close_session, constants

    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            patch.delenv(name, raising=False)
        patch.setattr(constants, "ENDPOINT", url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        close_session()  # the one that is open asks elsewhere
        yield
    close_session()


class _Handler(Writing, BaseHTTPRequestHandler):
    hub: HubServer

    def do_GET(self) -> None:
        path = self.noted()
        api, is_dataset, owner, name, rest = re.fullmatch(
            r"(api/)?(?:models/|(datasets/))?([^/]+)/([^/]+)/?(.*)", path
        ).groups()
        of, repository = (self.hub.datasets if is_dataset else self.hub.repositories), f"{owner}/{name}"
        if self.refused(repository, of):
            return None
        kind, _, found = (rest or "revision/main").partition("/")
        revisions = self.hub.revisions(repository, of)
        wanted = next((key for key in revisions if found == key or found.startswith(f"{key}/")), None)
        if wanted is None:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        commit, files = revisions[wanted]
        if api:
            told = _tree(files) if kind == "tree" else self._about(repository, commit, files)
            return self.send(200, json.dumps(told).encode())
        return self._file(found.removeprefix(wanted).strip("/"), files, commit)

    do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

    def noted(self) -> str:
        """Note the request; return its path."""
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append((self.command, path, self.headers["Authorization"]))
        return path

    def refused(self, repository: str, of: Repositories, *, writing: bool = False) -> bool:
        """Whether something keeps the caller from a repository; that is answered as the Hub does."""
        sent = self.headers["Authorization"]
        problem = None
        if sent not in (None, f"Bearer {self.hub.token}", f"Bearer {self.hub.reader}"):
            problem = 401, "", "Invalid credentials in Authorization header"
        elif repository in self.hub.gated:
            problem = 403, "GatedRepo", "Access to the model is restricted"
        elif repository not in of or (repository in self.hub.private and sent is None):
            problem = 404, "RepoNotFound", "Repository not found"
        elif writing and sent != f"Bearer {self.hub.token}":
            problem = 403, "", "Forbidden: you do not have the rights"
        if problem is not None:
            self.send(problem[0], b"{}", {"X-Error-Code": problem[1], "X-Error-Message": problem[2]})
        return problem is not None

    def _about(self, name: str, commit: str, files: Files) -> dict[str, object]:
        held = [{"rfilename": path} for path in files]
        return {"id": name, "sha": commit, "private": name in self.hub.private, "siblings": held}

    def _file(self, path: str, files: Files, commit: str) -> None:
        if path in self.hub.withheld:
            return self.send(403, b"")
        if path not in files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        content = self.hub.lies.get(path, files[path])
        headers = {"ETag": f'"{blob(content)}"', "X-Repo-Commit": commit}
        if self.command == "HEAD":
            return self.send(200, content, headers)
        breaks_after, span = self.hub.breaking.pop(path, None), self.headers["Range"]
        if span is None:
            return self.send(200, content, headers, breaks_after)
        self.hub.ranges.append(span)
        start = int(span.removeprefix("bytes=").partition("-")[0])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.send(206, content[start:], headers, breaks_after)

    def send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, breaks_after: int | None = None
    ) -> None:
        """Answer; after ``breaks_after`` bytes of the body the connection ends."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:breaks_after])
        self.close_connection = breaks_after is not None or self.close_connection

    def log_message(self, *_: object) -> None:
        pass


def _commit(name: str, files: Files) -> str:
    held = hashlib.sha1(name.encode())
    for path, content in sorted(files.items()):
        held.update(f"\0{path}\0{len(content)}\0".encode() + content)
    return held.hexdigest()


def _tree(files: Files) -> list[dict[str, object]]:
    folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
    found: list[dict[str, object]] = [{"type": "directory", "path": path, "oid": "0" * 40} for path in sorted(folders)]
    for path, content in files.items():
        facts = {"type": "file", "path": path, "size": len(content), "oid": blob(content)}
        if is_large(path):
            kept = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            facts |= {"oid": blob(kept["oid"].encode()), "lfs": kept}
        found.append(facts)
    return found
