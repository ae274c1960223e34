"""The page: what its components do, and how it is served.

All plumbing between page and server is private; only the documented endpoints of ``api.py`` are public.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from demo import exports, folders, layout, text, theme
from demo.api import Api
from demo.chats import Chats
from demo.choosing import Choosing
from demo.connecting import FORGET, SWITCH, Connecting
from demo.documents import Documents
from demo.gate import Gate
from demo.i18n import labels, say_again
from demo.identity import Recognise
from demo.layout import Parts
from demo.page import Page
from demo.parts import refuse_downloads
from demo.pictures import Pictures
from demo.publishing import publish
from demo.service import Service
from demo.tools import offer
from demo.visitors import Visitors
from demo.wiring import named, spoken

logger = logging.getLogger(__name__)
_QUEUE = 64
# Those that wait are told how many are before them (room.py); each holds one of forty threads while it looks.
_ASKED = 24

_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_INSTANT: dict[str, Any] = {**_PRIVATE, "queue": False}


def build(service: Service) -> Any:  # noqa: ANN401 - a gr.Blocks
    """Build the page over a service that has been started."""
    refuse_downloads()
    visitors = Visitors()
    with gr.Blocks(
        title=text.TITLE,
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(600, 3600),  # of uploads that nobody came for
    ) as demo:
        say = labels()
        parts = layout.lay_out(service, say)
        asked = _asking(parts, Page(service, visitors), Chats(service, visitors))
        connecting = Connecting(service, visitors)
        choosing = Choosing(service, visitors)
        _left(parts, choosing, Documents(service, visitors, choosing, connecting), asked, demo)
        _settings(parts, connecting)
        _offer(Api(service, visitors))
        say_again(demo, say)
    demo.queue(max_size=_QUEUE)
    return demo


def _asking(parts: Parts, page: Page, chats: Chats) -> list[Any]:
    """Wire what has to do with questions; return the events that answer."""
    every = _every(parts)

    def does(method: Callable[..., Any]) -> Callable[..., Any]:
        return named(method, parts)

    names = ["question", "again", "conversation", "corpus", "generator", "model", "key", "address"]
    inputs = [parts[name] for name in (*names, "temperature", "max_tokens", "mode", "compare")]
    chat, conversation, again = parts["chat"], parts["conversation"], parts["again"]
    answering: dict[str, Any] = {**_PRIVATE, "concurrency_id": "answer", "concurrency_limit": _ASKED}
    answer = does(page.answer)
    # A question that was stopped before it began must not take the place of what is typed later.
    typed = [inputs[0], gr.State(None), *inputs[2:]]
    asked = [event(answer, typed, every, **answering) for event in (parts["question"].submit, parts["send"].click)]
    otherwise = [
        chat.example_select(spoken(chats.example), None, again, **_INSTANT),
        chat.retry(spoken(chats.retry), conversation, again, **_INSTANT),
        chat.edit(spoken(chats.edit), conversation, again, **_INSTANT),
        chat.option_select(
            spoken(chats.option), [conversation, parts["max_tokens"]], [again, parts["max_tokens"]], **_INSTANT
        ),
    ]
    asked += [event.success(answer, inputs, every, **answering) for event in otherwise]
    # First the cancelling, then what is shown: otherwise a last update of the answer may come after it.
    ended = parts["stop"].click(None, None, None, cancels=asked, **_PRIVATE)
    ended.then(does(page.stopped), conversation, every, **_INSTANT)
    for event in (chat.clear, parts["begin"].click):
        left = event(None, None, None, cancels=asked, **_PRIVATE)
        left.then(does(chats.begin), None, every, **_INSTANT)
    left = conversation.input(None, None, None, cancels=asked, **_PRIVATE)
    left.then(does(chats.open), conversation, every, **_INSTANT)
    left = parts["forget"].click(None, None, None, cancels=asked, **_PRIVATE)
    left.then(does(chats.remove), conversation, every, **_INSTANT)
    chat.select(does(chats.show), conversation, every, **_INSTANT)
    chat.like(does(chats.like), conversation, every, **_INSTANT)
    chat.undo(does(chats.undo), [conversation, parts["question"]], every, **_INSTANT)
    parts["mode"].input(spoken(page.mode_info), parts["mode"], parts["mode"], **_INSTANT)
    return asked


def _left(
    parts: Parts,
    choosing: Choosing,
    documents: Documents,
    asked: list[Any],
    demo: Any,  # noqa: ANN401 - a gr.Blocks
) -> None:
    """Wire what has to do with corpora and documents."""
    every = _every(parts)

    def does(method: Callable[..., Any]) -> Callable[..., Any]:
        return named(method, parts)

    corpus, waiting, password = parts["corpus"], parts["waiting"], parts["password"]
    demo.load(does(documents.arrive), None, every, **_INSTANT)
    parts["timer"].tick(does(documents.look), [corpus, waiting], every, **_INSTANT)
    corpus.input(does(choosing.choose), corpus, every, **_INSTANT)
    parts["lookout"].tick(does(choosing.look_around), corpus, every, **_INSTANT)
    parts["rebuild"].click(does(choosing.rebuild), corpus, every, **_INSTANT)
    parts["files"].upload(does(documents.take), [parts["files"], waiting], every, **_INSTANT)
    waiting.input(does(documents.weigh), waiting, every, **_INSTANT)
    for event in (parts["memorise"].click, password.submit):
        event(does(documents.memorise), [waiting, password, parts["name"]], every, **_INSTANT)
    parts["resume"].click(does(documents.resume), corpus, every, **_INSTANT)
    parts["stop_memorise"].click(spoken(documents.stop), None, None, **_INSTANT)
    gone = parts["delete"].click(None, None, None, cancels=asked, **_PRIVATE)
    gone.then(does(documents.delete), None, every, **_INSTANT)


def _settings(parts: Parts, connecting: Connecting) -> None:
    """Wire what has to do with generators."""
    every, given = _every(parts), [parts[name] for name in ("generator", "model", "key", "address")]

    def does(method: Callable[..., Any]) -> Callable[..., Any]:
        return named(method, parts)

    # Not ``input``, which Gradio 6.31 fires twice: that would carry a key over to another service.
    parts["generator"].change(does(connecting.fields), given, every, js=SWITCH, **_INSTANT)
    for event in (parts["model"].input, parts["key"].blur, parts["address"].blur):
        event(does(connecting.changed), given, every, **_INSTANT)
    for event in (parts["test_connection"].click, parts["key"].submit, parts["address"].submit):
        event(does(connecting.test), given, every, concurrency_id="connect", concurrency_limit=4, **_PRIVATE)
    parts["forget_key"].click(does(connecting.forget), given, every, js=FORGET, **_INSTANT)


def _every(parts: Parts) -> list[Any]:
    """Return the components that handlers may change: what the visitor sets stays theirs."""
    return list(parts.values())


def _offer(api: Api) -> None:
    """Offer the public endpoints."""
    publish(api.corpora, api_name="corpora", queue=False)
    publish(api.memorize, api_name="memorize", concurrency_limit=20)
    publish(api.ask, api_name="ask", concurrency_id="answer", concurrency_limit=_ASKED)
    publish(api.evidence, api_name="evidence", concurrency_id="answer", concurrency_limit=_ASKED)
    publish(api.connect, api_name="connect")


def serve(demo: Any, service: Service) -> None:  # noqa: ANN401 - a gr.Blocks
    """Serve the page until interrupted. The browser keeps nothing but the visitor's token."""
    settings = service.settings
    service.incoming = Path(get_upload_folder())
    if service.incoming.is_relative_to(settings.cache_dir):
        folders.make(service.incoming)
    gate = Middleware(Gate, folder=service.incoming, most=settings.visitor_bytes)
    recognise = Middleware(Recognise, max_age=int(settings.upload_hours * 3600))
    pictures = Pictures(service)
    service.on_gone = pictures.forget
    routes = [exports.route(service), pictures.route()]
    look = gr.themes.Default(
        primary_hue=theme.PRIMARY_HUE, neutral_hue=theme.NEUTRAL_HUE, font=theme.FONTS, font_mono=theme.MONO_FONTS
    ).set(**theme.CONTRAST)
    demo.launch(
        server_name=settings.host,
        server_port=settings.port or None,
        max_file_size=settings.max_file_bytes,
        theme=look,
        css=theme.CSS,
        head=theme.HEAD,
        i18n=labels(),
        app_kwargs={"middleware": [gate, recognise], "routes": routes},
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        mcp_server=offer(service),
        ssr_mode=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=True,
        quiet=True,
    )
    logger.info("Open %s", demo.local_url)
    # The models come after the page: loading them takes the processor for seconds.
    service.start()
    demo.block_thread()
    pictures.close()
