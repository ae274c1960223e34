"""Keys in a real browser: each goes to its own service only, and none outlives the page or "Forget"."""

import re
from types import SimpleNamespace

import gradio as gr
import pytest

from demo import text
from demo.connecting import FORGET, SWITCH, Connecting
from demo.parts import Name
from demo.service import Service
from demo.visitors import Visitors
from demo.wiring import named
from engine.settings import Settings
from tests.openai_server import KEY, openai_server

pytestmark = pytest.mark.browser
FIELDS = ("generator", "model", "key", "address")


def fields(service):
    """A page with nothing but the choice of a generator."""
    connecting = Connecting(service, Visitors())
    with gr.Blocks() as demo:
        parts = {
            "generator": gr.Dropdown([(name, key) for key, name in text.GENERATORS.items()], elem_id="generator"),
            "model": Name([], value=None, visible=False, elem_id="model", allow_custom_value=True),
            "key": gr.Textbox(type="password", visible=False, elem_id="key"),
            "address": gr.Textbox(visible=False, elem_id="address"),
            "test_connection": gr.Button(text.TEST, visible=False, elem_id="test-connection"),
            "forget_key": gr.Button(text.FORGET_KEY, visible=False, elem_id="forget-key"),
            "connection": gr.HTML("", elem_id="connection"),
        }
        every, given = list(parts.values()), [parts[name] for name in FIELDS]
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        demo.load(named(connecting.arrive, parts), None, every, queue=False, **quiet)
        parts["generator"].change(named(connecting.fields, parts), given, every, js=SWITCH, queue=False, **quiet)
        parts["key"].blur(named(connecting.changed, parts), given, every, queue=False, **quiet)
        parts["test_connection"].click(named(connecting.test, parts), given, every, **quiet)
        parts["forget_key"].click(named(connecting.forget, parts), given, every, js=FORGET, queue=False, **quiet)
    return demo


@pytest.fixture
def page(browser, tmp_path):
    """The opened page, the requests that a service got, and its address."""
    demo = fields(Service(Settings(cache_dir=tmp_path / "cache"), folder=tmp_path))
    with openai_server(models=[{"id": "echo"}, {"id": "other"}]) as server:
        _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, run_history=False, ssr_mode=False)
        opened = browser.new_page()
        opened.goto(url)
        opened.wait_for_selector("#generator input")
        yield SimpleNamespace(browser=opened, server=server)
        opened.close()
        demo.close()


def choose(page, generator):
    """Choose a generator, and wait until the page shows what it needs."""
    page.browser.click("#generator input")
    page.browser.get_by_role("option", name=re.compile(f"^{re.escape(text.NAMES[generator])} ")).click()
    name = text.KEYS_AT.get(generator, text.KEY_OPTIONAL)
    waits(page, "'#key')?.innerText", name)


def value(page, field):
    return page.browser.input_value(f"#{field} input, #{field} textarea")


def waits(page, condition, words):
    page.browser.wait_for_function(f"words => document.querySelector({condition}.includes(words)", arg=words)


def said(page, words):
    waits(page, "'#connection')?.innerText", words)


def shown(page, words):
    waits(page, "'#generator input').value", words)


def test_a_key_stays_with_its_own_service(page):
    choose(page, "openai")
    page.browser.fill("#key input", KEY)
    page.browser.keyboard.press("Tab")
    shown(page, text.OFFER_KEY)
    choose(page, "compatible")
    assert (value(page, "key"), value(page, "model"), value(page, "address")) == ("", "", "")
    page.browser.fill("#address textarea", page.server.base_url)
    page.browser.click("#test-connection")
    said(page, "Models to choose from: 2.")
    page.browser.click("#model input")
    page.browser.get_by_role("option", name="echo").click()
    page.browser.click("#test-connection")
    said(page, "echo answered in")
    shown(page, "tested, ")
    assert not any("authorization" in request.headers for request in page.server.requests)
    choose(page, "openai")
    assert value(page, "key") == KEY
    choose(page, "compatible")
    assert (value(page, "model"), value(page, "address")) == ("echo", page.server.base_url)
    said(page, "echo answered in")


@pytest.mark.parametrize("how", ["button", "reload"])
def test_a_key_can_be_forgotten(page, how):
    for generator in ("deepseek", "openai"):
        choose(page, generator)
        page.browser.fill("#key input", KEY)
    if how == "button":
        page.browser.click("#forget-key")
        said(page, text.FORGOTTEN)
    else:
        page.browser.reload()
        page.browser.wait_for_selector("#generator input")
        shown(page, text.NAMES[text.LOCAL])
    for generator in ("deepseek", "openai"):
        choose(page, generator)
        assert value(page, "key") == ""
    kept = page.browser.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert KEY not in kept
