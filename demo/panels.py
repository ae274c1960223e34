"""Panels of the page that are filled from what is held of a corpus."""

from __future__ import annotations

from demo import render, text
from demo.memorising import unread_language
from demo.questions import Reply
from demo.service import Service

_NAMES = 5  # of a visitor's files that are shown


def about(service: Service, owner: str, corpus: str) -> str:
    """Return a line about a corpus: what it is, or which files of the visitor's it has."""
    if (facts := service.shelf.get(owner, corpus)) is not None:
        more = [text.MORE.format(count=len(facts.names) - _NAMES)] if len(facts.names) > _NAMES else []
        return render.hint(text.ABOUT_MINE.format(names=", ".join([*facts.names[:_NAMES], *more])))
    if (entry := service.entries.get(corpus)) is None:
        return ""
    language = text.LANGUAGES.get(entry.manifest.language, entry.manifest.language)
    known = {"description": entry.manifest.description, "licence": entry.manifest.licence}
    words = text.ABOUT_PRIVATE if entry.manifest.private else text.ABOUT
    return render.hint(words.format(language=language, **known))


def memory(service: Service, owner: str, corpus: str, reply: Reply | None = None, number: int = 1) -> str:
    """Return what is known of a corpus and its memory, with what was recalled for a question."""
    title = service.titles(owner).get(corpus, "")
    pipeline = service.pipeline(corpus, owner) if title else None
    if pipeline is None:
        return render.memory(None, title)
    choices = {text.MODEL: pipeline.model.reason, text.RETRIEVER: pipeline.encoder.reason}
    choices[text.HARDWARE] = str(pipeline.encoder.hardware)
    shown = render.memory(pipeline.stats, title, reply, choices, number)
    facts = service.shelf.get(owner, corpus)
    notes = list(facts.notes) if facts is not None else []
    if (language := unread_language(service, corpus)) is not None:
        retriever = pipeline.encoder.name.rpartition("/")[2]
        notes.insert(0, text.UNREAD.format(retriever=retriever, language=language))
    return "".join(render.hint(text.translated(note)) for note in notes) + shown
