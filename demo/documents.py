"""What happens on the left of the page: arriving, adding documents, watching them being memorised.

Handlers return what changes, by the names that ``ui.py`` gives to its components. What takes long is a job elsewhere;
the timer looks at it, so it does not matter which page began it, or whether that page is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from demo import memorising, panels, render, session, talk, text
from demo.api import visitor_of
from demo.choosing import Choosing, examples
from demo.connecting import Connecting
from demo.conversations import Conversation
from demo.forecasting import cost
from demo.given import was_uploaded
from demo.memorising import Memorising
from demo.service import Service
from demo.talk import Updates
from demo.uploads import Upload
from demo.visitors import Visitor, Visitors, Watch
from engine.errors import MemoRAGError, PasswordError


class Documents:
    """Handlers of one running demo."""

    def __init__(self, service: Service, visitors: Visitors, choosing: Choosing, connecting: Connecting) -> None:
        self.service, self.visitors, self.choosing, self.connecting = service, visitors, choosing, connecting

    def _visitor(self, request: gr.Request) -> Visitor:
        return visitor_of(self.visitors, request)

    def arrive(self, request: gr.Request) -> Updates:
        """Fill the page when it is opened: with what the visitor did last, and what is being done for them."""
        visitor = self._visitor(request)
        latest = next(iter(self.service.conversations.all(visitor.name)), None)
        shown = self._first(visitor, latest)
        if (running := self.service.running(visitor.name)) is not None:
            visitor.watch = Watch(*running)
        waiting = [upload.id for upload in self.service.uploads.waiting(visitor.name)]
        return talk.merged(
            talk.listed(self.service, visitor.name, latest.id if latest is not None else ""),
            talk.opened(self.service, visitor.name, latest),
            self.choosing.choose(shown, request),
            {"corpus": self.choosing.selector(visitor, shown), "keys": render.keys(), "files_hint": self._accepted()},
            self._list(visitor, waiting),
            self.connecting.arrive(request),
        )

    def _accepted(self) -> str:
        """Say which files are taken, and how long they are kept."""
        settings = self.service.settings
        return render.hint(text.FILES_INFO.format(size=settings.max_file_mb, hours=f"{settings.upload_hours:g}"))

    def _first(self, visitor: Visitor, latest: Conversation | None) -> str:
        """Return the corpus to show first: that of the latest conversation, or of documents that came after it."""
        titles, corpora = self.service.titles(visitor.name), self.service.shelf.corpora(visitor.name)
        newest = next(reversed(corpora), None)
        is_later = newest is not None and (latest is None or corpora[newest].since > latest.changed)
        if newest is not None and is_later:
            return newest
        return latest.corpus if latest is not None and latest.corpus in titles else next(iter(titles), "")

    def look(self, corpus: str, chosen: list[str] | None, request: gr.Request) -> Updates:
        """Show how things stand; called by the timer, which rests when nothing is going on."""
        visitor = self._visitor(request)
        is_late = visitor.owes_cost and self.service.models.is_loaded
        changed: Updates = self.weigh(chosen, request) if is_late else {}
        line, is_busy = self.choosing.line(corpus, visitor)
        if (is_busy or visitor.was_busy) and not visitor.answers:
            changed["rebuild"] = self.choosing.rebuilding(corpus)
            if corpus != visitor.answered:  # else what is said of the answer stays, and so do its clues
                changed |= {"status": line, "memory": self.choosing.memory(corpus, visitor)}
            if not is_busy and self.service.labels(visitor.name) != visitor.labels:
                changed["corpus"] = self.choosing.selector(visitor, corpus)
            visitor.was_busy = is_busy
        # After a restart of the server, work goes on only when the models are loaded.
        running = self.service.running(visitor.name) if visitor.watch is None else None
        visitor.watch = visitor.watch if running is None else Watch(*running)
        if visitor.watch is not None:
            changed |= self._watched(visitor, visitor.watch, corpus)
        is_unfinished = visitor.watch is not None or self.service.is_unfinished(visitor.name)
        is_watched = is_busy or visitor.was_busy or is_unfinished or visitor.owes_cost
        return {**changed, **self.connecting.look(request), "timer": gr.Timer(active=is_watched)}

    # Files that wait

    def take(self, files: list[str] | None, chosen: list[str] | None, request: gr.Request) -> Updates:
        """Take uploads in, list them, and say what memorising will cost."""
        visitor = self._visitor(request)
        given = [Path(file) for file in files or [] if was_uploaded(Path(file))]
        taken, refusals = memorising.take_in(self.service, visitor.name, [(path, path.name) for path in given])
        shown = self._list(visitor, [*(chosen or []), *(upload.id for upload in taken)])
        line = text.FILES_READY.format(count=len(taken), size=text.size(sum(upload.size for upload in taken)))
        if refusals:
            line = text.FILES_SOME.format(refusals=" ".join(refusals), count=len(taken), given=len(given))
        return {"files": None, "status": render.status(line, "error" if refusals else "idle"), **shown}

    def weigh(self, chosen: list[str] | None, request: gr.Request) -> Updates:
        """Say what memorising the chosen files will cost."""
        visitor = self._visitor(request)
        files = self.service.uploads.chosen(visitor.name, chosen or [])
        return {"cost": self._cost(visitor, files), "memorise": gr.Button(interactive=bool(files))}

    def _list(self, visitor: Visitor, chosen: Sequence[str]) -> Updates:
        """Show the files that wait, with a tick at the chosen ones."""
        waiting = self.service.uploads.waiting(visitor.name)
        choices = [(f"{upload.name} ({text.size(upload.size)})", upload.id) for upload in waiting]
        ids = [upload.id for upload in waiting if upload.id in chosen]
        return {
            "waiting": gr.CheckboxGroup(choices=choices, value=ids, visible=bool(choices)),
            "name": self.choosing.names(visible=bool(choices)),
            "cost": self._cost(visitor, [upload for upload in waiting if upload.id in ids]),
            "memorise": gr.Button(interactive=bool(ids)),
        }

    def _cost(self, visitor: Visitor, files: Sequence[Upload]) -> str:
        said = cost(self.service, files)
        visitor.owes_cost = said == text.COST_LATER and self.service.models.failure is None
        return render.hint(said) if said else ""

    # Memorising

    def memorise(
        self, chosen: list[str] | None, password: str | None, name: str | None, request: gr.Request
    ) -> Updates:
        """Begin to memorise the chosen files."""
        visitor = self._visitor(request)
        no_password = {"password": gr.Textbox(value="", visible=False)}
        try:
            visitor.watch = Watch(
                *self.service.memorize(visitor.name, chosen or [], password or "", name=name or ""),
                has_password=bool(password),
            )
        except Exception as error:  # shown in words; the traceback of an unexpected one goes to the log
            return {**no_password, "status": render.status(session.sentence(error), "error")}
        unnamed = self.choosing.names(value=None, visible=bool(self.service.uploads.waiting(visitor.name)))
        return {**no_password, **self._list(visitor, ()), "name": unnamed, **self._going_on(visitor, visitor.watch)}

    def resume(self, corpus: str, request: gr.Request) -> Updates:
        """Go on with the chosen corpus."""
        visitor = self._visitor(request)
        try:
            visitor.watch = Watch(corpus, self.service.resume(visitor.name, corpus))
        except (MemoRAGError, OSError) as error:
            return {"status": render.status(session.sentence(error), "error")}
        return {"resume": gr.Button(visible=False), **self._going_on(visitor, visitor.watch)}

    def stop(self, request: gr.Request) -> None:
        """Stop the visitor's memorising; the timer shows what was kept."""
        self.service.stop_memorising(self._visitor(request).name)

    def _going_on(self, visitor: Visitor, watch: Watch) -> Updates:
        step = memorising.look(self.service, visitor.name, watch.corpus, watch.job)
        return {
            "progress": render.memorising(step),
            "stop_memorise": gr.Button(visible=True),
            "timer": gr.Timer(active=True),
        }

    def _watched(self, visitor: Visitor, watch: Watch, chosen: str) -> Updates:
        """Show how the watched job stands, and that its corpus can be asked as soon as it can."""
        step = memorising.look(self.service, visitor.name, watch.corpus, watch.job)
        changed = self._going_on(visitor, watch)
        if step.ready and not watch.is_told and not visitor.answers:
            watch.is_told = True
            changed |= {**self._shown(visitor, watch.corpus), "corpus": self.choosing.selector(visitor, watch.corpus)}
        if watch.job.snapshot().is_over and not visitor.answers:
            running = self.service.running(visitor.name)
            visitor.watch = None if running is None else Watch(*running)
            changed |= self._ended(visitor, watch, step, chosen)
        return changed

    def _shown(self, visitor: Visitor, corpus: str) -> Updates:
        """Show a corpus that can be asked from now on."""
        return {
            "chat": gr.update(examples=examples(self.service, visitor.name, corpus)),
            "about": panels.about(self.service, visitor.name, corpus),
            "status": render.status(memorising.ready_line(self.service, visitor.name, corpus)),
            "memory": self.choosing.memory(corpus, visitor),
        }

    def _ended(self, visitor: Visitor, watch: Watch, step: Memorising, chosen: str) -> Updates:
        """Say how a job ended, and list what waits again where nothing came of it."""
        error = watch.job.snapshot().error
        line, kind = step.status, "idle"
        if error is not None:
            line, kind = session.sentence(error), "error"
            if self.service.is_open(watch.corpus):
                line = text.MEMORISING_FAILED.format(reason=line, title=step.title)
        waiting = [upload.id for upload in self.service.uploads.waiting(visitor.name)]
        # A password that was used is gone: when another file was refused, it has to be given again.
        is_locked = isinstance(error, PasswordError) or (error is not None and watch.has_password)
        is_kept = watch.corpus in self.service.titles(visitor.name)
        return {
            "status": render.status(line, "error" if kind == "error" else "idle"),
            "progress": "",
            "stop_memorise": gr.Button(visible=visitor.watch is not None),
            "resume": self.choosing.resume(watch.corpus if is_kept else chosen, visitor),
            "memory": self.choosing.memory(watch.corpus, visitor),
            "password": gr.Textbox(value="", visible=is_locked),
            **(
                {} if is_kept else {"corpus": self.choosing.selector(visitor, chosen if chosen != watch.corpus else "")}
            ),
            **self._list(visitor, waiting),
        }

    # Deleting

    def delete(self, request: gr.Request) -> Updates:
        """Delete everything of the visitor: uploads, memories and conversations."""
        visitor = self._visitor(request)
        count = self.service.delete(visitor.name)
        visitor.watch, visitor.answered = None, ""
        first = next(iter(self.service.titles(visitor.name)), "")
        return talk.merged(
            self.choosing.choose(first, request),
            self._list(visitor, ()),
            talk.listed(self.service, visitor.name),
            talk.opened(self.service, visitor.name, None),
            {
                "status": render.status(text.DELETED if count else text.NOTHING_TO_DELETE),
                "corpus": self.choosing.selector(visitor, first),
                "files": None,
                "progress": "",
                "password": gr.Textbox(value="", visible=False),
                "stop_memorise": gr.Button(visible=False),
                **talk.idle(),
            },
            {"chat": gr.update(value=[], examples=examples(self.service, visitor.name, first))},
        )
