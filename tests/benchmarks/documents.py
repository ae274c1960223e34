"""Every kind of file that a visitor may upload, good and bad: what came of it, and what it cost.

    python -m tests.benchmarks.documents [--only WORDS...] [--large] [--json FILE]

Each file is made on the spot and read as the app reads uploads, from a process of its own, so that the peaks are those
of this file: of the process that parsed it, and of the one that asked for it and got the text. Prints a table. The exit
status is 1 when a case came out otherwise than it should, took too long, or left a file or a process behind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from engine.documents import Document, Mark
from tests.benchmarks import documents_pdfs, documents_texts, documents_words
from tests.benchmarks.documents_cases import MB, Case, Read, Refused

ROOT = Path(__file__).parents[2]
_START = 30.0  # seconds that starting and handing over may take beyond reading
_SHOWN = 70  # characters of a refusal in the table
_FIGURES = (("seconds", 2), ("reader_mb", 0), ("app_mb", 0))  # and how many digits of them are shown
_HEAD = ("case", "size", "outcome", "as it should be", "seconds", "peak MB, reader", "peak MB, app")


def all_cases() -> list[Case]:
    return documents_texts.cases() + documents_pdfs.cases() + documents_words.cases()


def chosen(words: Sequence[str], large: bool) -> list[Case]:
    """Return the cases whose names hold one of the words, all where there are none."""
    return [
        case
        for case in all_cases()
        if (large or not case.large) and (not words or any(word.lower() in case.name.lower() for word in words))
    ]


def examine(case: Case, folder: Path) -> dict[str, Any]:
    """Make the file, read it, and return what came of it; ``folder`` is empty before and after."""
    uploads, scratch, text = folder / "uploads", folder / "scratch", folder / "text"
    uploads.mkdir()
    scratch.mkdir()
    path = uploads / case.file
    case.make(path)
    size = path.stat().st_size
    request = {"path": str(path), "name": case.given, "limits": asdict(case.limits), "password": case.password}
    found = _asked(request | {"text": str(text)}, scratch, case.limits.max_seconds + _START)
    left = [str(item.relative_to(folder)) for item in (*uploads.iterdir(), *scratch.iterdir()) if item != path]
    left += [f"process {process.pid}" for process in still_running(scratch)]
    wrong = fault(case, found, text)
    for item in (path, text):
        item.unlink(missing_ok=True)
    if not left:
        uploads.rmdir()
        scratch.rmdir()
    return {"case": case.name, "bytes": size, "wrong": wrong, "left": left} | found


def _asked(request: dict[str, Any], scratch: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.documents_process"]
    environment = os.environ | {"TMPDIR": str(scratch)}
    try:
        process = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "failed", "message": f"no answer within {seconds:g} s"}
    if process.returncode:
        return {"outcome": "failed", "message": process.stderr.strip().rpartition("\n")[2]}
    return json.loads(process.stdout)


def still_running(scratch: Path) -> Iterator[psutil.Process]:
    """Yield the processes whose temporary files would lie there: none but the app's and the reader's do."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(str(scratch)):
                yield process
        except psutil.Error:  # it has ended, or is another user's
            continue


def fault(case: Case, found: dict[str, Any], text: Path) -> str:
    """Say what is not as it should be, "" where all is."""
    if found["outcome"] == "failed":
        return found["message"]
    if found["seconds"] > case.within:
        return f"took longer than {case.within:g} s"
    if isinstance(case.expected, Refused):
        return _unlike_refusal(case.expected, found)
    return _unlike_text(case.expected, found, text)


def _unlike_refusal(expected: Refused, found: dict[str, Any]) -> str:
    if found["outcome"] != "refused":
        return "should be refused"
    if found["error"] != expected.error:
        return f"should be a {expected.error}, is a {found['error']}"
    if expected.words not in found["message"]:
        return f'should say "{expected.words}"'
    return "" if found["message"].count(". ") <= 1 else "more than two sentences"


def _unlike_text(expected: Read, found: dict[str, Any], text: Path) -> str:
    if found["outcome"] != "read":
        return "should be read"
    wanted, got = expected.text(), text.read_bytes().decode("utf-8")
    if not expected.same_lines:
        wanted, got = (" ".join(words.split()) for words in (wanted, got))
    if wanted != got:
        return f"another text from character {_first_difference(wanted, got)} on"
    if expected.name not in (None, found["name"]):
        return f"is called {found['name']}"
    if len(found["notes"]) != expected.notes:
        return f"{len(found['notes'])} notes"
    document = Document(
        found["name"], text.read_bytes().decode("utf-8"), tuple(Mark(**mark) for mark in found["marks"])
    )
    for words, place in expected.places.items():
        if document.locate(document.text.index(words)) != place:
            return f'"{words}" is at {document.locate(document.text.index(words))}'
    return ""


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what came of the cases as a Markdown table."""
    lines = [_HEAD, ("---", "---:", "---", "---", "---:", "---:", "---:"), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    figures = (f"{row[name]:.{digits}f}" if name in row else "" for name, digits in _FIGURES)
    right = "yes" if not row["wrong"] else f"NO: {row['wrong']}"
    return (row["case"], _size(row["bytes"]), _outcome(row), right, *figures)


def _size(count: int) -> str:
    """Return a size for people to read, as short as in a list of files."""
    for unit, size in (("MB", MB), ("KB", 2**10)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"


def _outcome(row: dict[str, Any]) -> str:
    if row["outcome"] != "read":
        said = row["message"].partition('" ')[2] or row["message"]
        return f"{row['outcome']}: {said[:_SHOWN].rstrip()}{'…' * (len(said) > _SHOWN)}"
    pages, sections = (sum(mark[kind] is not None for mark in row["marks"]) for kind in ("page", "section"))
    counted = (f"{n} {word}{'s' * (n > 1)}" * bool(n) for n, word in ((pages, "page"), (sections, "section")))
    return ", ".join(filter(None, ("read", *counted, "with a note" * bool(row["notes"]))))


def run(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Examine the cases one after another, each in a new folder."""
    rows = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="documents-", ignore_cleanup_errors=True) as folder:
            rows.append(examine(case, Path(folder)))
        sys.stderr.write("x" if rows[-1]["wrong"] or rows[-1]["left"] else ".")
        sys.stderr.flush()
    sys.stderr.write("\n")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS", help="cases whose names hold one of these")
    parser.add_argument("--large", action="store_true", help="files of 100 to 200 MB, too")
    parser.add_argument("--json", type=Path, default=Path("artifacts/documents.json"))
    given = parser.parse_args(arguments)
    cases = chosen(given.only, given.large)
    if not cases:
        parser.error("no case has a name like that")
    facts = {"benchmark": "documents", "system": platform.platform(), "cores": os.cpu_count()}
    facts["load before"] = os.getloadavg()[0]
    facts["rows"] = rows = run(cases)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(facts, indent=1), "utf-8")
    print(table(rows))
    wrong, left = [row for row in rows if row["wrong"]], [item for row in rows for item in row["left"]]
    print(f"\n{len(rows)} cases, {len(wrong)} not as they should be.")
    print(f"Left behind, files and processes: {', '.join(left) or 'none'}.")
    return 1 if wrong or left else 0


if __name__ == "__main__":
    sys.exit(main())
