"""Generators on the page in a real browser: chosen, tested, asked and forgotten; the key is found nowhere."""

import re
from pathlib import Path

import pytest

from demo import text
from demo.identity import COOKIE
from tests.e2e.conftest import ARTIFACTS
from tests.e2e.test_talking import PATIENCE, answered, answers, ask, opened, shot, status
from tests.openai_server import KEY, openai_server

pytestmark = [pytest.mark.models, pytest.mark.browser]
QUESTION = "What wage did Dobby accept for working in the Hogwarts kitchens?"
SAID = "Dobby took a Galleon a week [1]. He wanted no more [2]."
MODELS = [{"id": "citer"}, {"id": "error-midway"}, {"id": "wrong-key"}, {"id": "slow"}]


@pytest.fixture(scope="module")
def server():
    with openai_server({"citer": SAID}, models=MODELS) as running:
        yield running


@pytest.fixture
def page(browser, app):
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield opened(context, app)
    context.close()


def choose(page, generator):
    """Choose a generator, and wait until the page shows what it needs."""
    page.click("#generator input")
    page.get_by_role("option", name=re.compile(f"^{re.escape(text.NAMES[generator])}( |:)")).click()
    state = "hidden" if generator == text.LOCAL else "visible"
    page.wait_for_selector("#key input", state=state)
    address = "visible" if generator in ("azure", "compatible") else "hidden"
    page.wait_for_selector("#address textarea, #address input", state=address)


def model(page, name):
    page.fill("#model input", name)
    page.press("#model input", "Enter")
    page.evaluate("document.activeElement.blur()")


def said(page, words):
    page.wait_for_function(
        "words => document.querySelector('#connection')?.innerText.includes(words)", arg=words, timeout=PATIENCE
    )


def connect(page, server, name="citer"):
    """Choose the server, and enter its address, a key and a model."""
    choose(page, "compatible")
    page.fill("#address textarea, #address input", server.base_url)
    page.fill("#key input", KEY)
    model(page, name)


def test_a_connection_is_tested_and_what_happened_is_said(page, server):
    choose(page, "compatible")
    page.click("#test-connection")
    page.wait_for_selector("#connection .error")
    assert "address" in page.inner_text("#connection")
    shot(page, "connection-nothing")
    page.fill("#address textarea, #address input", "http://127.0.0.1:9/v1")
    model(page, "citer")
    page.click("#test-connection:not([disabled])")
    said(page, "No connection to")
    page.fill("#address textarea, #address input", server.base_url)
    page.fill("#key input", KEY)
    model(page, "wrong-key")
    page.click("#test-connection:not([disabled])")
    said(page, "did not accept the API key")
    shot(page, "connection-wrong-key")
    assert KEY not in page.inner_text("body")
    model(page, "citer")
    page.click("#test-connection:not([disabled])")
    said(page, "citer answered in")
    said(page, f"Models to choose from: {len(MODELS)}.")
    assert "tested" in page.input_value("#generator input")
    shot(page, "connection-works")


def test_it_answers_with_citations_and_its_key_is_found_nowhere(page, app, server):
    connect(page, server)
    ask(page, QUESTION, 1)
    shot(page, "by-a-server")
    assert any("a Galleon a week" in said for said in answers(page))
    page.locator("#chat a[href*='#passage-']").last.click()
    page.wait_for_selector(".card.found mark")
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    page.get_by_role("tab", name=text.RUN).click()
    assert text.NAMES["compatible"] in page.inner_text("#run-panel")
    (token,) = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE]
    for link in page.locator("#exporting a").all():
        exported = page.request.get(f"{app.url}/{link.get_attribute('href')}")
        assert "a Galleon a week" in exported.text()
        assert KEY not in exported.text()
        assert token not in exported.text()
    choose(page, text.LOCAL)
    page.wait_for_timeout(500)
    assert KEY not in page.content()
    values = "[...document.querySelectorAll('input, textarea')].map((box) => box.value)"
    assert KEY not in page.evaluate(values)
    assert KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert KEY not in app.log.read_text()
    kept = [path for path in app.cache.rglob("*") if path.is_file() and not path.is_symlink()]
    visitors = [path for path in kept if "visitors" in Path(path).parts]
    assert visitors
    assert not [path for path in visitors if KEY.encode() in path.read_bytes()]


def test_what_fails_while_it_answers_is_said_and_nothing_is_lost(page, server):
    connect(page, server, "wrong-key")
    page.fill("#question textarea", QUESTION)
    page.press("#question textarea", "Enter")
    status(page, "did not accept the API key")
    page.wait_for_selector("#ask", state="visible")
    shot(page, "wrong-key")
    assert page.input_value("#question textarea") == QUESTION
    assert page.locator("#chat [data-testid=user]").count() == 0
    model(page, "error-midway")
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#status .error", timeout=PATIENCE)
    page.wait_for_function("() => document.querySelectorAll('#chat [data-testid=user]').length === 1")
    page.wait_for_selector("#ask", state="visible")
    shot(page, "broken-off")
    assert KEY not in page.inner_text("body")
    model(page, "citer")
    page.locator("#chat button[aria-label='Retry']:visible").last.click()
    answered(page, 1)
    assert any("a Galleon a week" in said for said in answers(page))


def test_keys_are_forgotten_by_one_click(page, server):
    connect(page, server)
    page.click("#forget-key")
    said(page, text.FORGOTTEN)
    assert page.input_value("#key input") == ""
    assert page.input_value("#model input") == "citer"
    before = len(server.requests)
    page.click("#test-connection")
    said(page, "citer answered in")
    assert not any("authorization" in request.headers for request in server.requests[before:])
    shot(page, "keys-forgotten")


def test_a_server_that_hangs_can_be_left_by_stop(page, server):
    server.hung_up.clear()
    connect(page, server, "slow")
    page.fill("#question textarea", QUESTION)
    page.press("#question textarea", "Enter")
    page.wait_for_function(
        "() => document.querySelector('#chat')?.innerText.includes('Dobby took') "
        "|| document.querySelectorAll('#chat [data-testid=bot]').length > 2",
        timeout=PATIENCE,
    )
    page.click("#stop")
    status(page, "Stopped")
    assert server.hung_up.wait(10), "the server is told"
    choose(page, text.LOCAL)
    ask(page, "Who is Dobby?", 2)
