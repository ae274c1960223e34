"""The page in a Chinese browser: every word, what goes wrong, a Chinese text, a phone; no Chinese in other browsers."""

import re

import pytest

from demo import text
from tests.e2e.conftest import ARTIFACTS
from tests.e2e.test_talking import PATIENCE, answered, opened, questions, shot, status

pytestmark = [pytest.mark.models, pytest.mark.browser]
HAN = re.compile("[\u4e00-\u9fff]")
# What stays as it is in Chinese: names, formats, units, and the questions offered for an English corpus.
SAME = re.compile(
    r"MemoRAG|Harry Potter: a reader's companion|SmolLM2-135M-Instruct|RAG|API|MCP|TXT|PDF|DOCX|MB|token|Shift|Enter|"
    r"Markdown|JSON|Esc|OpenAI|Azure|DeepSeek|Hugging Face|lighthouse\.(?:txt|pdf)"
)
STORY = """\u706f\u5854\u7684\u6545\u4e8b

\u706f\u5854\u5efa\u4e8e\u4e00\u516b\u516d\u4e03\u5e74\uff0c\u5854\u9ad8\u4e09\u5341\u4e94\u7c73\u3002\u7b2c\u4e00\u4efb\u5b88\u5854\u4eba\u662f\u6797\u79cb\u751f\uff0c\u4ed6\u5728\u5c9b\u4e0a\u4f4f\u4e86\u4e09\u5341\u4e00\u5e74\u3002

\u4e00\u4e5d\u4e03\u516b\u5e74\uff0c\u6559\u5e08\u9648\u660e\u8fdc\u5728\u715f\u4ed3\u7684\u5730\u677f\u4e0b\u53d1\u73b0\u4e86\u56db\u5341\u516d\u672c\u822a\u6d77\u65e5\u5fd7\uff0c\u6bcf\u4e00\u672c\u90fd\u7528\u7d2b\u8272\u58a8\u6c34\u5199\u6210\u3002

\u5982\u4eca\u65e5\u5fd7\u4fdd\u5b58\u5728\u9547\u4e0a\u7684\u56fe\u4e66\u9986\u91cc\uff0c\u6bcf\u5e74\u516b\u6708\u7684\u7b2c\u4e00\u4e2a\u661f\u671f\u65e5\uff0c\u6e38\u5ba2\u53ef\u4ee5\u767b\u4e0a\u706f\u5854\u3002
"""
QUESTION = "\u8c01\u53d1\u73b0\u4e86\u822a\u6d77\u65e5\u5fd7\uff1f"  # Who found the logbooks?
# Every word that can be seen or is read aloud, outside of scripts.
WORDS = """() => {
  const seen = (element) => element.getClientRects().length > 0;
  const names = ["aria-label", "placeholder", "title", "alt"];
  const said = [...document.querySelectorAll("body *")].filter(seen).flatMap((element) => [
    ...names.map((name) => element.getAttribute(name)),
    ...(element.matches("input:not([type=range], [type=number], [type=checkbox])") ? [element.value] : []),
    ...[...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.textContent),
  ]);
  return [...new Set(said.filter(Boolean).map((words) => words.trim()).filter(Boolean))];
}"""


def chinese(name):
    """A sentence of the page in Chinese; of "TABLE.key", the one in a table."""
    return text.sentences("zh")[name]


def english_in(page):
    """What is still English on the page; an English corpus is asked about in English."""
    questions = page.locator("#chat .example").all_inner_texts()
    said = [words for words in page.evaluate(WORDS) if not any(question in words for question in questions)]
    return [words for words in said if re.search(r"[A-Za-z]{3,}", SAME.sub("", words)) and not HAN.search(words)]


@pytest.fixture
def page(browser, app):
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    yield opened(context, app, 40)
    context.close()


def test_the_whole_page_is_chinese_and_names_no_key_of_a_sentence(page):
    status(page, "14,982")
    page.wait_for_function("words => document.body.innerText.includes(words)", arg=chinese("MEMORISE"))
    shot(page, "chinese-ready")
    names = ["CORPUS", "FILES", "DELETE", "GENERATOR", "MODE", "MODE_INFOS.memorag", "COMPARE", "TEMPERATURE", "ASK"]
    for name in [*names, "EVIDENCE", "COMPARISON", "MEMORY", "RUN", "EVIDENCE_EMPTY", "TAGLINE", "SETTINGS"]:
        assert chinese(name) in page.inner_text("body"), name
    assert page.get_attribute("#question textarea", "placeholder") == chinese("QUESTION_PLACEHOLDER")
    assert page.get_attribute("html", "lang").startswith("zh")
    assert english_in(page) == []
    page.click("[data-keys]")
    assert chinese("KEYS_TITLE") in page.inner_text("#keys dialog")
    page.keyboard.press("Escape")
    page.click("#generator input")
    for generator in ("openai", "azure", "compatible"):
        page.get_by_role("option", name=chinese(f"NAMES.{generator}")).first.wait_for()
    page.get_by_role("option", name=chinese("NAMES.compatible")).click()
    page.wait_for_selector("#test-connection", state="visible")
    shot(page, "chinese-generator")
    assert not [said for said in english_in(page) if not said.startswith("http")]
    page.click("#test-connection")
    page.wait_for_function("() => document.querySelector('#connection .error')?.innerText")
    assert HAN.search(page.inner_text("#connection"))
    assert "i18n" not in " ".join(page.evaluate(WORDS))


