"""The half of the stand-in for the Hub that takes what is uploaded: repositories, large files, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any


def blob(content: bytes) -> str:
    """The name that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str) -> bool:
    """Whether a file is kept apart from commits (git LFS)."""
    return path.endswith((".bin", ".safetensors"))


class Writing:
    """Answers what writes. Large files go over plain LFS, as on a Hub without other stores."""

    hub: Any

    def do_POST(self) -> None:  # noqa: N802 - the name that the server looks for
        path = self.noted()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path == "api/validate-yaml":
            return self._answer({})
        if path == "lfs/verify":
            return self._answer({}, 200 if json.loads(body)["oid"] in self.hub.large else 404)
        if path == "api/repos/create":
            return self._create(json.loads(body))
        name, action = re.fullmatch(r"(?:api/)?datasets/([^/]+/[^/]+?)(?:\.git/info/lfs)?/(\w+)/.*", path).groups()
        if self.refused(name, self.hub.datasets, writing=True):
            return None
        steps = {"preupload": self._preupload, "objects": self._batch, "commit": self._commit}
        return steps[action](name, body)

    def do_PUT(self) -> None:  # noqa: N802 - the name that the server looks for
        oid = self.noted().removeprefix("lfs/")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if hashlib.sha256(content).hexdigest() != oid:
            return self._answer({}, 400)
        self.hub.large[oid] = content
        return self._answer({})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        url = f"{self.hub.url}/datasets/{name}"
        if name in self.hub.datasets:
            return self._answer({"error": "You already created this dataset repo", "url": url}, 409)
        if self.refused(name, {name: {}}, writing=True):
            return None
        self.hub.datasets[name] = {"main": {".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n"}}
        if asked.get("visibility") == "private":
            self.hub.private |= {name}
        return self._answer({"url": url})

    def _preupload(self, name: str, body: bytes) -> None:
        held = self.hub.datasets[name]["main"]
        files = []
        for path in (file["path"] for file in json.loads(body)["files"]):
            mode = {"path": path, "uploadMode": "lfs" if is_large(path) else "regular", "shouldIgnore": False}
            if path in held:
                mode["oid"] = hashlib.sha256(held[path]).hexdigest() if is_large(path) else blob(held[path])
            files.append(mode)
        return self._answer({"files": files})

    def _batch(self, name: str, body: bytes) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            if wanted["oid"] not in self.hub.large:
                upload = {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}
                wanted["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.url}/lfs/verify"}}
            objects.append(wanted)
        return self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, body: bytes) -> None:
        header, *steps = (json.loads(line) for line in body.splitlines())
        if header["value"].get("parentCommit") not in (None, self.hub.commit(name)):
            return self._answer({"error": "The branch has moved"}, 412)
        files = dict(self.hub.datasets[name]["main"])
        self.hub.revisions(name, self.hub.datasets)  # so that the commit before this one stays
        for step in steps:
            value = step["value"]
            if step["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            else:
                del files[value["path"]]
        self.hub.datasets[name]["main"] = files
        commit = self.hub.commit(name)
        url = f"{self.hub.url}/datasets/{name}/commit/{commit}"
        return self._answer({"success": True, "commitOid": commit, "commitUrl": url})

    def _answer(self, facts: dict[str, Any], status: int = 200) -> None:
        self.send(status, json.dumps(facts).encode(), {"Content-Type": "application/json"})
