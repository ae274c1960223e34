"""Questions with known answers, and the documents they are about: what an evaluation runs on.

    FILE.jsonl                  one question a line, beside a folder ``docs`` with <doc>.txt for each ``doc``: doc,
                                question, answers; where there are any choices, gold_choice, evidence (verbatim), kind,
                                source, any_evidence (true where one of the evidence strings is enough)
    longbench:FILE.jsonl        LongBench (arXiv 2308.14508): dataset, input, context, answers, all_classes
    infinitebench:FILE.jsonl    InfiniteBench (arXiv 2402.13718): context, input, answer, options
    ultradomain:FILE.jsonl      UltraDomain (arXiv 2409.05591): input, context, answers, label or dataset

The last three hold the text in the line: each distinct one becomes a document. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.documents import Document, encodable, read_document
from engine.errors import InputError
from engine.language import language_of
from engine.readers import clean

# Of this source, evidence strings are alternatives: its questions are about facts that a novel states several times.
_ANY_EVIDENCE = "LiteraryQA"
# Classes are put after a question as choices while there are letters for them.
_MOST_CHOICES = 26
# Asked of a text that comes without a question, for a summary.
_SUMMARISE = {"zh": "\u8bf7\u6982\u62ec\u5168\u6587\u3002", "en": "Summarise the text."}


@dataclass(frozen=True)
class Question:
    """One question about the document ``doc``.

    ``answers`` are the accepted ones, best first. Where there are ``choices``, ``gold`` is the number of the right one,
    from 0. ``evidence`` are strings of the document that hold the answer, all of them or, with ``any_evidence``, each.
    """

    doc: str
    question: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    gold: int | None = None
    evidence: tuple[str, ...] = ()
    kind: str = "all"
    source: str = ""
    any_evidence: bool = False

    @property
    def digest(self) -> str:
        """16 hex digits that change with what is asked; not with what would be right."""
        asked = json.dumps([self.doc, self.question, self.choices])
        return hashlib.sha256(asked.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Dataset:
    """Questions in the order of their file, and the documents they name."""

    name: str
    questions: tuple[Question, ...]
    documents: Mapping[str, Document]

    def only(
        self,
        documents: Collection[str] = (),
        kinds: Collection[str] = (),
        limit: int | None = None,
        seed: int = 0,
    ) -> Dataset:
        """Return the questions about some documents and of some kinds (empty: all), and ``limit`` of these by chance.

        Raises:
            InputError: a document or kind that is not there, no question left, or a limit below 1.
        """
        _known("document", documents, {question.doc for question in self.questions})
        _known("kind", kinds, {question.kind for question in self.questions})
        left = [q for q in self.questions if (not documents or q.doc in documents) and (not kinds or q.kind in kinds)]
        if limit is not None and limit < 1:
            raise InputError(f"The limit is {limit}; give 1 question or more.")
        if not left:
            raise InputError(f"{self.name} has no such question; give other documents or kinds, or leave them out.")
        if limit is not None and limit < len(left):
            drawn = random.Random(seed).sample(range(len(left)), limit)  # noqa: S311 - the same ones are wanted again
            left = [left[number] for number in sorted(drawn)]
        named = {question.doc for question in left}
        return replace(self, questions=tuple(left), documents={n: d for n, d in self.documents.items() if n in named})


def load(name: str) -> Dataset:
    """Read questions and documents from FILE.jsonl, or from SOURCE:FILE.jsonl for one of the sources above.

    Raises:
        InputError: a file that is not there, a line that cannot be used (its number is told), evidence that is not in
            its document, or a source that is not known.
        DocumentError: a document that cannot be read.
    """
    source, colon, rest = name.partition(":")
    if colon and source in _SOURCES:
        return _from_contexts(Path(rest), source)
    path = Path(name)
    if colon and source.isalpha() and len(source) > 1 and not path.is_file():
        raise InputError(f"Questions of the source {source!r} cannot be read; known are {', '.join(_SOURCES)}.")
    return _from_folder(path)


@dataclass(frozen=True)
class _Line:
    """One line of a file: its values, each of them checked when it is asked for."""

    file: str
    number: int
    values: Mapping[str, Any]

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.file}, line {self.number}: {what}")

    def text(self, *names: str, default: str | None = None) -> str:
        """Return the text in the first field of these names that is there."""
        for name in names:
            if isinstance(value := self.values.get(name), str):
                return encodable(value)
            if value is not None:
                raise self.wrong(f"the field {name!r} is no text.")
        if default is None:
            raise self.wrong(f"the field {' or '.join(map(repr, names))} is missing.")
        return default

    def texts(self, name: str, is_needed: bool = False) -> tuple[str, ...]:
        """Return a list of texts; a single text or number is a list of one, and numbers become texts."""
        value = self.values.get(name)
        found = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(item, str | int | float) for item in found):
            raise self.wrong(f"the field {name!r} is no list of texts.")
        if is_needed and not found:
            raise self.wrong(f"the field {name!r} is missing or empty.")
        return tuple(encodable(str(item)) for item in found)


def _lines(path: Path) -> Iterator[_Line]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    values = json.loads(line)
                except ValueError as error:
                    raise InputError(f"{path.name}, line {number}: that is no JSON.") from error
                if not isinstance(values, dict):
                    raise InputError(f"{path.name}, line {number}: that is no JSON object with a question's fields.")
                yield _Line(path.name, number, values)
    except OSError as error:
        raise InputError(f"The questions {path.name!r} cannot be read: {error.strerror}. Give a JSONL file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The questions {path.name!r} are not written in UTF-8. Save them so.") from error


def _dataset(path: Path, questions: Sequence[Question], documents: Mapping[str, Document]) -> Dataset:
    if not questions:
        raise InputError(f"{path.name!r} holds no question; give a JSONL file with one a line.")
    return Dataset(path.stem, tuple(questions), documents)


# Documents in files of their own


def _from_folder(path: Path) -> Dataset:
    questions: list[Question] = []
    documents: dict[str, Document] = {}
    for line in _lines(path):
        question = _plain(line)
        if question.doc not in documents:
            documents[question.doc] = _document(line, path.parent / "docs", question.doc)
        text = documents[question.doc].text
        if missing := [string for string in question.evidence if string not in text]:
            begin = " ".join(missing[0].split())[:60]
            raise line.wrong(f"the evidence {begin!r} is not in the document {question.doc!r}, word by word.")
        questions.append(question)
    return _dataset(path, questions, documents)


def _plain(line: _Line) -> Question:
    choices, answers, source = (
        line.texts("choices"),
        line.texts("answers", is_needed=True),
        line.text("source", default=""),
    )
    gold = line.values.get("gold_choice")
    if choices and gold is None:
        gold = _gold(line, choices, answers)
    if choices and (not isinstance(gold, int) or not 0 <= gold < len(choices)):
        raise line.wrong(f"gold_choice is {gold!r}; give the number of a choice, 0 to {len(choices) - 1}.")
    return Question(
        doc=line.text("doc"),
        question=line.text("question"),
        answers=answers,
        choices=choices,
        gold=gold if choices else None,
        evidence=tuple(map(clean, line.texts("evidence"))),
        kind=line.text("kind", default="all"),
        source=source,
        any_evidence=bool(line.values.get("any_evidence", source.startswith(_ANY_EVIDENCE))),
    )


def _document(line: _Line, folder: Path, name: str) -> Document:
    if Path(name).name != name:
        raise line.wrong(f"the document is {name!r}; give the name of a file in {folder.name!r}, without .txt.")
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise line.wrong(f"the document {path.name!r} is not in the folder {folder.name!r} beside the questions.")
    return read_document(path)


def _gold(line: _Line, choices: Sequence[str], answers: Sequence[str]) -> int:
    """Return the number of the right choice, which the answers give by its words or its letter."""
    letters = [chr(65 + number) for number in range(len(choices))]
    for known in (choices, letters):
        if found := [known.index(answer) for answer in answers if answer in known]:
            return found[0]
    raise line.wrong("no answer is one of the choices, in the same words or by its letter.")


# Documents inside the lines


def _from_contexts(path: Path, source: str) -> Dataset:
    questions: list[Question] = []
    documents: dict[str, Document] = {}
    for line in _lines(path):
        text = clean(line.text("context"))
        if not text.strip():
            raise line.wrong("the field 'context' is empty.")
        document = Document(f"{source}-{hashlib.sha256(text.encode()).hexdigest()[:12]}", text)
        documents.setdefault(document.name, document)
        question = _SOURCES[source](line, document.name)
        if not question.question.strip():
            asked = _SUMMARISE["zh" if language_of([text]).startswith("zh") else "en"]
            question = replace(question, question=asked, kind="summary")
        questions.append(question)
    return _dataset(path, questions, documents)


def _longbench(line: _Line, doc: str) -> Question:
    kind = line.text("dataset", default=Path(line.file).stem)
    classes, answers = line.texts("all_classes"), line.texts("answers", is_needed=True)
    choices = classes if 1 < len(classes) <= _MOST_CHOICES else ()
    gold = _gold(line, choices, answers) if choices else None
    return Question(doc, line.text("input"), answers, choices, gold, kind=kind, source=f"LongBench {kind}")


def _infinitebench(line: _Line, doc: str) -> Question:
    kind = Path(line.file).stem
    choices, answers = line.texts("options"), line.texts("answer", is_needed=True)
    gold = _gold(line, choices, answers) if choices else None
    # With choices an answer may be their letter: what is right is then said in words.
    answers = (choices[gold],) if gold is not None else answers
    return Question(doc, line.text("input"), answers, choices, gold, kind=kind, source=f"InfiniteBench {kind}")


def _ultradomain(line: _Line, doc: str) -> Question:
    kind = line.text("label", "dataset")
    answers = line.texts("answers", is_needed=True)
    return Question(doc, line.text("input"), answers, kind=kind, source=f"UltraDomain {kind}")


_SOURCES: Mapping[str, Callable[[_Line, str], Question]] = {
    "longbench": _longbench,
    "infinitebench": _infinitebench,
    "ultradomain": _ultradomain,
}


def _known(what: str, wanted: Collection[str], there: Collection[str]) -> None:
    if unknown := sorted(set(wanted) - set(there)):
        raise InputError(f"There is no {what} {unknown[0]!r}; there are {', '.join(sorted(there))}.")
