"""A visitor's documents in a real browser: added, kept over a reload and a restart, seen by nobody else, deleted."""

import re
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from demo import text
from demo.identity import COOKIE
from tests.e2e.conftest import ARTIFACTS, free_port, running
from tests.uploads import encrypted

pytestmark = [pytest.mark.models, pytest.mark.browser]
DATA = Path(__file__).resolve().parents[1] / "data"
PATIENCE = 90_000  # milliseconds, for a loaded machine


def shot(page, name):
    page.screenshot(path=ARTIFACTS / f"documents-{name}.png")


def status(page, words, timeout=PATIENCE):
    """Wait until the status line holds ``words``."""
    page.wait_for_function(
        "words => document.querySelector('#status')?.innerText.includes(words)", arg=words, timeout=timeout
    )


def upload(page, *files):
    """Drop files and wait until they are listed; return where Gradio put them at first."""
    with page.expect_response(re.compile(r"/upload(\?|$)")) as sent:
        page.set_input_files("#files input[type=file]", [str(file) for file in files])
    page.wait_for_selector("#waiting label")
    page.wait_for_selector("#memorise:not([disabled])")
    return sent.value.json()


def opened(context, app):
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_selector("#question textarea")
    return page


def corpus_of(page):
    return page.input_value("#corpus input")


@pytest.fixture
def long_text(tmp_path):
    """A text that is memorised in stages."""
    story = (DATA / "lighthouse.txt").read_text("utf-8")
    path = tmp_path / "chronicle.txt"
    path.write_text("".join(f"{story}\n\nThat was year {year}.\n\n" for year in range(320)), "utf-8")
    return path


def test_documents_are_kept_over_a_reload_and_gone_after_deleting(app, page):
    before = set(app.visitors_files())
    upload(page, DATA / "lighthouse.txt", DATA / "lighthouse.pdf")
    assert "lighthouse.txt (5" in page.inner_text("#waiting")
    page.locator("#waiting label", has_text="lighthouse.pdf").click()
    page.wait_for_function("() => !document.querySelector('#cost')?.innerText.includes('PDF')")
    shot(page, "listed")
    page.click("#memorise")
    status(page, "lighthouse.txt is memorised")
    page.fill("#question textarea", "In which year were the logbooks found, and by whom?")
    page.press("#question textarea", "Enter")
    status(page, "Answered in")
    assert page.locator(".card", has_text="Henrik Vass").count()
    assert "lighthouse.pdf" in page.inner_text("#waiting"), "what was left out still waits"
    page.reload()
    page.wait_for_selector("#question textarea")
    status(page, "lighthouse.txt is memorised")
    assert corpus_of(page) == "lighthouse.txt (private)"
    assert "lighthouse.pdf" in page.inner_text("#waiting")
    assert set(app.visitors_files()) > before
    page.click("#delete")
    status(page, text.DELETED)
    assert "Harry Potter" in corpus_of(page)
    assert page.locator("#waiting label").count() == 0
    assert set(app.visitors_files()) <= before
    page.reload()
    status(page, "Ready: Harry Potter")


def test_two_visitors_never_see_each_others_documents(app, browser, page):
    upload(page, DATA / "lighthouse.docx")
    page.click("#memorise")
    status(page, "lighthouse.docx is memorised")
    upload(page, DATA / "lighthouse.txt")
    context = browser.new_context()
    other = opened(context, app)
    status(other, "Ready")
    assert "Harry Potter" in corpus_of(other)
    assert other.locator("#waiting label").count() == 0
    other.click("#corpus input")
    assert other.get_by_role("option").count() == 4, "the ready-made ones alone"
    other.keyboard.press("Escape")
    other.click("#delete")
    status(other, text.NOTHING_TO_DELETE)
    tokens = [opened.cookies()[0]["value"] for opened in (context, page.context)]
    assert tokens[0] != tokens[1]
    context.close()
    page.reload()
    status(page, "lighthouse.docx is memorised")
    second = opened(page.context, app)
    status(second, "lighthouse.docx is memorised")
    assert "lighthouse.txt" in second.inner_text("#waiting"), "another tab of the same browser knows them"
    written = app.log.read_text()
    assert not any(token in written for token in tokens)
    assert not any(token in str(path) for token in tokens for path in app.visitors_files())


def test_an_uploaded_file_cannot_be_fetched_by_anyone(app, page):
    (path,) = upload(page, DATA / "lighthouse.txt")
    kept = [file for file in app.visitors_files() if file.read_bytes() == (DATA / "lighthouse.txt").read_bytes()]
    assert kept, "it lies in its owner's folder"
    assert not Path(path).exists()
    token = page.context.cookies()[0]["value"]
    for target in (path, *kept, *(file.with_suffix(".json") for file in kept), app.cache / "visitors"):
        for encoded in (str(target), quote(str(target), safe=""), f"../..{target}", f"{app.temp}/../cache/visitors"):
            for cookies in ({}, {COOKIE: token}):
                answer = httpx.get(f"{app.url}/gradio_api/file={encoded}", cookies=cookies, timeout=10)
                assert answer.status_code in (403, 404), (encoded, answer.status_code)
                assert "lighthouse" not in answer.text.replace("/lighthouse.txt", "")


