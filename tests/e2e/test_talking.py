"""A conversation in a real browser: asked, asked otherwise, kept, found again, taken away, and seen by nobody else."""

import json
import re
from pathlib import Path

import httpx
import pytest

from demo import text
from demo.identity import COOKIE
from tests.e2e.conftest import ARTIFACTS

pytestmark = [pytest.mark.models, pytest.mark.browser]
DATA = Path(__file__).resolve().parents[1] / "data"
PATIENCE = 90_000  # milliseconds, for a loaded machine
FIRST = "Who is Dobby?"
SECOND = "What wage did Dobby accept for working in the Hogwarts kitchens?"
LONG = "Tell the whole story of the seven years in great detail."


def shot(page, name):
    page.screenshot(path=ARTIFACTS / f"talk-{name}.png")


def status(page, words, timeout=PATIENCE):
    """Wait until the status line holds ``words``."""
    found = "words => document.querySelector('#status')?.innerText.includes(words)"
    page.wait_for_function(found, arg=words, timeout=timeout)


def tokens(page, count):
    """Set the longest answer."""
    page.locator("#max-tokens input[type=number]").fill(str(count))
    page.press("#max-tokens input[type=number]", "Tab")
    page.evaluate("scrollTo(0, 0)")


def opened(context, app, count=30):
    """Open the page, ready to be asked for short answers."""
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_function("() => document.querySelector('#status .idle') !== null", timeout=PATIENCE)
    tokens(page, count)
    return page


def questions(page):
    """The questions that are shown, in order."""
    return page.locator("#chat [data-testid=user]").all_inner_texts()


def has_questions(page, count):
    found = "count => document.querySelectorAll('#chat [data-testid=user]').length === count"
    page.wait_for_function(found, arg=count, timeout=PATIENCE)


def answers(page):
    """The answers that are shown, without what was thought before them."""
    return page.locator("#chat [data-testid=bot]:not(:has(.thought-group))").all_inner_texts()


def answered(page, count):
    """Wait until so many questions are shown and the last one is answered."""
    has_questions(page, count)
    page.wait_for_selector("#ask", state="visible", timeout=PATIENCE)
    status(page, "Answered in")
    found = "count => document.querySelectorAll('#chat .bot-row').length === count"
    page.wait_for_function(found, arg=count, timeout=PATIENCE)


def ask(page, question, count):
    """Ask, and wait for the answer to the ``count``-th question."""
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")
    answered(page, count)


def press(page, label, number=-1):
    """Press a button of the chat by its name, of those that can be seen."""
    page.locator(f"#chat button[aria-label='{label}']:visible").nth(number).click()


def conversations(page):
    """The titles in the list."""
    page.click("#conversation input")
    page.wait_for_selector("[role=option]")
    titles = [shown.removeprefix("✓").strip() for shown in page.get_by_role("option").all_inner_texts()]
    page.evaluate("document.activeElement.blur()")
    page.wait_for_selector("[role=option]", state="detached")
    return titles


def about(page, question):
    """Wait until the evidence is that of a question."""
    found = "words => document.querySelector('#evidence-panel .about')?.innerText === words"
    page.wait_for_function(found, arg=question, timeout=PATIENCE)


@pytest.fixture
def page(browser, app):
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield opened(context, app)
    context.close()


def test_a_reload_loses_nothing_and_each_citation_leads_to_the_evidence_of_its_own_question(page):
    ask(page, FIRST, 1)
    press(page, "Like")
    status(page, text.LIKED)
    ask(page, SECOND, 2)
    said = answers(page)
    page.reload()
    has_questions(page, 2)
    assert questions(page) == [FIRST, SECOND]
    assert answers(page) == said
    about(page, SECOND)
    assert page.locator("#passage-2-1").is_visible()
    assert page.locator("#chat button[aria-label='Liked']:visible").count() == 1, "the judgement is shown again"
    link = page.locator("#chat a[href^='#passage-1-']").last
    number = re.search(r"\d+", link.inner_text())[0]
    link.click()
    about(page, FIRST)
    page.wait_for_selector(f"#passage-1-{number}.card.found")
    assert page.locator(f"#passage-1-{number} mark").first.is_visible()
    shot(page, "first-evidence")
    page.locator("#chat a[href^='#passage-2-']").last.click()
    about(page, SECOND)
    page.wait_for_selector(".card.found[id^='passage-2-']")


