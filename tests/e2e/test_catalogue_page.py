"""The catalogue of ready-made corpora in a real browser: what ships, what is added, damaged, made again and removed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from demo import text
from demo.catalogue import BUNDLE, MANIFEST, SHIPPED
from engine import storage
from engine.settings import default_cache_dir
from tests.e2e.conftest import ARTIFACTS, ROOT, free_port, running
from tests.e2e.test_talking import PATIENCE, answers, ask, status, tokens

pytestmark = [pytest.mark.models, pytest.mark.browser]
AT_ONCE = 6.0  # seconds until a corpus can be asked: two are meant, the rest is for a loaded machine
SOON = 15.0  # seconds until an open page shows what happened to the catalogue
HARRY, TEA_HOUSE = "Harry Potter: a reader's companion", "\u542c\u6a79\u8336\u9986\u516d\u5341\u5e74"
NOTES = (
    "The tide mill of Quarrel Bay grinds rye twice a day, whenever the sea goes out. Its wheel has 36 paddles of elm. "
    "The miller, Oswin Thrale, keeps nine geese to warn him of the flood. The millstone came from Bramber in 1742."
)
QUESTION, ANSWERING = "Where did the millstone come from?", "The millstone came from Bramber in 1742."


def shot(page, name):
    page.screenshot(path=ARTIFACTS / f"catalogue-{name}.png")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app as it is on a computer where nothing was ever opened or added."""
    folder = tmp_path_factory.mktemp("app")
    cache = folder / "fresh"
    cache.mkdir()
    (cache / "models").symlink_to(default_cache_dir() / "models")
    with running(folder, free_port(), MEMORAG_CACHE_DIR=str(cache)) as started:
        yield replace(started, cache=cache)


@pytest.fixture
def page(browser, app):
    """A fresh visitor's page, with a mark that a reload would take away."""
    ARTIFACTS.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = arrived(context, app)
    page.evaluate("window.isTheSame = true")
    yield page
    shutil.rmtree(app.cache / "corpora" / "added", ignore_errors=True)
    assert page.evaluate("window.isTheSame"), "the page was loaded anew"
    context.close()


def arrived(context, app):
    """Open the page, and wait until the first corpus can be asked; only short answers are wanted."""
    page = context.new_page()
    page.goto(app.url)
    can_be_asked(page, HARRY)
    tokens(page, 60)
    return page


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(NOTES, "utf-8")
    return path


