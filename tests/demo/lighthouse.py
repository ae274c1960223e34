"""What tests of questions share: the lighthouse text, what is in it, and how it is asked."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

from demo import session, text
from demo.generators import Connection
from demo.questions import Question, Reply
from engine.settings import Secret
from tests.openai_server import OpenAIServer

DATA = Path(__file__).resolve().parents[1] / "data"
KINDS = ("txt", "pdf", "docx")
MODES = ("memorag", "rag", "qa", "summarize")
KEY = Secret("sk-test-0123456789-SECRET")
STEPS = "How many steps lead up to the lantern room?"
STORM = "In which year did the storm break the lantern glass?"
LOGBOOKS = "How many logbooks were found in 1978?"
# The question, what its passage must hold, its page in the PDF, its section in the DOCX.
FACTS = [
    (STEPS, "214 steps", 1, "The Island and Its Tower"),
    (STORM, "November 1893", 2, "The Storm of the Cormorant Anna"),
    (LOGBOOKS, "46 logbooks", 3, "The Logbooks"),
]
GOOD = Question("What does the mill grind?", "tide-mill")


def citer(server: OpenAIServer, model: str = "citer") -> Connection:
    """A connection to a server that cites the first passage."""
    return Connection(model=model, key=KEY, address=server.base_url)


def asked(
    library: SimpleNamespace, kind: str, query: str, mode: str = "rag", connection: Connection | None = None, **options
) -> list[Reply]:
    """All replies to a question about the lighthouse in one kind of file."""
    generator = "compatible" if connection else text.LOCAL
    question = Question(query, library.corpora[kind], generator, mode=mode, **options)
    return list(session.ask(library.service, library.visitor, question, connection))


def answering() -> list[threading.Thread]:
    """The workers that are answering."""
    return [thread for thread in threading.enumerate() if thread.name == "memorag-answer"]
