"""Two answers side by side on the page, in a real browser."""

import pytest

from demo import text
from tests.e2e.test_page import PATIENCE, answered, ask, shot, status

pytestmark = [pytest.mark.models, pytest.mark.browser]
QUESTION = "What wage did Dobby accept for working in the Hogwarts kitchens?"


def compare(page, tokens):
    page.locator("#compare input").check()
    page.locator("#max-tokens input[type=number]").fill(str(tokens))


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("compare", 1440, False), ("compare-dark", 1440, True), ("compare-phone", 390, False)],
)
def test_both_answers_stand_side_by_side_on_a_desk_and_below_each_other_on_a_phone(browser, app, name, width, dark):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(app.url)
    page.wait_for_selector("#question textarea")
    status(page, "Ready")
    compare(page, 40)
    ask(page, QUESTION)
    answered(page)
    status(page, "by plain RAG in")
    page.wait_for_selector(".side >> nth=1", state="visible")
    shot(page, name)
    first, second = (page.locator(".side").nth(number) for number in (0, 1))
    assert first.locator("h4").inner_text() == text.MODES["memorag"]
    assert second.locator("h4").inner_text() == text.MODES["rag"]
    for side in (first, second):
        assert side.locator(".said").inner_text().strip()
        assert "Whole answer" in side.inner_text()
        assert side.locator(".piece").count() > 0
        assert side.locator(".unfinished").count() == 0
    piece = second.locator(".piece").first
    assert not piece.locator("p").is_visible()
    piece.locator("summary").click()
    assert piece.locator("p").is_visible()
    one, other = first.bounding_box(), second.bounding_box()
    if width > 1000:
        assert other["x"] >= one["x"] + one["width"]
        assert abs(other["y"] - one["y"]) < 2
    else:
        assert other["y"] >= one["y"] + one["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_by_role("tab", name=text.RUN).is_visible(), "four tabs fit"
    context.close()


def test_stop_ends_the_second_answer_and_keeps_the_first(page):
    status(page, "Ready")
    compare(page, 300)
    page.locator("#temperature input[type=number]").fill("1")
    ask(page, "Tell the whole story of the seven years in great detail.")
    page.wait_for_selector(".side:nth-child(2) .said", timeout=PATIENCE)
    page.click("#stop")
    status(page, "Stopped", 3000)
    assert page.locator(".side:first-child .said").inner_text().strip()
    assert page.locator(".side:nth-child(2) .said").inner_text().strip()
    assert not page.locator(".side .unfinished").is_visible()
    page.locator("#compare input").uncheck()
    page.locator("#max-tokens input[type=number]").fill("30")
    ask(page, "Who is Dobby?")
    answered(page)
    assert page.locator(".side").count() == 0


def test_a_mode_is_explained_when_it_is_chosen(page):
    for mode in ("full", "qa", "memorag"):
        page.locator("#mode input").click()
        page.get_by_role("option", name=text.MODES[mode], exact=True).click()
        page.wait_for_function(
            "words => document.querySelector('#mode').innerText.includes(words)", arg=text.MODE_INFOS[mode]
        )
        assert page.input_value("#mode input") == text.MODES[mode]