def manage(app, *arguments):
    """Run the command line of the catalogue beside the app; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "demo.corpora", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "MEMORAG_CACHE_DIR": str(app.cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def offered(page):
    """What the selector offers, in order."""
    page.click("#corpus input")
    page.wait_for_selector("[role=option]")
    titles = [shown.removeprefix("\u2713").strip() for shown in page.get_by_role("option").all_inner_texts()]
    page.evaluate("document.activeElement.blur()")
    page.wait_for_selector("[role=option]", state="detached")
    return titles


def offers(page, *wanted, without=()):
    """Wait until the selector offers titles, and others no more."""
    began = time.monotonic()
    while not set(wanted) <= set(titles := offered(page)) or set(without) & set(titles):
        assert time.monotonic() - began < SOON, f"it still offers {titles}"
        page.wait_for_timeout(300)


def choose(page, title):
    page.click("#corpus input")
    page.get_by_role("option", name=title, exact=True).click()


def can_be_asked(page, title, timeout=PATIENCE):
    """Wait until the status line says so of a corpus, with or without clues yet."""
    said = [text.READY, text.READY_PARTLY[("memory",)], text.GOING_ON[("memory",)]]
    begins = [words.format(title=title, tokens="TOKENS").partition("TOKENS")[0] for words in said]
    found = "all => all.some((words) => document.querySelector('#status')?.innerText.includes(words))"
    page.wait_for_function(found, arg=begins, timeout=timeout)


def says(page, selector, words):
    """Wait until a part of the page holds ``words``."""
    found = "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)"
    page.wait_for_function(found, arg=[selector, words])


def examples(page):
    return page.locator("#chat .example").all_inner_texts()


def has_examples_of(page, questions):
    """Wait until all example questions that are shown are some of these, and return them."""
    found = """questions => {
      const shown = [...document.querySelectorAll("#chat .example")].map((example) => example.innerText.trim());
      return shown.length > 0 && shown.every((question) => questions.includes(question));
    }"""
    page.wait_for_function(found, arg=list(questions))
    return examples(page)


def shipped():
    """The manifests of what ships, by title."""
    manifests = [json.loads(path.read_text("utf-8")) for path in SHIPPED.glob(f"*/{MANIFEST}")]
    return {manifest["title"]: manifest for manifest in manifests}


def test_a_fresh_start_offers_what_ships_and_each_can_be_asked_as_soon_as_it_is_chosen(page):
    manifests = shipped()
    assert len(manifests) == 4
    assert sorted(offered(page)) == sorted(manifests)
    assert page.input_value("#corpus input") == HARRY, "the first one is chosen"
    for title in [*sorted(manifests.keys() - {HARRY}), HARRY]:
        manifest = manifests[title]
        began = time.monotonic()
        choose(page, title)
        can_be_asked(page, title)
        assert time.monotonic() - began < AT_ONCE, title
        assert page.is_hidden("#rebuild")
        says(page, "#about", manifest["description"])
        kinds = {example["question"]: example["kind"] for example in manifest["questions"]}
        shown = has_examples_of(page, kinds)
        assert [kinds[question] for question in shown] == list(dict.fromkeys(kinds.values())), "one of each kind"
        assert len(shown) >= 3
        under = page.locator("#about").bounding_box()["y"]
        assert page.locator("#corpus").bounding_box()["y"] < under < page.locator("#files").bounding_box()["y"]


def test_the_chinese_story_is_asked_in_chinese_and_answered_with_its_own_passages(page):
    asked = shipped()[TEA_HOUSE]["questions"][0]
    choose(page, TEA_HOUSE)
    can_be_asked(page, TEA_HOUSE)
    ask(page, asked["question"], 1)
    page.wait_for_timeout(2500)  # the memory may be read meanwhile, and the page looks every second
    says(page, "#status", "Answered in")
    shot(page, "chinese-answered")
    found = "".join(page.locator("#evidence-panel .card p").all_inner_texts())
    assert any(quote in found for quote in asked["evidence"])
    assert answers(page)
    link = page.locator("#chat a[href^='#passage-1-']").first
    number = re.search(r"\d+", link.inner_text())[0]
    link.click()
    page.wait_for_selector(f"#passage-1-{number}.card.found mark")
    assert "tea_house" in page.inner_text(f"#passage-1-{number} .where")


def test_a_corpus_that_is_built_beside_the_app_comes_and_goes_on_a_page_that_is_open(page, app, notes):
    before = offered(page)
    said = manage(app, "build", "my-notes", notes, "--title", "Notes on a mill")
    assert "this computer alone" in said
    offers(page, *before, "Notes on a mill (private)")
    assert page.input_value("#corpus input") == HARRY, "what was chosen stays so"
    choose(page, "Notes on a mill (private)")
    can_be_asked(page, "Notes on a mill")
    has_examples_of(page, text.OWN_QUESTIONS)
    says(page, "#about", "notes.txt")
    shot(page, "added")
    ask(page, QUESTION, 1)
    assert ANSWERING in page.inner_text("#evidence-panel")
    manage(app, "remove", "my-notes")
    offers(page, *before, without=["Notes on a mill (private)"])
    page.wait_for_function("title => document.querySelector('#corpus input').value === title", arg=HARRY)
    status(page, HARRY)
    assert NOTES not in app.log.read_text()


def test_an_answer_and_its_clues_stay_in_view_when_a_corpus_is_added(page, app, notes):
    status(page, text.READY.partition("{title}")[0] + HARRY)
    ask(page, "Who is Dobby?", 1)
    page.get_by_role("tab", name=text.MEMORY).click()
    clues = page.locator("#memory-panel .clue")
    clues.first.wait_for()
    shown, answered = clues.count(), page.inner_text("#status")
    manage(app, "build", "my-notes", notes, "--title", "Notes on a mill")
    offers(page, "Notes on a mill (private)")
    page.wait_for_timeout(1500)  # for whatever else the page may do about it
    assert page.inner_text("#status") == answered
    assert clues.count() == shown


def test_a_damaged_corpus_says_so_and_one_button_makes_it_usable_again(page, app, notes, tmp_path):
    mine = ["What does the mill grind?", "Who is the miller?", QUESTION]
    (questions := tmp_path / "questions.txt").write_text("\n".join(mine), "utf-8")
    manage(app, "build", "old-notes", notes, "--title", "Old notes", "--questions", questions)
    offers(page, "Old notes (private)")
    index = app.cache / "corpora" / "added" / "old-notes" / BUNDLE / storage.INDEX
    index.write_bytes(index.read_bytes()[:-100])
    offers(page, "Old notes (private, damaged)")
    choose(page, "Old notes (private, damaged)")
    status(page, text.DAMAGED.format(title="Old notes"))
    page.wait_for_selector("#rebuild", state="visible")
    shot(page, "damaged")
    page.click("#rebuild")
    can_be_asked(page, "Old notes")
    page.wait_for_selector("#rebuild", state="hidden")
    offers(page, "Old notes (private)")
    assert page.input_value("#corpus input") == "Old notes (private)"
    assert has_examples_of(page, mine) == mine
    ask(page, QUESTION, 1)
    assert ANSWERING in page.inner_text("#evidence-panel")
    storage.verify(index.parent)


def test_ones_own_text_takes_the_name_and_questions_of_a_ready_made_corpus_for_oneself_alone(page, app, browser, notes):
    ready_made = examples(page)
    page.set_input_files("#files input[type=file]", str(notes))
    page.wait_for_selector("#name input", state="visible")
    page.click("#name input")
    page.get_by_role("option", name="Harry Potter", exact=True).click()
    page.click("#memorise:not([disabled])")
    page.wait_for_function(
        "() => document.querySelector('#corpus input').value === 'Harry Potter (private)'", timeout=PATIENCE
    )
    status(page, "Harry Potter is memorised")
    shot(page, "own-text")
    assert has_examples_of(page, ready_made) == ready_made
    says(page, "#about", "notes.txt")
    assert offered(page).count("Harry Potter (private)") == 1
    assert HARRY in offered(page), "the companion is there as well"
    ask(page, QUESTION, 1)
    assert ANSWERING in page.inner_text("#evidence-panel")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    other = arrived(context, app)
    assert sorted(offered(other)) == sorted(shipped())
    assert "notes.txt" not in other.content()
    context.close()
    page.click("#delete")
    status(page, text.DELETED)
    offers(page, HARRY, without=["Harry Potter (private)"])
