"""Where the texts of a corpus come from: files and folders of this computer, the web, and datasets on the Hub.

    books/1.txt                                                      a file
    books                                                            the files of a folder, in natural order
    https://example.org/book.txt#sha256=HEX                          an address, with or without the sum of its file
    hf://datasets/OWNER/NAME[@REVISION]/PATH/TO/FILE#sha256=HEX      a file of a dataset, likewise

All sources are looked at before the first is downloaded.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Literal
from urllib.parse import urldefrag

from demo import fetching, folders, hub_files
from demo.catalogue import HUB, Source
from demo.hub_files import HubFile
from engine.documents import ACCEPTED, display_name
from engine.errors import InputError
from engine.events import OnProgress, Stop
from engine.readers import megabytes

_ACCEPTED = (
    "a TXT, PDF or DOCX file, a folder with such files, an address that begins with http:// or https://, "
    f"or {hub_files.FORM}"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SUM = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_HIDDEN, _OTHER, _LINKED = "hidden", "of other kinds than TXT, PDF and DOCX", "linked from elsewhere"


@dataclass(frozen=True)
class Given:
    """The texts of a corpus as ``files`` to be read in order, what each is to be called, and where they came from.

    ``names`` are unique. ``skipped`` are sentences about what was left out.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    made_from: tuple[Source, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Local:
    kind: Literal["files", "folder"]
    place: str
    files: tuple[Path, ...]
    skipped: str = ""


@dataclass(frozen=True)
class _Web:
    address: str
    expected: str


@dataclass(frozen=True)
class _Hub:
    file: HubFile
    expected: str


def gather(
    sources: Sequence[str],
    fetched: Path,
    *,
    max_bytes: int,
    token: str = "",
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
) -> Given:
    """Find the files of all sources, download what is not here, and keep that in the folder ``fetched``.

    ``max_bytes`` is the largest size of one file; ``token`` opens private datasets on the Hub.

    Raises:
        InputError: a source that cannot be used, naming it.
        Cancelled: ``stop`` was set. What was downloaded is kept, and the next call goes on there.
    """
    if not sources:
        raise InputError(f"No source was given: give {_ACCEPTED}.")
    understood = [_understood(source, max_bytes) for source in sources]
    files: list[Path] = []
    found: list[tuple[str, str]] = []
    for one in understood:
        if stop is not None:
            stop.check()
        if isinstance(one, _Local):
            files += one.files
            found.append((one.kind, one.place))
        elif isinstance(one, _Web):
            files.append(fetching.fetch(one.address, one.expected, fetched, max_bytes, on_progress, stop))
            found.append(("http", _with_sum(one.address, one.expected)))
        else:
            path, pinned = _from_hub(one, fetched, max_bytes, token, on_progress, stop)
            files.append(path)
            found.append(("hub", pinned))
    skipped = [one.skipped for one in understood if isinstance(one, _Local) and one.skipped]
    once = tuple(dict.fromkeys(files))
    if len(once) < len(files):
        skipped.append(f"Given more than once, and read once: {len(files) - len(once)}.")
    return Given(once, _names(once), _made_from(found), tuple(skipped))


def again(made_from: Iterable[Source]) -> list[str]:
    """Return the sources as they would be given again; a repository of bundles is none."""
    return [place for source in made_from if source.kind != "repository" for place in source.places]


def _made_from(found: Iterable[tuple[str, str]]) -> tuple[Source, ...]:
    """Return (kind, place) pairs as sources, neighbours of one kind together."""
    together = groupby(found, key=lambda pair: pair[0])
    return tuple(
        Source.model_validate({"kind": kind, "places": [place for _, place in pairs]}) for kind, pairs in together
    )


def _from_hub(
    one: _Hub, fetched: Path, max_bytes: int, token: str, on_progress: OnProgress | None, stop: Stop | None
) -> tuple[Path, str]:
    """Return the file, and its address at the revision that was given, else at the commit that was found."""
    cache = folders.make(fetched) / HUB
    path, commit = hub_files.fetch(one.file, one.expected, cache, max_bytes, token, on_progress, stop)
    pinned = HubFile(one.file.name, one.file.revision or commit, one.file.path)
    return path, _with_sum(str(pinned), one.expected)


def _with_sum(address: str, expected: str) -> str:
    return f"{address}#sha256={expected}" if expected else address


def _names(files: Iterable[Path]) -> tuple[str, ...]:
    """Return names to show, numbered where an earlier file has the same."""
    taken: dict[str, None] = {}
    for path in files:
        name = display_name(path.name)
        stem, suffix = Path(name).stem, Path(name).suffix
        numbered = (name if n == 1 else f"{stem} ({n}){suffix}" for n in count(1))
        taken[next(new for new in numbered if new not in taken)] = None
    return tuple(taken)


# What a source is


def _understood(source: str, max_bytes: int) -> _Local | _Web | _Hub:
    if (scheme := _SCHEME.match(source)) is None:
        return _folder(source, max_bytes) if _path(source).is_dir() else _file(source, max_bytes)
    address, expected = _parted(source)
    if scheme[0].lower() in ("http://", "https://"):
        address = urldefrag(address).url
        fetching.check(address)
        return _Web(address, expected)
    if scheme[0] != "hf://":
        raise InputError(f"{address!r} begins with {scheme[0]}, which is not known here: give {_ACCEPTED}.")
    file = hub_files.parse(address)
    if file is None:
        raise InputError(f"{address!r} does not name a file of a dataset on the Hub: give {hub_files.FORM}.")
    _check_suffix(file.path)
    return _Hub(file, expected)


def _parted(source: str) -> tuple[str, str]:
    """Return an address and the sum that it ends in, "" where it ends in none."""
    address, mark, given = source.partition("#sha256=")
    if mark and not _SUM.fullmatch(given):
        raise InputError(
            f"The sum after {fetching.shown(address)}#sha256= is malformed: a SHA-256 sum has 64 digits from 0 to f."
        )
    return address, given.lower()


def _check_suffix(name: str) -> None:
    if Path(name).suffix.lower() not in ACCEPTED:
        raise InputError(f"{name!r} is not named .txt, .pdf or .docx; only these are read. Save it as one of them.")


def _path(source: str) -> Path:
    try:
        source.encode()
    except UnicodeEncodeError as error:  # of another encoding, which no manifest can hold
        raise InputError(f"The name {source!r} is no Unicode text; rename the file or folder.") from error
    return Path(source).expanduser() if source.strip() else Path("\0")  # an empty name would be the present folder


def _check_size(path: Path, max_bytes: int) -> None:
    if not os.access(path, os.R_OK):
        raise InputError(f"The file {path.name!r} may not be read by this user: change that, or leave it out.")
    if (size := path.stat().st_size) > max_bytes:
        raise InputError(
            f"The file {path.name!r} has {megabytes(size)}; at most {megabytes(max_bytes)} are read. "
            "Split it, or raise MEMORAG_MAX_FILE_MB."
        )


def _file(source: str, max_bytes: int) -> _Local:
    path = _path(source)
    if not path.is_file():
        raise InputError(f"There is no file or folder {source!r}: give {_ACCEPTED}.")
    _check_suffix(path.name)
    _check_size(path, max_bytes)
    return _Local("files", str(path.absolute()), (path.absolute(),))


def _folder(source: str, max_bytes: int) -> _Local:
    """Find the files in a folder and the folders in it. Nothing outside it is, whatever links say."""
    root = _path(source).absolute()
    left_out: Counter[str] = Counter()
    files: list[Path] = []
    for at, inner, names in os.walk(root, onerror=_cannot_be_read):
        left_out[_HIDDEN] += sum(name.startswith(".") for name in inner)
        inner[:] = [name for name in inner if not name.startswith(".")]
        left_out[_LINKED] += sum(_leads_out(Path(at) / name, root) for name in inner)  # links are not entered
        for path in (Path(at) / name for name in names):
            if (reason := _reason_against(path, root)) is None:
                files.append(path)
            else:
                left_out[reason] += 1
    if not files:
        raise InputError(f"There is no TXT, PDF or DOCX file in the folder {source!r}: give another, or {_ACCEPTED}.")
    for path in files:
        _check_size(path, max_bytes)
    files.sort(key=lambda path: _natural(path.relative_to(root)))
    reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items() if number)
    return _Local("folder", str(root), tuple(files), f"Left out of {root.name!r}: {reasons}." if reasons else "")


def _reason_against(path: Path, root: Path) -> str | None:
    """Return why a file of a folder is left out, None where it is not."""
    if path.name.startswith("."):
        return _HIDDEN
    if _leads_out(path, root):
        return _LINKED
    return None if path.is_file() and path.suffix.lower() in ACCEPTED else _OTHER


def _leads_out(path: Path, root: Path) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def _cannot_be_read(error: OSError) -> None:
    raise InputError(f"The folder {error.filename!r} cannot be read: {error.strerror}.") from error


def _natural(path: Path) -> list[list[str | int]]:
    """Return a key that sorts the numbers in names as numbers: 2.txt before 10.txt."""
    return [
        [int(piece) if piece.isdecimal() else piece.casefold() for piece in re.split(r"(\d+)", part)]
        for part in path.parts
    ]
