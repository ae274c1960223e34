"""The page: components and wiring.

All plumbing between page and server is private; only the documented endpoints of ``api.py`` are public.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from demo import folders, render, session, text, theme
from demo.api import Api
from demo.compare import comparison
from demo.documents import Documents, Updates, examples
from demo.gate import Gate
from demo.identity import Recognise
from demo.page import COMPARE_TAB, Page
from demo.parts import Chat, Name, Ticks, refuse_downloads
from demo.service import Service
from demo.visitors import Visitors
from engine.documents import ACCEPTED

logger = logging.getLogger(__name__)
_QUEUE = 32
# Answers that run at once: more share the processor, fewer would let one slow service hold up every visitor.
_ANSWERS = 4


def build(service: Service) -> Any:  # noqa: ANN401 - a gr.Blocks
    """Build the page over a service that has been started."""
    refuse_downloads()
    visitors, settings = Visitors(), service.settings
    page, documents, api = Page(service, visitors), Documents(service, visitors), Api(service, visitors)
    with gr.Blocks(
        title=text.TITLE,
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(600, 3600),  # of uploads that nobody came for
    ) as demo:
        gr.Markdown(f"# {text.TITLE}\n{text.TAGLINE}", elem_id="head")
        status = gr.HTML(render.status(text.LOADING, "busy"), elem_id="status", padding=False)
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=3, min_width=280, elem_id="left"):
                titles = [(entry.title, slug) for slug, entry in service.entries.items()]
                first = titles[0][1] if titles else None
                corpus = Name(
                    titles,
                    value=first,
                    label=text.CORPUS,
                    info=text.CORPUS_INFO,
                    elem_id="corpus",
                    allow_custom_value=True,
                )
                files = gr.File(
                    label=text.FILES, file_count="multiple", file_types=list(ACCEPTED), height=150, elem_id="files"
                )
                gr.HTML(
                    render.hint(text.FILES_INFO.format(size=settings.max_file_mb, hours=f"{settings.upload_hours:g}"))
                )
                waiting = Ticks(label=text.WAITING, visible=False, elem_id="waiting")
                cost = gr.HTML("", elem_id="cost", padding=False)
                password = gr.Textbox(
                    label=text.UNLOCK, info=text.UNLOCK_INFO, type="password", visible=False, elem_id="password"
                )
                with gr.Row():
                    memorise = gr.Button(text.MEMORISE, variant="primary", interactive=False, elem_id="memorise")
                    resume = gr.Button(text.RESUME, variant="primary", visible=False, elem_id="resume")
                    stop_memorise = gr.Button(
                        text.STOP_MEMORISING, variant="stop", visible=False, elem_id="stop-memorise"
                    )
                progress = gr.HTML("", elem_id="progress", padding=False)
                delete = gr.Button(text.DELETE, size="sm", elem_id="delete")
            with gr.Column(scale=3, min_width=260, elem_id="settings"), gr.Accordion(text.SETTINGS, open=True):
                generator = gr.Dropdown(
                    [(name, key) for key, name in text.GENERATORS.items()],
                    value=text.LOCAL,
                    label=text.GENERATOR,
                    info=text.GENERATOR_INFO,
                    elem_id="generator",
                )
                model = gr.Textbox(label=text.MODEL, info=text.MODEL_INFO, visible=False, elem_id="model")
                key = gr.Textbox(label=text.KEY, info=text.KEY_INFO, type="password", visible=False, elem_id="key")
                address = gr.Textbox(label=text.ADDRESS, info=text.ADDRESS_INFO, visible=False, elem_id="address")
                mode = gr.Dropdown(
                    [(n, k) for k, n in text.MODES.items()],
                    value="memorag",
                    label=text.MODE,
                    info=text.MODE_INFOS["memorag"],
                    elem_id="mode",
                )
                compare = gr.Checkbox(label=text.COMPARE, info=text.COMPARE_INFO, elem_id="compare")
                temperature = gr.Slider(
                    *session.TEMPERATURE,
                    0,
                    step=0.05,
                    label=text.TEMPERATURE,
                    info=text.TEMPERATURE_INFO,
                    elem_id="temperature",
                )
                max_tokens = gr.Slider(*session.TOKENS, 256, step=1, label=text.MAX_TOKENS, elem_id="max-tokens")
            with gr.Column(scale=6, min_width=320, elem_id="centre"):
                chat = Chat(
                    label=text.TITLE,
                    show_label=False,
                    height="62vh",
                    layout="panel",
                    placeholder=text.EMPTY_CHAT,
                    examples=examples(service, first or ""),
                    buttons=["copy_all"],
                    latex_delimiters=[],
                    elem_id="chat",
                )
                with gr.Row(elem_id="asking"):
                    question = gr.Textbox(
                        label=text.QUESTION,
                        show_label=False,
                        placeholder=text.QUESTION_PLACEHOLDER,
                        lines=1,
                        max_lines=6,
                        max_length=session.QUESTION_CHARACTERS,
                        scale=8,
                        autofocus=True,
                        elem_id="question",
                    )
                    send = gr.Button(text.ASK, variant="primary", scale=1, min_width=90, elem_id="ask")
                    stop = gr.Button(text.STOP, variant="stop", scale=1, min_width=90, visible=False, elem_id="stop")
            with gr.Column(scale=5, min_width=300, elem_id="right"), gr.Tabs() as tabs:
                with gr.Tab(text.EVIDENCE):
                    evidence = gr.HTML(render.evidence(None), elem_id="evidence-panel")
                with gr.Tab(text.COMPARISON, id=COMPARE_TAB, render_children=True):
                    compared = gr.HTML(comparison(None, None), elem_id="compare-panel")
                with gr.Tab(text.MEMORY, render_children=True):
                    memory = gr.HTML(render.memory(None, "", None), elem_id="memory-panel")
                with gr.Tab(text.RUN, render_children=True):
                    run = gr.HTML(render.run(None, "", 0, 0), elem_id="run-panel")
        timer = gr.Timer(1.0)

        private: dict[str, Any] = {"api_visibility": "private"}
        quiet: dict[str, Any] = {**private, "show_progress": "hidden"}
        instant: dict[str, Any] = {**quiet, "queue": False}
        parts: dict[str, Any] = {
            "status": status, "corpus": corpus, "files": files, "waiting": waiting, "cost": cost, "password": password,
            "memorise": memorise, "resume": resume, "stop_memorise": stop_memorise, "progress": progress,
            "chat": chat, "send": send, "stop": stop, "evidence": evidence, "compared": compared, "memory": memory,
            "run": run, "timer": timer,
        }  # fmt: skip
        every = list(parts.values())

        def handler(method: Callable[..., Updates]) -> Callable[..., dict[Any, Any]]:
            """Let a handler that names what changes be one that Gradio knows."""

            @wraps(method)
            def named(*given: Any) -> dict[Any, Any]:  # noqa: ANN401 - whatever the components hold
                return {parts[name]: update for name, update in method(*given).items()}

            return named

        demo.load(handler(documents.arrive), None, every, **instant)
        timer.tick(handler(documents.look), [corpus, waiting], every, **instant)
        corpus.input(handler(documents.choose), [corpus], every, **instant)
        generator.change(page.fields, [generator], [model, key, address], **instant)
        mode.input(page.mode_info, [mode], [mode], **instant)
        files.upload(handler(documents.take), [files, waiting], every, **instant)
        waiting.input(handler(documents.weigh), [waiting], every, **instant)
        for event in (memorise.click, password.submit):
            event(handler(documents.memorise), [waiting, password], every, **instant)
        resume.click(handler(documents.resume), [corpus], every, **instant)
        stop_memorise.click(documents.stop, None, None, **instant)
        inputs = [question, chat, corpus, generator, model, key, address, temperature, max_tokens, mode, compare]
        outputs = [chat, question, status, send, stop, evidence, compared, memory, run, tabs]
        answering: dict[str, Any] = {**quiet, "concurrency_id": "answer", "concurrency_limit": _ANSWERS}
        asked: list[Any] = [event(page.answer, inputs, outputs, **answering) for event in (question.submit, send.click)]
        picked = chat.example_select(_example, None, [question], **instant)
        asked.append(picked.then(page.answer, inputs, outputs, **answering))
        # First the cancelling, then what is shown: otherwise a last update of the answer may come after it.
        ended = stop.click(None, None, None, cancels=asked, **quiet)
        ended.then(page.stopped, [chat], [chat, status, send, stop], **instant)
        emptied = chat.clear(None, None, None, cancels=asked, **quiet)
        emptied.then(page.cleared, None, [status, send, stop, evidence, compared, run], **instant)
        gone = delete.click(None, None, None, cancels=asked, **quiet)
        gone.then(handler(documents.delete), None, every, **instant)

        endpoint: Any = gr.api  # type: ignore[attr-defined]
        endpoint(api.corpora, api_name="corpora", queue=False)
        endpoint(api.memorize, api_name="memorize", concurrency_limit=20)
        endpoint(api.ask, api_name="ask", concurrency_id="answer", concurrency_limit=_ANSWERS)
        endpoint(api.connect, api_name="connect")
    demo.queue(max_size=_QUEUE)
    return demo


def _example(picked: gr.SelectData) -> str:
    """Put a chosen example into the question box."""
    return str(picked.value["text"])


def serve(demo: Any, service: Service) -> None:  # noqa: ANN401 - a gr.Blocks
    """Serve the page until interrupted. The browser keeps nothing but the visitor's token."""
    settings = service.settings
    service.incoming = Path(get_upload_folder())
    if service.incoming.is_relative_to(settings.cache_dir):
        folders.make(service.incoming)
    gate = Middleware(Gate, folder=service.incoming, most=settings.visitor_bytes)
    recognise = Middleware(Recognise, max_age=int(settings.upload_hours * 3600))
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
        app_kwargs={"middleware": [gate, recognise]},
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        footer_links=["api", "settings"],
        prevent_thread_lock=True,
        quiet=True,
    )
    logger.info("Open %s", demo.local_url)
    # The models come after the page: loading them takes the processor for seconds.
    service.start()
    demo.block_thread()
