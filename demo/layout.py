"""The components of the page and where they are; what they do is wired in ``ui.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from demo import render, session, text
from demo.compare import comparison
from demo.parts import Name, Ticks
from demo.service import Service
from demo.talk import COMPARE_TAB

Parts = dict[str, Any]
# How soon a corpus that came into the catalogue is offered on a page that is open.
_LOOKOUT_SECONDS = 5.0
# A sentence of ``english.py`` by name, as a label that the browser translates.
Say = Callable[[str], Any]


def lay_out(service: Service, say: Say) -> Parts:
    """Make all components, inside a ``gr.Blocks``; return them by the names that handlers use."""
    with gr.Row(elem_id="head"):
        gr.Markdown(f"# {text.TITLE}", elem_id="title")
        gr.HTML(f'<p class="hint">{say("TAGLINE")}</p>', elem_id="tagline", padding=False)
        keys = gr.HTML("", elem_id="keys", padding=False)
    parts: Parts = {
        "keys": keys,
        "status": gr.HTML(render.status(text.LOADING, "busy"), elem_id="status", padding=False),
    }
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=3, min_width=280, elem_id="left"):
            parts |= _documents(service, say)
        with gr.Column(scale=3, min_width=260, elem_id="settings"), gr.Accordion(say("SETTINGS"), open=True):
            parts |= _settings(say)
        with gr.Column(scale=6, min_width=320, elem_id="centre"):
            parts |= _talk(say)
        with gr.Column(scale=5, min_width=300, elem_id="right"):
            parts |= _panels(say)
    return parts | {"again": gr.State(None), "timer": gr.Timer(1.0), "lookout": gr.Timer(_LOOKOUT_SECONDS)}


def _documents(service: Service, say: Say) -> Parts:
    titles = [(entry.title, slug) for slug, entry in service.entries.items() if not entry.manifest.private]
    first = titles[0][1] if titles else None
    parts: Parts = {
        "corpus": Name(
            titles,
            value=first,
            label=say("CORPUS"),
            info=say("CORPUS_INFO"),
            elem_id="corpus",
            allow_custom_value=True,
        ),
        "about": gr.HTML("", elem_id="about", padding=False),
        "rebuild": gr.Button(say("REBUILD"), variant="primary", visible=False, elem_id="rebuild"),
        "files": gr.File(label=say("FILES"), file_count="multiple", height=150, elem_id="files"),
        "files_hint": gr.HTML("", elem_id="files-hint", padding=False),
        "waiting": Ticks(label=say("WAITING"), visible=False, elem_id="waiting"),
        "name": Name(
            [],
            value=None,
            label=say("NAME"),
            info=say("NAME_INFO"),
            visible=False,
            elem_id="name",
            allow_custom_value=True,
        ),
        "cost": gr.HTML("", elem_id="cost", padding=False),
        "password": gr.Textbox(
            label=say("UNLOCK"), info=say("UNLOCK_INFO"), type="password", visible=False, elem_id="password"
        ),
    }
    with gr.Row():
        parts["memorise"] = gr.Button(say("MEMORISE"), variant="primary", interactive=False, elem_id="memorise")
        parts["resume"] = gr.Button(say("RESUME"), variant="primary", visible=False, elem_id="resume")
        parts["stop_memorise"] = gr.Button(
            say("STOP_MEMORISING"), variant="stop", visible=False, elem_id="stop-memorise"
        )
    parts["progress"] = gr.HTML("", elem_id="progress", padding=False)
    parts["delete"] = gr.Button(say("DELETE"), size="sm", elem_id="delete")
    return parts


def _settings(say: Say) -> Parts:
    parts: Parts = {
        "generator": gr.Dropdown(
            [(say(f"GENERATORS.{key}"), key) for key in text.GENERATORS],
            value=text.LOCAL,
            label=say("GENERATOR"),
            info=say("GENERATOR_INFO"),
            elem_id="generator",
        ),
        "address": gr.Textbox(label=say("ADDRESS"), info=say("ADDRESS_INFO"), visible=False, elem_id="address"),
        "key": gr.Textbox(
            label=say("KEY"),
            info=say("KEY_INFO"),
            type="password",
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
            visible=False,
            elem_id="key",
        ),
        "model": Name([], value=None, label=say("MODEL"), visible=False, elem_id="model", allow_custom_value=True),
    }
    with gr.Row():
        parts["test_connection"] = gr.Button(say("TEST"), visible=False, size="sm", elem_id="test-connection")
        parts["forget_key"] = gr.Button(say("FORGET_KEY"), visible=False, size="sm", elem_id="forget-key")
    parts["connection"] = gr.HTML("", elem_id="connection", padding=False)
    return parts | {
        "mode": gr.Dropdown(
            [(say(f"MODES.{mode}"), mode) for mode in text.MODES],
            value="memorag",
            label=say("MODE"),
            info=say("MODE_INFOS.memorag"),
            elem_id="mode",
        ),
        "compare": gr.Checkbox(label=say("COMPARE"), info=say("COMPARE_INFO"), elem_id="compare"),
        "temperature": gr.Slider(
            *session.TEMPERATURE,
            0,
            step=0.05,
            label=say("TEMPERATURE"),
            info=say("TEMPERATURE_INFO"),
            elem_id="temperature",
        ),
        "max_tokens": gr.Slider(*session.TOKENS, 256, step=1, label=say("MAX_TOKENS"), elem_id="max-tokens"),
    }


def _talk(say: Say) -> Parts:
    with gr.Row(elem_id="talks", visible=False) as row:
        parts: Parts = {
            "talks": row,
            "conversation": Name(
                [],
                label=say("CONVERSATION"),
                show_label=False,
                container=False,
                elem_id="conversation",
                allow_custom_value=True,
                scale=6,
                min_width=150,
            ),
            "begin": gr.Button(say("CONVERSATION_NEW"), size="sm", scale=0, min_width=150, elem_id="new-conversation"),
            "forget": gr.Button(
                say("CONVERSATION_DELETE"), size="sm", scale=0, min_width=150, elem_id="delete-conversation"
            ),
        }
        parts["exporting"] = gr.HTML("", elem_id="exporting", padding=False)
    parts["chat"] = gr.Chatbot(
        label=text.TITLE,
        show_label=False,
        height="max(320px, calc(100vh - 420px))",
        layout="panel",
        placeholder=say("EMPTY_CHAT"),
        editable="user",
        buttons=["copy", "copy_all"],
        latex_delimiters=[],
        elem_id="chat",
    )
    with gr.Row(elem_id="asking"):
        parts["question"] = gr.Textbox(
            label=say("QUESTION"),
            show_label=False,
            placeholder=say("QUESTION_PLACEHOLDER"),
            lines=1,
            max_lines=6,
            max_length=session.QUESTION_CHARACTERS,
            scale=8,
            elem_id="question",
        )
        parts["send"] = gr.Button(say("ASK"), variant="primary", scale=1, min_width=90, elem_id="ask")
        parts["stop"] = gr.Button(say("STOP"), variant="stop", scale=1, min_width=90, visible=False, elem_id="stop")
    return parts


def _panels(say: Say) -> Parts:
    parts: Parts = {}
    with gr.Tabs() as parts["tabs"]:
        with gr.Tab(say("EVIDENCE")):
            parts["evidence"] = gr.HTML(render.evidence(None), elem_id="evidence-panel")
        with gr.Tab(say("COMPARISON"), id=COMPARE_TAB, render_children=True):
            parts["compared"] = gr.HTML(comparison(None, None), elem_id="compare-panel")
        with gr.Tab(say("MEMORY"), render_children=True):
            parts["memory"] = gr.HTML(render.memory(None, ""), elem_id="memory-panel")
        with gr.Tab(say("RUN"), render_children=True):
            parts["run"] = gr.HTML(render.run(None, "", 0, 0), elem_id="run-panel")
    return parts