def test_a_long_text_is_asked_while_the_rest_is_made_and_a_stop_keeps_what_is_done(page, long_text):
    upload(page, long_text)
    page.wait_for_function("() => document.querySelector('#cost')?.innerText.includes('searched by meaning after')")
    shot(page, "cost")
    page.click("#memorise")
    status(page, "chronicle.txt can be asked")
    page.wait_for_function("() => document.querySelector('#progress')?.innerText.includes('%')")
    shot(page, "going-on")
    assert corpus_of(page) == "chronicle.txt (private)"
    page.fill("#question textarea", "In which year were the logbooks found, and by whom?")
    page.press("#question textarea", "Enter")
    status(page, "Answered in")
    assert page.locator(".card", has_text="Henrik Vass").count()
    assert page.is_visible("#stop-memorise")
    page.reload()
    page.wait_for_selector("#stop-memorise", state="visible")
    page.wait_for_function("() => document.querySelector('#progress')?.innerText.includes('can be asked')")
    page.click("#stop-memorise")
    status(page, text.MEMORISING_KEPT.format(title="chronicle.txt"))
    shot(page, "stopped")
    page.click("#resume")
    page.wait_for_selector("#stop-memorise", state="visible")
    page.click("#delete")
    status(page, text.DELETED)
    page.wait_for_selector("#stop-memorise", state="hidden")


def test_a_password_is_asked_for_and_refusals_are_said(page, tmp_path):
    locked, blank, odd = (tmp_path / name for name in ("letters.pdf", "blank.txt", "<b>&amp;'x' onclick=1.txt"))
    locked.write_bytes(encrypted((DATA / "lighthouse.pdf").read_bytes(), "sesame-0815", "owner"))
    blank.write_text("  ")
    odd.write_text("<script>document.title = 'caught'</script><img src=x onerror=\"document.title = 'caught'\">")
    upload(page, locked, blank, odd)
    page.click("#memorise")
    status(page, "password")
    page.wait_for_selector("#password input", state="visible")
    shot(page, "password")
    page.fill("#password input", "sesame-0815")
    page.press("#password input", "Enter")
    status(page, "blank.txt")
    shot(page, "refused")
    assert "blank.txt" not in page.inner_text("#waiting"), "it is deleted"
    assert "letters.pdf" in page.inner_text("#waiting")
    assert page.input_value("#password input") == ""
    page.fill("#password input", "sesame-0815")
    page.click("#memorise")
    status(page, "letters.pdf + 1 is memorised")
    page.wait_for_selector("#password input", state="hidden")
    page.fill("#question textarea", "What does the script say about the title?")
    page.press("#question textarea", "Enter")
    status(page, "Answered in")
    page.click("#corpus input")
    assert page.title() == text.TITLE, "nothing of a document or its name is run"


def test_the_page_fits_a_phone_with_files_listed_and_work_going_on(app, browser, long_text, tmp_path):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = opened(context, app)
    unbroken = tmp_path / f"{'x' * 90}.txt"
    unbroken.write_text("A word or two.")
    upload(page, long_text, unbroken)
    page.locator("#waiting").scroll_into_view_if_needed()
    shot(page, "phone-listed")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#memorise")
    status(page, "chronicle.txt + 1 can be asked")
    page.locator("#progress").scroll_into_view_if_needed()
    shot(page, "phone-going-on")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#delete")
    status(page, text.DELETED)
    context.close()


def test_after_a_crash_of_the_server_the_work_goes_on_and_the_visitor_finds_it(browser, tmp_path, long_text):
    port, context = free_port(), browser.new_context()
    with running(tmp_path, port) as first:
        page = opened(context, first)
        status(page, "Ready")
        upload(page, long_text)
        page.click("#memorise")
        status(page, "chronicle.txt can be asked")
        first.process.kill()
    with running(tmp_path, port) as second:
        page = opened(context, second)
        status(page, "chronicle.txt")
        assert corpus_of(page) == "chronicle.txt (private)"
        page.wait_for_function("() => document.querySelector('#progress')?.innerText.includes('can be asked')")
        stranger = opened(browser.new_context(), second)
        time.sleep(1)
        assert "Harry Potter" in corpus_of(stranger)
        page.click("#delete")
        status(page, text.DELETED)
        assert second.visitors_files() == []
    context.close()
