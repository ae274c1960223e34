"""The page in a real browser, used by hand: every step a visitor takes, with screenshots kept as artefacts."""

import re
from pathlib import Path

import pytest

from demo import text

pytestmark = [pytest.mark.models, pytest.mark.browser]
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
ARTIFACTS = ROOT / "artifacts"
PATIENCE = 90_000  # milliseconds, for a loaded machine


def shot(page, name):
    page.screenshot(path=ARTIFACTS / f"{name}.png")


def status(page, words, timeout=PATIENCE):
    """Wait until the status line holds ``words``."""
    page.wait_for_function(
        "words => document.querySelector('#status').innerText.includes(words)", arg=words, timeout=timeout
    )


def upload(page, *files):
    page.set_input_files("#files input[type=file]", [str(file) for file in files])
    page.wait_for_selector("#memorise:not([disabled])")


def memorise(page, name):
    upload(page, DATA / name)
    page.click("#memorise")
    status(page, f"{name} is memorised")


def ask(page, question):
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")


def answered(page):
    status(page, "Answered in")
    page.wait_for_selector("#ask", state="visible")


def test_a_ready_made_corpus_is_asked_by_clicking_an_example(page):
    status(page, "Ready")
    shot(page, "ready")
    page.locator("#chat .example").first.click()
    page.wait_for_selector("#stop", state="visible")
    page.wait_for_selector(".card", timeout=PATIENCE)
    shot(page, "answering")
    answered(page)
    shot(page, "answered")
    assert page.locator("#passage-1-1").is_visible()
    assert text.THOUGHT_CLUES in page.inner_text("#chat")
    assert page.input_value("#question textarea") == ""


@pytest.mark.parametrize("kind", ["txt", "pdf", "docx"])
def test_an_upload_is_memorised_asked_and_its_evidence_shown(page, kind):
    name = f"lighthouse.{kind}"
    memorise(page, name)
    ask(page, "In which year were the logbooks found, and by whom?")
    answered(page)
    shot(page, f"upload-{kind}")
    card = page.locator(".card", has_text="Henrik Vass").first
    header = card.locator("header").inner_text()
    assert name in header
    assert ("page 3" in header) == (kind == "pdf")
    assert ("The Logbooks" in header) == (kind == "docx")
    page.get_by_role("tab", name=text.RUN).click()
    assert text.FIRST_WORD in page.inner_text("#run-panel")
    page.get_by_role("tab", name=text.MEMORY).click()
    assert name in page.inner_text("#memory-panel")
    shot(page, f"memory-{kind}")


def test_a_citation_leads_to_its_passage(page):
    status(page, "Ready")
    ask(page, "What wage did Dobby accept for working in the Hogwarts kitchens?")
    answered(page)
    links = page.locator("#chat a[href*='#passage-']")
    if links.count() == 0:
        pytest.skip("this answer cites nothing")
    number = re.search(r"\d+", links.first.inner_text())[0]
    links.first.click()
    assert page.locator(f"#passage-1-{number}").is_visible()
    assert "cited" in page.locator(f"#passage-1-{number}").inner_text()
    assert len(page.context.pages) == 1, "the link stays on the page"


def test_stop_keeps_what_was_written_and_the_page_goes_on(page):
    status(page, "Ready")
    page.locator("#temperature input[type=number]").fill("1")
    page.locator("#max-tokens input[type=number]").fill("1024")
    ask(page, "Tell the whole story of the seven years in great detail.")
    page.wait_for_selector(".card", timeout=PATIENCE)
    page.wait_for_function("() => document.querySelectorAll('#chat .message').length > 1")
    page.click("#stop")
    status(page, "Stopped", 3000)
    shot(page, "stopped")
    assert "Tell the whole story" in page.inner_text("#chat")
    page.locator("#max-tokens input[type=number]").fill("30")
    ask(page, "Who is Dobby?")
    answered(page)


def test_what_is_typed_while_an_answer_runs_is_kept(page):
    status(page, "Ready")
    ask(page, "Who is Neville?")
    page.wait_for_selector("#stop", state="visible")
    page.wait_for_function("() => document.querySelector('#question textarea').value === ''")
    page.fill("#question textarea", "Who is Luna?")
    answered(page)
    assert page.input_value("#question textarea") == "Who is Luna?"


def test_deleting_while_an_answer_runs_deletes_all_of_it(page):
    memorise(page, "lighthouse.txt")
    ask(page, "Who was the first keeper?")
    page.wait_for_selector("#stop", state="visible")
    page.click("#delete")
    status(page, text.DELETED)
    page.wait_for_timeout(1500)
    assert text.DELETED in page.inner_text("#status"), "no late update says otherwise"
    assert "first keeper" not in page.inner_text("#chat")
    assert page.input_value("#question textarea") == ""
    assert page.is_disabled("#memorise")


def test_a_citation_is_shown_also_when_another_tab_is_open(page):
    memorise(page, "lighthouse.txt")
    ask(page, "In which year were the logbooks found, and by whom?")
    answered(page)
    page.get_by_role("tab", name=text.RUN).click()
    before = page.evaluate("scrollY")
    page.locator("#chat a[href*='#passage-']").first.click()
    page.wait_for_selector(".card.found")
    assert page.evaluate("scrollY") == before, "the page itself stays where it is"


def test_bad_input_is_said_where_the_visitor_looks_and_nothing_is_lost(page, tmp_path):
    status(page, "Ready")
    ask(page, "   ")
    status(page, text.QUESTION_EMPTY)
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    upload(page, empty)
    page.click("#memorise")
    status(page, "empty.txt")
    shot(page, "refused")
    assert page.locator("#status .error").count() == 1
    page.locator("#generator input").click()
    page.get_by_role("option", name=re.compile(f"^{text.NAMES['openai']} ")).click()
    page.wait_for_selector("#key input", state="visible")
    ask(page, "Who is Dobby?")
    status(page, "key")
    shot(page, "key-missing")
    assert page.input_value("#question textarea") == "Who is Dobby?", "the question is kept"
    page.locator("#generator input").click()
    page.get_by_role("option", name=re.compile(f"^{text.NAMES['local']}")).click()
    page.wait_for_selector("#key input", state="hidden")
    page.press("#question textarea", "Enter")
    answered(page)


def test_an_oversize_file_is_refused_and_the_page_stays_usable(page, tmp_path):
    status(page, "Ready")
    big = tmp_path / "big.txt"
    big.write_bytes(b"a word or two. " * 200_000)
    page.set_input_files("#files input[type=file]", str(big))
    page.wait_for_selector("[data-testid=toast-body]")
    assert "big.txt" in page.inner_text("[data-testid=toast-body]")
    shot(page, "oversize")
    assert page.is_disabled("#memorise")


def test_deleting_removes_documents_and_conversation(page):
    memorise(page, "lighthouse.txt")
    ask(page, "Who was the first keeper?")
    answered(page)
    page.click("#delete")
    status(page, text.DELETED)
    assert "first keeper" not in page.inner_text("#chat")
    assert page.locator(".card").count() == 0
    assert "Harry Potter" in page.input_value("#corpus input")


@pytest.mark.parametrize(("name", "width", "dark"), [("phone", 390, False), ("dark", 1440, True)])
def test_the_page_fits_a_phone_and_dark_mode(browser, app, name, width, dark):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_selector("#question textarea")
    status(page, "Ready")
    ask(page, "Who is Dobby?")
    answered(page)
    shot(page, name)
    page.screenshot(path=ARTIFACTS / f"{name}-full.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
