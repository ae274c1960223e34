"""What has come from the web: a folder for each address.

    FETCHED/KEY/part, part.json     what has come so far, and of which version of the file
    FETCHED/KEY/NAME, kept.json     the whole file, and which version it is

KEY is a hash of the address.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from demo import folders
from engine.documents import display_name

_PART, _PART_FACTS, _KEPT_FACTS = "part", "part.json", "kept.json"


@dataclass(frozen=True)
class Version:
    """One version of a file as its server describes it: name, validators ("" where none), and bytes (0: not said)."""

    name: str
    etag: str = ""
    modified: str = ""
    size: int = 0

    @property
    def validator(self) -> str:
        """What says that it is byte for byte the same; "" where nothing does."""
        return self.modified if self.etag.startswith("W/") else self.etag or self.modified


class Place:
    """The folder of one address, for whoever has claimed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.part = folder / _PART

    def kept(self) -> Version | None:
        """Return the version of the whole file that is here."""
        version = _version(self.folder / _KEPT_FACTS)
        return version if version is not None and _size(self.folder / version.name) == version.size else None

    def begun(self) -> Version | None:
        """Return the version of which a part is here that can be gone on with."""
        version = _version(self.folder / _PART_FACTS)
        return version if version is not None and version.validator and self._has_room(version) else None

    def _has_room(self, version: Version) -> bool:
        """Whether the part is neither empty nor complete."""
        return self.arrived > 0 and (not version.size or self.arrived < version.size)

    @property
    def arrived(self) -> int:
        """The bytes of the part."""
        return _size(self.part)

    def begin(self, version: Version) -> None:
        """Make room for a version."""
        self.drop()
        folders.write_json(self.folder / _PART_FACTS, asdict(version))

    def drop(self) -> None:
        """Delete the part."""
        self.part.unlink(missing_ok=True)
        (self.folder / _PART_FACTS).unlink(missing_ok=True)

    def forget(self) -> None:
        """Delete the whole file, not the part."""
        self._delete_but(_PART, _PART_FACTS)

    def clear(self) -> None:
        """Delete all that is here."""
        self._delete_but()

    def _delete_but(self, *names: str) -> None:
        for path in self.folder.iterdir():
            if path.name not in (".lock", *names):
                folders.delete(path)

    def finish(self, version: Version) -> Path:
        """Make the part the whole file, in place of an older one."""
        path = self.folder / version.name
        version = replace(version, size=self.arrived)
        self._delete_but(_PART)
        self.part.replace(path)
        folders.write_json(self.folder / _KEPT_FACTS, asdict(version))
        return path


def _version(path: Path) -> Version | None:
    try:
        facts = folders.read_json(path)
        version = Version(str(facts["name"]), str(facts["etag"]), str(facts["modified"]), int(facts["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if version.name == display_name(version.name) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
