"""The page without a mouse, and for those who see it differently: names, focus, and text that stands out enough."""

from pathlib import Path

import pytest

from demo import text
from tests.e2e.conftest import ARTIFACTS
from tests.e2e.test_talking import PATIENCE, answered, has_questions, opened, shot, status

pytestmark = [pytest.mark.models, pytest.mark.browser]
DATA = Path(__file__).resolve().parents[1] / "data"
QUESTION = "In which year were the logbooks found, and by whom?"

# Notes how everything that can have the focus looks without it; returns what then has it and looks no different.
LOOKS = """() => {
  const around = (at) => [at, at.parentElement, at.parentElement?.parentElement, at.closest(".wrap")].filter(Boolean);
  const look = (at) => around(at).map((element) => {
    const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(element);
    return [outlineStyle === "none" ? "" : outlineStyle + outlineWidth, boxShadow, borderColor].join();
  }).join();
  const all = [...document.querySelectorAll("button, input, textarea, a[href], summary, [tabindex]")];
  const plain = new Map(all.map((element) => [element, look(element)]));
  window.unseen = () => {
    const at = document.activeElement;
    return plain.get(at) === look(at) ? at.outerHTML.slice(0, 160) : null;
  };
}"""
# What can be used and has no name that a screen reader could read.
NAMELESS = """() => [...document.querySelectorAll("button, [role=button], input, textarea, a[href], [role=tab]")]
  .filter((element) => element.getClientRects().length && !element.closest("[aria-hidden=true]"))
  .filter((element) => !(element.getAttribute("aria-label")?.trim() || element.innerText?.trim() || element.title ||
    element.labels?.length || element.getAttribute("aria-labelledby")))
  .map((element) => element.outerHTML.slice(0, 200))"""
# Texts whose contrast to what is behind them is under 4.5, or 3 where they are large (WCAG 2.2, 1.4.3).
PALE = """() => {
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const read = (css) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = css;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const behind = (element) => element === null ? [255, 255, 255]
    : over(read(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const opacity = (element) =>
    element === null ? 1 : Number(getComputedStyle(element).opacity) * opacity(element.parentElement);
  const light = (colour) => {
    const [red, green, blue] = colour.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pale = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const words = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    const style = getComputedStyle(element), alpha = opacity(element);
    const is_seen = element.getClientRects().length && style.visibility !== "hidden" && alpha > 0.1;
    if (!words || !is_seen || element.closest("script, style, [disabled]")) continue;
    const under = behind(element), colour = read(style.color);
    colour[3] *= alpha;
    const [high, low] = [light(over(colour, under)), light(under)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const is_large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < (is_large ? 3 : 4.5)) pale.push(words.slice(0, 40) + ": " + contrast.toFixed(2));
  }
  return [...new Set(pale)];
}"""


@pytest.fixture
def page(browser, app):
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = opened(context, app, 40)
    page.focus("#question textarea")  # where it is after loading, before the longest answer was set
    yield page
    context.close()