def test_a_question_is_asked_again_edited_and_taken_back(page):
    ask(page, FIRST, 1)
    page.locator("#chat .option", has_text="?").first.click()
    answered(page, 2)
    assert questions(page)[0] == FIRST, "what is suggested is asked next"
    assert page.locator("#evidence-panel .about").inner_text() == questions(page)[1]
    press(page, "Retry")
    page.wait_for_selector("#stop", state="visible")
    answered(page, 2)
    page.locator("#chat button[aria-label='Edit']").first.click()
    assert page.input_value("#chat textarea") == FIRST
    page.fill("#chat textarea", "Who is Neville?")
    press(page, "Submit")
    answered(page, 1)
    assert questions(page) == ["Who is Neville?"]
    about(page, "Who is Neville?")
    press(page, "Undo")
    status(page, text.UNDONE)
    assert page.input_value("#question textarea") == "Who is Neville?"
    page.wait_for_selector("#chat .example")
    page.wait_for_selector("#talks", state="hidden")


def test_the_box_to_edit_a_question_is_as_wide_as_the_question(page):
    ask(page, SECOND, 1)
    wide = page.locator("#chat [data-testid=user]").bounding_box()["width"]
    press(page, "Edit")
    page.wait_for_selector("#chat textarea")
    shot(page, "edit")
    assert page.locator("#chat textarea").bounding_box()["width"] > wide / 2


def test_earlier_conversations_are_kept_in_a_list_until_they_are_deleted(page):
    ask(page, FIRST, 1)
    page.click("#new-conversation")
    status(page, text.NEW_CONVERSATION)
    page.wait_for_selector(".card", state="detached")
    ask(page, SECOND, 1)
    shortened, first = conversations(page)
    assert SECOND.startswith(shortened.removesuffix("…"))
    assert first == FIRST
    page.click("#conversation input")
    page.get_by_role("option", name=FIRST).click()
    status(page, text.CONVERSATION_OPENED)
    about(page, FIRST)
    page.wait_for_selector(f"#chat [data-testid=user] >> text={FIRST}")
    assert questions(page) == [FIRST]
    shot(page, "opened")
    page.click("#delete-conversation")
    status(page, text.CONVERSATION_DELETED)
    page.wait_for_selector("#chat .example")
    assert FIRST not in conversations(page)
    page.reload()
    has_questions(page, 1)
    assert questions(page) == [SECOND]
    page.click("#delete")
    status(page, text.DELETED)
    page.wait_for_selector("#talks", state="hidden")
    page.reload()
    status(page, "Ready")
    assert page.locator("#talks").is_hidden()


def test_a_stopped_answer_is_kept_as_far_as_it_came_also_after_a_reload(page):
    tokens(page, 400)
    page.fill("#question textarea", LONG)
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#chat [data-testid=bot]:not(:has(.thought-group))", timeout=PATIENCE)
    page.click("#stop")
    status(page, text.STOPPED)
    page.wait_for_selector(f"#chat >> text={text.STOPPED_HERE}")
    said = answers(page)
    assert said[-1] == text.STOPPED_HERE
    assert said[0].strip()
    page.reload()
    has_questions(page, 1)
    assert answers(page) == said
    about(page, LONG)
    assert page.locator("#chat .pending").count() == 0


