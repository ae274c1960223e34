"""Pictures of the pages that answers cite, with the text marked: who may see them, drawn once, and few at a time.

    GET memorag/page/CORPUS/DOCUMENT/PAGE?around=START-END&mark=START-END&mark=...

DOCUMENT and PAGE count from 1; START and END are characters of the document's text, so that no text is ever part of an
address. The visitor is known by the cookie alone.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo import text
from demo.identity import owner_of, token_of
from demo.service import Service
from demo.turns import Turns
from engine.documents import Document, display_name
from engine.errors import InputError, MemoRAGError
from engine.events import Passage, Source, Stop
from engine.page_image import MEDIA_TYPE, page_image

_PLACE = "memorag/page"
_NUMBER, _SPAN = re.compile(r"[0-9]{1,9}"), re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_MOST_SPANS = 16
# Pages drawn at once, of each visitor one; and pictures that are waited for, all visitors together and of each.
_PLACES, _MOST_WAITING, _MOST_OF_ONE = 2, 24, 8
# Bytes of pictures that are held.
_HELD_BYTES = 32 * 2**20
# Characters of a page beyond which nothing is marked.
_MOST_TEXT = 200_000
_OPENING_SECONDS = 20.0
_HEADERS = {
    "cache-control": "private, max-age=60",
    "vary": "cookie",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}

Span = tuple[int, int]
Address = Callable[[Passage, Sequence[Source]], "str | None"]


def picture_of(service: Service, owner: str, corpus: str) -> Address:
    """Return what gives the address of the picture of a passage in a visitor's corpus, relative to the demo's page.

    It takes the passage and the sources in it. The page is that of the first source, else the passage's; there is no
    address where no PDF is kept.
    """
    numbers = {name: number for number, name in enumerate(_names(service, owner, corpus), 1)}

    def address(passage: Passage, sources: Sequence[Source]) -> str | None:
        page = min((source.page for source in sources if source.page is not None), default=passage.page)
        number = numbers.get(passage.document)
        if page is None or number is None or _file(service, owner, corpus, number) is None:
            return None
        spans = sorted({(source.start, source.end) for source in sources if source.start < source.end})[:_MOST_SPANS]
        marks = [f"mark={passage.start + start}-{passage.start + end}" for start, end in spans]
        query = "&".join([f"around={passage.start}-{passage.end}", *marks])
        return f"{_PLACE}/{quote(corpus)}/{number}/{page}?{query}"

    return address


def _names(service: Service, owner: str, corpus: str) -> tuple[str, ...]:
    """Return the names of a corpus's documents in order; none where there is no such corpus for the visitor."""
    try:
        pipeline = service.pipeline(corpus, owner)
    except MemoRAGError:
        return ()
    if pipeline is not None:
        return tuple(document.name for document in pipeline.memorized.documents)
    if corpus in service.entries:
        return service.entries[corpus].names
    facts = service.shelf.get(owner, corpus)
    names = facts.names if facts is not None else ()
    return names if len(set(names)) == len(names) else ()  # of several with one name, the numbers are not known yet


def _file(service: Service, owner: str, corpus: str, number: int) -> Path | None:
    """Return the PDF that a document was read from, if it is kept."""
    path: Path | None = None
    if (entry := service.entries.get(corpus)) is not None:
        path = next((file for file in entry.files[number - 1 : number] if file.suffix.lower() == ".pdf"), None)
        names = _names(service, owner, corpus)
        # Whoever runs the demo may have put texts of their own in the place of these.
        if path is None or display_name(path.name) not in names[number - 1 : number]:
            return None
    elif (facts := service.shelf.get(owner, corpus)) is not None and any(facts.pdfs[number - 1 : number]):
        path = service.shelf.pdf(owner, corpus, facts.pdfs[number - 1])
    return path if path is not None and path.is_file() else None


@dataclass(frozen=True)
class _Wanted:
    """What a picture shows; ``spans`` are marked clearly, those ``around`` them faintly."""

    corpus: str
    document: int
    page: int
    around: tuple[Span, ...]
    spans: tuple[Span, ...]