def step(page, key, found, most=80):
    """Press a key until what is looked for has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", found):
            return
    pytest.fail(f"{key} does not lead to {found}")


def in_focus(page, selector):
    """Wait until something has the focus."""
    page.wait_for_function("selector => document.activeElement.matches(selector)", arg=selector, timeout=20_000)


def test_the_cursor_stands_in_the_question_when_the_page_is_opened(browser, app):
    page = browser.new_page()
    page.goto(app.url)
    in_focus(page, "#question textarea")
    page.close()


def test_a_phone_is_opened_at_the_top_of_the_page(browser, app):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(app.url)
    status(page, "Ready")
    page.wait_for_timeout(500)
    shot(page, "phone-opened")
    assert page.evaluate("scrollY") == 0, "what it is and how it works is read first"
    context.close()


def test_from_an_own_document_to_the_passage_that_answers_with_keys_alone(page):
    step(page, "Shift+Tab", "#files button")
    chosen = []
    page.on("filechooser", lambda chooser: chosen.append(chooser))
    # On a loaded machine, a browser takes a key that was pressed long ago for none of the visitor's.
    for _ in range(3):
        page.keyboard.press("Enter")
        page.wait_for_timeout(3000)
        if chosen:
            break
    chosen[0].set_files(str(DATA / "lighthouse.pdf"))
    page.wait_for_selector("#memorise:not([disabled])")
    step(page, "Tab", "#memorise")
    page.keyboard.press("Enter")
    status(page, "lighthouse.pdf is memorised")
    page.keyboard.press("/")
    in_focus(page, "#question textarea")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    answered(page, 1)
    in_focus(page, "#question textarea")
    step(page, "Shift+Tab", "#chat a[href*='#passage-']")
    page.keyboard.press("Enter")
    in_focus(page, ".card.found")
    at = page.evaluate("document.activeElement.id")
    assert page.locator(".card.found mark").first.is_visible()
    shot(page, "keyboard-passage")
    page.keyboard.press("]")
    page.wait_for_function("at => document.activeElement.matches('.card') && document.activeElement.id !== at", arg=at)
    page.keyboard.press("[")
    page.wait_for_function("at => document.activeElement.id === at", arg=at)
    step(page, "Tab", ".card summary")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('details[open] img')?.naturalWidth > 0", timeout=PATIENCE)
    page.keyboard.press("n")
    status(page, text.NEW_CONVERSATION)
    in_focus(page, "#question textarea")


def test_an_answer_is_stopped_with_a_key_and_asked_again(page):
    page.keyboard.type("Tell the whole story of the seven years in great detail.")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stop", state="visible")
    page.wait_for_selector(".card", timeout=PATIENCE)
    page.keyboard.press("Escape")
    status(page, "Stopped")
    assert not page.evaluate("document.activeElement === document.body"), "the focus is not lost"
    step(page, "Shift+Tab", "#chat button[aria-label='Retry']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stop", state="visible")
    answered(page, 1)


def test_the_list_of_keys_opens_and_closes_with_keys(page):
    page.keyboard.type("What?")
    assert page.input_value("#question textarea") == "What?", "what is typed is no key of the page"
    page.locator("#keys dialog").wait_for(state="hidden")
    step(page, "Tab", "#right button[role=tab]")
    page.keyboard.press("?")
    dialog = page.locator("#keys dialog")
    dialog.wait_for(state="visible")
    shot(page, "keyboard-list")
    box = dialog.bounding_box()
    assert abs(box["y"] + box["height"] / 2 - 450) < 40, "it stands in the middle of the window"
    for key, does in text.KEYS.items():
        assert does in dialog.inner_text(), key
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    in_focus(page, "#right button[role=tab]")
    page.keyboard.press("?")
    dialog.wait_for(state="visible")
    page.keyboard.press("?")
    dialog.wait_for(state="hidden")


def test_a_corpus_and_a_tab_are_chosen_with_keys(page):
    step(page, "Shift+Tab", "#corpus input")
    page.keyboard.press("ArrowDown")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("Enter")
    status(page, "Ready")
    step(page, "Tab", "#right button[role=tab]:not([aria-selected=true])")
    page.keyboard.press("Enter")
    in_focus(page, "#right button[role=tab][aria-selected=true]")
    assert page.inner_text("#right button[role=tab][aria-selected=true]") == text.COMPARISON


def test_whatever_has_the_focus_looks_different(page):
    step(page, "Tab", "body")  # after the last part of the page comes the browser itself
    page.evaluate(LOOKS)
    unseen, places = [], 0
    while places < 60:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        places += 1
        unseen.append(page.evaluate("window.unseen()"))
    assert places > 20
    assert [words for words in unseen if words] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_every_text_stands_out_from_what_is_behind_it(browser, app, scheme):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = opened(context, app)
    assert page.locator("#status [role=status][aria-live=polite]").count() == 1
    pale = page.evaluate(PALE)
    page.fill("#question textarea", " ")
    page.press("#question textarea", "Enter")
    status(page, text.QUESTION_EMPTY)
    assert page.locator("#status [role=alert]").count() == 1
    pale += page.evaluate(PALE)
    page.check("#compare input")
    page.fill("#question textarea", "Who is Dobby?")
    page.press("#question textarea", "Enter")
    has_questions(page, 1)
    answered(page, 1)
    for thought in page.locator(".thought-group > [role=button]").all():
        thought.click()
    nameless = page.evaluate(NAMELESS)
    for name in (text.EVIDENCE, text.COMPARISON, text.MEMORY, text.RUN):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        pale += page.evaluate(PALE)
        nameless += page.evaluate(NAMELESS)
        shot(page, f"{scheme}-{name.lower()}")
    page.click("[data-keys]")
    pale += page.evaluate(PALE)
    assert sorted(set(pale)) == []
    assert sorted(set(nameless)) == []
    context.close()