def test_closing_the_page_in_the_middle_of_an_answer_loses_nothing_that_was_written(page, app):
    tokens(page, 400)
    page.fill("#question textarea", LONG)
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#chat [data-testid=bot]:not(:has(.thought-group))", timeout=PATIENCE)
    context = page.context
    page.close()
    again = opened(context, app)
    again.wait_for_timeout(2000)
    again.reload()
    has_questions(again, 1)
    assert questions(again) == [LONG]
    assert answers(again)[0].strip()
    assert answers(again)[-1] == text.STOPPED_HERE
    ask(again, FIRST, 2)


def test_markup_is_shown_and_copied_as_it_was_typed_and_the_conversation_can_be_downloaded(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    typed = "What <b>wage</b> did *Dobby* accept [1] in the Hogwarts_kitchens & \\why?"
    ask(page, typed, 1)
    assert questions(page) == [typed]
    assert page.locator("#chat [data-testid=user] b").count() == 0
    press(page, "Edit")
    page.wait_for_function("typed => document.querySelector('#chat textarea')?.value === typed", arg=typed)
    press(page, "Cancel")
    press(page, "Copy message", 0)
    assert page.evaluate("navigator.clipboard.readText()") == typed
    press(page, "Copy message")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"\[\d+\]", copied)
    assert not re.search(r"\\|#passage|<span|\]\(", copied)
    passage = page.locator("#passage-1-1 p").inner_text()[:60]
    kept = {}
    for kind in ("Markdown", "JSON"):
        with page.expect_download() as download:
            page.locator("#exporting a", has_text=kind).click()
        assert re.fullmatch(r"memorag-[\d-]+\.(md|json)", download.value.suggested_filename)
        kept[kind] = Path(download.value.path()).read_text("utf-8")
    (exchange,) = json.loads(kept["JSON"])["exchanges"]
    assert exchange["question"]["query"] == typed
    assert exchange["reply"]["answer"] in kept["Markdown"]
    assert passage in exchange["reply"]["passages"][0]["text"]
    assert passage in kept["Markdown"]
    assert typed in kept["Markdown"]


def test_another_visitor_sees_and_fetches_none_of_it(page, app, browser):
    ask(page, FIRST, 1)
    address = f"{app.url}/{page.locator('#exporting a').first.get_attribute('href')}"
    (token,) = [cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE]
    assert httpx.get(address, cookies={COOKIE: token}, timeout=20).status_code == 200
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = opened(context, app)
    assert other.locator("#talks").is_hidden()
    assert other.request.get(address).status == 404
    assert httpx.get(address, timeout=20).status_code == 404
    ask(other, SECOND, 1)
    assert len(conversations(other)) == 1
    page.reload()
    has_questions(page, 1)
    assert len(conversations(page)) == 1
    context.close()


def test_a_pdf_shows_its_page_to_its_owner_alone_and_a_follow_up_is_understood(page, app, browser):
    page.set_input_files("#files input[type=file]", str(DATA / "lighthouse.pdf"))
    page.click("#memorise:not([disabled])")
    status(page, "lighthouse.pdf is memorised")
    ask(page, "Who found the logbooks?", 1)
    folded = page.locator(".card details.page", has_text=text.PICTURE.format(page=3)).first
    folded.locator("summary").click()
    picture = folded.locator("img")
    page.wait_for_function("() => [...document.querySelectorAll('details[open] img')].some((img) => img.naturalWidth)")
    assert picture.evaluate("img => img.naturalWidth") > 500
    assert "lighthouse.pdf" in picture.get_attribute("alt")
    shot(page, "page-picture")
    address = f"{app.url}/{picture.get_attribute('src')}"
    assert page.request.get(address).status == 200
    context = browser.new_context()
    assert opened(context, app).request.get(address).status == 404
    context.close()
    ask(page, "And when did he find them?", 2)
    thought = page.locator(".thought-group", has_text=text.THOUGHT_UNDERSTOOD)
    assert "logbooks" in thought.inner_text() or "Vass" in thought.inner_text()
    shot(page, "understood")