class Pictures:
    """The pictures of one running demo."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turns, self._stop, self._drawn = Turns(_PLACES), Stop(), _Drawn()
        self._waiting: Counter[str] = Counter()

    def route(self) -> Route:
        """Return the route that hands out pictures."""
        return Route(f"/{_PLACE}/{{corpus}}/{{document}}/{{page}}", self._show, methods=["GET"])

    def close(self) -> None:
        """End all drawing."""
        self._stop.set()

    def forget(self, corpus: str) -> None:
        """Hold no picture of a corpus any longer; one that was deleted is shown to nobody in any case."""
        self._drawn.forget(corpus)

    async def _show(self, request: Request) -> Response:
        """Answer a request. What is not there and what is another visitor's look the same."""
        token = token_of(request)
        owner = owner_of(token, None)
        who = "" if token is None else owner
        with text.speaking(text.language_of(request.headers.get("accept-language"))):
            try:
                wanted = _wanted(request)
                if self._waiting[who] >= _MOST_OF_ONE or self._waiting.total() >= _MOST_WAITING:
                    return PlainTextResponse(text.PICTURES_BUSY, 503, {"retry-after": "5", "cache-control": "no-store"})
                self._waiting[who] += 1
                try:
                    # A pool of its own: whoever waits for a picture holds up nothing else.
                    limiter = anyio.CapacityLimiter(1)
                    picture = await anyio.to_thread.run_sync(self._picture, owner, who, wanted, limiter=limiter)
                finally:
                    self._waiting[who] -= 1
                    self._waiting += Counter()  # forgets those at nothing
            except (MemoRAGError, OSError):
                headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
                return PlainTextResponse(text.NO_PICTURE, 404, headers)
        return Response(picture, media_type=MEDIA_TYPE, headers=_HEADERS)

    def _picture(self, owner: str, who: str, wanted: _Wanted) -> bytes:
        """Return a picture, drawn now if it is not held.

        Raises:
            MemoRAGError: there is none for this visitor.
        """
        self._check(owner, wanted.corpus)
        if (known := self._drawn.get(wanted)) is not None:
            return known
        document = self._document(owner, wanted)
        path = _file(self._service, owner, wanted.corpus, wanted.document)
        if path is None:
            raise InputError(text.NO_PICTURE)
        begin, end = _extent(document, wanted.page)
        around, spans = (_within(spans, begin, end) for spans in (wanted.around, wanted.spans))
        if not spans:  # no sentence stands out, or none on this page
            around, spans = (), around
        with self._turns.turn(self._stop, who):
            picture = self._drawn.get(wanted)  # perhaps it was being drawn
            if picture is None:
                picture = page_image(path, wanted.page, document.text[begin:end], spans, around, stop=self._stop)
        self._check(owner, wanted.corpus)  # its owner may have deleted it meanwhile
        self._drawn.put(wanted, picture)
        return picture

    def _check(self, owner: str, corpus: str) -> None:
        """Raise MemoRAGError where a visitor has no such corpus."""
        self._service.pipeline(corpus, owner)

    def _document(self, owner: str, wanted: _Wanted) -> Document:
        """Return a document of a corpus, which is opened where it is not in memory any more."""
        pipeline = self._service.pipeline(wanted.corpus, owner)
        if pipeline is None:
            self._service.open(wanted.corpus, owner).wait(_OPENING_SECONDS)
            pipeline = self._service.pipeline(wanted.corpus, owner)
        if pipeline is None or not 1 <= wanted.document <= len(pipeline.memorized.documents):
            raise InputError(text.NO_PICTURE)
        return pipeline.memorized.documents[wanted.document - 1]


class _Drawn:
    """Pictures that were drawn, those longest not asked for the first to go."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[_Wanted, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, wanted: _Wanted) -> bytes | None:
        with self._lock:
            if wanted in self._pictures:
                self._pictures.move_to_end(wanted)
            return self._pictures.get(wanted)

    def put(self, wanted: _Wanted, picture: bytes) -> None:
        with self._lock:
            self._pictures[wanted] = picture
            self._pictures.move_to_end(wanted)
            while sum(map(len, self._pictures.values())) > _HELD_BYTES:
                self._pictures.popitem(last=False)

    def forget(self, corpus: str) -> None:
        with self._lock:
            for wanted in [known for known in self._pictures if known.corpus == corpus]:
                del self._pictures[wanted]


def _wanted(request: Request) -> _Wanted:
    """Read an address.

    Raises:
        InputError: it is none of those that ``picture_of`` gives.
    """
    document, page = (request.path_params[name] for name in ("document", "page"))
    if not (_NUMBER.fullmatch(document) and _NUMBER.fullmatch(page)):
        raise InputError(text.NO_PICTURE)
    around, spans = (_spans(request.query_params.getlist(name)) for name in ("around", "mark"))
    return _Wanted(request.path_params["corpus"], int(document), int(page), around, spans)


def _spans(given: Sequence[str]) -> tuple[Span, ...]:
    found = [_SPAN.fullmatch(span) for span in given]
    spans = tuple((int(match[1]), int(match[2])) for match in found if match is not None)
    if len(spans) != len(given) or len(spans) > _MOST_SPANS:
        raise InputError(text.NO_PICTURE)
    return spans


def _extent(document: Document, page: int) -> Span:
    """Return where the text of a page begins and ends.

    Raises:
        InputError: there is no such page.
    """
    begins = [(mark.page, mark.start) for mark in document.marks if mark.page is not None]
    at = next((index for index, (number, _) in enumerate(begins) if number == page), None)
    if at is None:
        raise InputError(text.NO_PICTURE)
    end = begins[at + 1][1] if at + 1 < len(begins) else len(document.text)
    return begins[at][1], min(end, begins[at][1] + _MOST_TEXT)


def _within(spans: Sequence[Span], begin: int, end: int) -> tuple[Span, ...]:
    """Return the parts of spans that lie between two places, counted from the first."""
    cut = ((max(start, begin) - begin, min(stop, end) - begin) for start, stop in spans)
    return tuple((start, stop) for start, stop in cut if start < stop)