def test_what_goes_wrong_is_said_in_chinese(page, tmp_path):
    page.press("#question textarea", "Enter")
    status(page, chinese("QUESTION_EMPTY"))
    fake = tmp_path / "fake.pdf"
    fake.write_bytes(b"This is no PDF.")
    page.set_input_files("#files input[type=file]", str(fake))
    page.click("#memorise:not([disabled])")
    status(page, "fake.pdf")
    page.wait_for_selector("#status .error", timeout=PATIENCE)
    shot(page, "chinese-refused")
    said = page.inner_text("#status")
    assert HAN.search(said)
    assert not re.search(r"[A-Za-z]{3,}", SAME.sub("", said.replace("fake.pdf", "").replace(".pdf", ""))), said


def test_a_file_of_a_wrong_type_is_refused_in_chinese(page, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b")
    page.set_input_files("#files input[type=file]", str(table))
    page.wait_for_function(
        "() => document.querySelector('[data-testid=toast-body]') || document.querySelector('#status .error')"
    )
    shot(page, "chinese-wrong-type")
    toasts = page.locator("[data-testid=toast-body]").all_inner_texts()
    assert [said for said in toasts if not HAN.search(said)] == []


def test_a_chinese_text_is_memorised_and_asked_in_chinese(page, tmp_path):
    story = tmp_path / "story.txt"
    story.write_text(STORY, "utf-8")
    page.set_input_files("#files input[type=file]", str(story))
    page.click("#memorise:not([disabled])")
    page.wait_for_function(
        "() => document.querySelector('#corpus input').value === 'story.txt（私有）'", timeout=PATIENCE
    )
    page.wait_for_function("() => document.querySelector('#progress').innerText.trim() === ''", timeout=PATIENCE)
    examples = page.locator("#chat .example").all_inner_texts()
    assert examples
    assert all(HAN.search(words) for words in examples)
    page.fill("#question textarea", QUESTION)
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#stop", state="visible")
    page.wait_for_selector("#ask", state="visible", timeout=PATIENCE)
    page.wait_for_selector("#exporting a")
    shot(page, "chinese-answered")
    assert questions(page) == [QUESTION]
    assert "\u9648\u660e\u8fdc" in page.inner_text("#evidence-panel"), "the passage that answers is found"
    assert page.locator(".thought-group").count() >= 2
    for name in ("EVIDENCE", "COMPARISON", "MEMORY", "RUN"):
        page.get_by_role("tab", name=chinese(name)).click()
        page.wait_for_timeout(300)
        shot(page, f"chinese-{name.lower()}")
        assert "i18n" not in " ".join(page.evaluate(WORDS))
    assert [said for said in english_in(page) if said != "story.txt"] == []
    page.click("#delete")
    status(page, chinese("DELETED"))


def test_a_phone_in_chinese_is_not_wider_than_its_screen(browser, app):
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    page = opened(context, app)
    page.fill("#question textarea", "Who is Dobby?")
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#exporting a", timeout=PATIENCE)
    page.wait_for_selector("#ask", state="visible", timeout=PATIENCE)
    page.screenshot(path=ARTIFACTS / "talk-chinese-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_other_browsers_see_no_chinese(browser, app, locale):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale=locale)
    page = opened(context, app)
    page.fill("#question textarea", "Who is Dobby?")
    page.press("#question textarea", "Enter")
    answered(page, 1)
    words = page.evaluate(WORDS)
    assert [said for said in words if HAN.search(said) or "i18n" in said] == []
    assert text.MEMORISE in words
    context.close()


@pytest.mark.parametrize("locale", ["zh-TW", "zh-Hans-CN", "zh"])
def test_every_chinese_browser_sees_chinese(browser, app, locale):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale=locale)
    page = opened(context, app)
    page.wait_for_function("words => document.body.innerText.includes(words)", arg=chinese("MEMORISE"))
    status(page, "14,982")
    assert chinese("CORPUS_INFO") in page.inner_text("#corpus")
    assert "i18n" not in " ".join(page.evaluate(WORDS))
    context.close()
