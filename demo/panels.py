"""Panels of the page that are filled from what is held of a corpus."""

from __future__ import annotations

from collections.abc import Sequence

from demo import render, text
from demo.service import Service
from engine.events import Clue


def memory(service: Service, owner: str, corpus: str, clues: Sequence[Clue] | None = None) -> str:
    """Return what is known of a corpus and its memory, with the clues of the last question."""
    title = service.titles(owner).get(corpus, "")
    pipeline = service.pipeline(corpus, owner) if title else None
    if pipeline is None:
        return render.memory(None, title, clues)
    choices = {"Model": pipeline.model.reason, "Retriever": pipeline.encoder.reason}
    choices["Hardware"] = str(pipeline.encoder.hardware)
    shown = render.memory(pipeline.stats, title, clues, choices)
    facts = service.shelf.get(owner, corpus)
    notes = list(facts.notes) if facts is not None else []
    if (language := service.unread_language(corpus)) is not None:
        retriever = pipeline.encoder.name.rpartition("/")[2]
        notes.insert(0, text.UNREAD.format(retriever=retriever, language=language))
    return "".join(render.hint(note) for note in notes) + shown
