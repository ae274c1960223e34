"""What programs give, checked at the door: uploaded files, plain texts, earlier turns."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from demo import session, text
from engine.errors import InputError
from engine.events import Turn

MOST_TURNS = 50
ANSWER_CHARACTERS = 20_000
# How Gradio writes the address of an uploaded file.
_SERVED = "/gradio_api/file="


def was_uploaded(path: Path) -> bool:
    """Whether a file lies in the folder that uploads go to."""
    return path.resolve().is_relative_to(Path(get_upload_folder()).resolve())


def uploaded(file: Any) -> tuple[Path, str]:  # noqa: ANN401 - Gradio gives a plain dict, other programs a path
    """Return the path of an uploaded file and its name.

    Raises:
        InputError: nothing was uploaded to that path; a caller made it up.
    """
    facts: dict[str, Any]
    if isinstance(file, str):
        facts = {"path": file.rpartition(_SERVED)[2]}
    elif isinstance(file, dict):
        facts = file
    else:
        facts = {name: getattr(file, name, None) for name in ("path", "orig_name")}
    path = Path(str(facts.get("path") or ""))
    try:
        is_here = path.is_file() and was_uploaded(path)
    except (OSError, ValueError):  # no file can have such a name
        is_here = False
    if not is_here:
        raise InputError(text.FILE_NOT_UPLOADED)
    return path, str(facts.get("orig_name") or path.name)


def written(words: str, title: str) -> tuple[Path, str]:
    """Write a text to a file among the uploads; return its path and its name.

    Raises:
        InputError: the disk does not take it.
    """
    name = title.strip() or "text"
    name = name if name.lower().endswith(".txt") else f"{name}.txt"
    folder = Path(get_upload_folder())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder)  # named as what is swept soon
        with os.fdopen(handle, "wb") as file:
            file.write(words.encode("utf-8", "replace"))
    except OSError as error:
        raise InputError(text.FILE_NOT_KEPT.format(name=name)) from error
    return Path(path), name


def turns_of(history: Any) -> tuple[Turn, ...]:  # noqa: ANN401 - whatever a caller sends
    """Return the earlier turns that a caller gives: each a list of question and answer, or an object of both.

    Raises:
        InputError: one is something else, or there is too much.
    """
    if not isinstance(history, list):
        raise InputError(text.BAD_HISTORY.format(value=history))
    if len(history) > MOST_TURNS:
        raise InputError(text.TOO_MANY_TURNS.format(count=len(history), limit=MOST_TURNS))
    return tuple(_turn(number, given) for number, given in enumerate(history, start=1))


def _turn(number: int, given: object) -> Turn:
    pair = [given.get("question"), given.get("answer")] if isinstance(given, dict) else given
    match pair:
        case [str(question), str(answer)]:
            for words, limit in ((question, session.QUESTION_CHARACTERS), (answer, ANSWER_CHARACTERS)):
                if len(words) > limit:
                    raise InputError(text.TURN_LONG.format(number=number, length=len(words), limit=limit))
            return Turn(question, answer)
        case _:
            raise InputError(text.BAD_TURN.format(number=number))
