"""The selector and what is below it, without a browser: choosing a corpus, what comes and goes, making one again."""

from __future__ import annotations

import pytest

from demo import folders, panels, text, upkeep
from demo.api import visitor_of
from demo.choosing import Choosing
from demo.identity import new_token
from engine import storage
from tests.demo import serving
from tests.demo.own_corpora import OTHER, OWN
from tests.demo.serving import cut, of_another_format

running, built = serving.running, serving.built
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def choosing(running, visitors):
    """Handlers over the shared service."""
    yield Choosing(running, visitors)
    for visitor in visitors._known.values():
        running.delete(visitor.name)


@pytest.fixture
def me(request_of):
    return request_of("page", new_token())


@pytest.fixture
def arrived(choosing, visitors, me):
    """A page that shows the first corpus."""
    visitor = visitor_of(visitors, me)
    choosing.selector(visitor, "tide-mill")
    choosing.choose("tide-mill", me)
    return visitor


def asked(shown):
    return [example["text"] for example in shown["chat"]["examples"]]


def offered(shown):
    return {corpus: label for label, corpus in shown["corpus"].choices}


# Choosing


@pytest.mark.models
def test_a_chosen_corpus_is_shown_with_its_questions_and_what_it_is(choosing, me):
    shown = choosing.choose("tide-mill", me)
    assert asked(shown) == ["What does the mill grind?"]
    assert "The tide-mill" in shown["status"]
    assert 'class="idle"' in shown["status"]
    assert "A small text. English, licence: CC0-1.0." in shown["about"]
    assert "The tide-mill" in shown["memory"]
    assert not shown["resume"].visible
    assert not shown["rebuild"].visible


@pytest.mark.models
def test_a_corpus_that_was_built_before_is_open_when_it_is_chosen(choosing, built, me, visitors):
    built()
    assert not choosing.service.is_open("dragon")
    shown = choosing.choose("dragon", me)
    assert 'class="idle"' in shown["status"]
    assert not visitor_of(visitors, me).was_busy
    assert choosing.service.is_open("dragon")


@pytest.mark.parametrize("corpus", ["", "war-and-peace", "mine-" + "x" * 22, "../tide-mill", HOSTILE])
def test_what_is_no_corpus_is_not_shown(idle_service, visitors, me, corpus):
    shown = Choosing(idle_service, visitors).choose(corpus, me)
    assert text.CHOOSE in shown["status"]
    assert shown["about"] == ""
    assert HOSTILE not in str(shown)
    assert not shown["rebuild"].visible


def test_before_the_models_are_there_it_says_so_and_is_looked_at_again(idle_service, visitors, me):
    shown = Choosing(idle_service, visitors).choose("tide-mill", me)
    assert text.LOADING in shown["status"]
    assert shown["timer"].active
    assert visitor_of(visitors, me).was_busy
    assert not shown["rebuild"].visible
    assert asked(shown) == ["What does the mill grind?"]


@pytest.mark.models
def test_another_visitors_text_is_no_corpus(choosing, me, memorised):
    corpus = memorised(choosing.service, "somebody", ("secret-name.txt", OWN))
    try:
        shown = choosing.choose(corpus, me)
        assert text.CHOOSE in shown["status"]
        assert "secret-name" not in str(shown)
        assert asked(shown) == list(text.OWN_QUESTIONS)
    finally:
        choosing.service.delete("somebody")


# What is said below the selector


@pytest.mark.models
def test_what_an_entry_says_of_itself_is_text_and_no_markup(choosing, built, me):
    built(description=f"{HOSTILE} {{title}}", licence=HOSTILE, title=f"Of {HOSTILE}")
    shown = choosing.choose("dragon", me)
    for part in ("about", "status", "memory"):
        assert HOSTILE not in shown[part]
        assert "&lt;img" in shown[part]
    assert "{title}" in shown["about"]


@pytest.mark.models
def test_ones_own_text_tells_its_files_to_its_owner_alone(choosing, me, visitors, memorised):
    owner = visitor_of(visitors, me).name
    corpus = memorised(choosing.service, owner, (f"{HOSTILE}.txt", OWN))
    said = choosing.choose(corpus, me)["about"]
    assert said.startswith('<p class="hint">Your own text, for you alone.')
    assert HOSTILE not in said
    assert "&lt;img" in said
    assert panels.about(choosing.service, "somebody", corpus) == ""


@pytest.mark.models
def test_what_is_said_follows_the_browsers_language(choosing, me):
    with text.speaking("zh"):
        shown = choosing.choose("tide-mill", me)
    assert "许可：CC0-1.0。" in shown["about"]
    assert "licence" not in shown["about"]


# What comes and goes


@pytest.mark.models
def test_where_nothing_changed_nothing_is_updated(choosing, arrived, me):
    assert choosing.look_around("tide-mill", me) == {}


@pytest.mark.models
def test_what_came_is_offered_and_what_is_shown_stays(choosing, arrived, built, me):
    built()
    shown = choosing.look_around("tide-mill", me)
    assert offered(shown) == {"dragon": "The dragon (private)", "tide-mill": "The tide-mill"}
    assert shown["corpus"].value == "tide-mill"
    assert ("The dragon", "dragon") in shown["name"].choices
    assert "status" not in shown, "nothing is said of a corpus that did not change"
    assert choosing.look_around("tide-mill", me) == {}


@pytest.mark.models
def test_while_an_answer_is_written_nothing_is_changed(choosing, arrived, built, me):
    arrived.answers = 1
    built()
    assert choosing.look_around("tide-mill", me) == {}
    arrived.answers = 0
    assert "dragon" in offered(choosing.look_around("tide-mill", me))


@pytest.mark.models
def test_whoever_looks_at_what_was_removed_is_shown_the_first_that_is_there(choosing, built, me, arrived):
    built()
    choosing.look_around("tide-mill", me)
    choosing.choose("dragon", me)
    upkeep.remove("dragon", choosing.service.ready_made.places)
    shown = choosing.look_around("dragon", me)
    assert offered(shown) == {"tide-mill": "The tide-mill"}
    assert shown["corpus"].value == "tide-mill"
    assert asked(shown) == ["What does the mill grind?"]
    assert "The tide-mill" in shown["status"]
    assert "A small text" in shown["about"]


@pytest.mark.models
def test_whoever_looks_at_what_was_changed_is_shown_what_it_says_now(choosing, built, me, arrived):
    built(description="Of a dragon.", questions=({"question": "Who is it?"},))
    choosing.look_around("tide-mill", me)
    choosing.choose("dragon", me)
    built(words=OTHER, description="Of a clock.", questions=({"question": "How many hours?"},))
    shown = choosing.look_around("dragon", me)
    assert "Of a clock." in shown["about"]
    assert asked(shown) == ["How many hours?"]
    assert choosing.look_around("dragon", me) == {}


@pytest.mark.models
def test_another_page_of_another_visitor_learns_of_it_too(choosing, arrived, built, me, request_of, visitors):
    other = request_of("page", new_token())
    choosing.selector(visitor_of(visitors, other), "tide-mill")
    built()
    for page in (me, other):
        assert "dragon" in offered(choosing.look_around("tide-mill", page))


def test_where_nothing_is_left_nothing_is_chosen(idle_service, visitors, me):
    choosing = Choosing(idle_service, visitors)
    choosing.selector(visitor_of(visitors, me), "tide-mill")
    folders.delete(idle_service.entries["tide-mill"].folder)
    shown = choosing.look_around("tide-mill", me)
    assert (offered(shown), shown["corpus"].value) == ({}, None)
    assert text.CHOOSE in shown["status"]
    assert asked(shown) == []


# What has to be made again


@pytest.mark.models
@pytest.mark.parametrize(
    ("spoil", "english", "chinese"),
    [
        (cut, "The {slug} (private, damaged)", "The {slug}（私有，已损坏）"),
        (of_another_format, "The {slug} (private, out of date)", "The {slug}（私有，已过时）"),
    ],
    ids=["damaged", "stale"],
)
def test_what_has_to_be_made_again_is_marked_and_has_a_button(choosing, built, me, spoil, english, chinese, visitors):
    slug = spoil.__name__.replace("_", "-")
    spoil(built(slug))
    for code, label in (("en", english), ("zh", chinese)):
        with text.speaking(code):
            known = choosing.service.labels(visitor_of(visitors, me).name)
            assert known == {slug: label.format(slug=slug), "tide-mill": "The tide-mill"}
            shown = choosing.choose(slug, me)
            said = text.DAMAGED if spoil is cut else text.STALE
            assert said.format(title=f"The {slug}") in shown["status"]
        assert 'class="error"' in shown["status"]
        assert shown["rebuild"].visible
    assert not choosing.choose("tide-mill", me)["rebuild"].visible


@pytest.mark.models
def test_a_press_on_the_button_makes_it_usable(choosing, built, me, arrived):
    (built("cracked", is_shared=True).bundle / storage.MEMORY).unlink()
    assert offered(choosing.look_around("tide-mill", me))["cracked"] == "The cracked (damaged)"
    assert choosing.choose("cracked", me)["rebuild"].visible
    shown = choosing.rebuild("cracked", me)
    assert not shown["rebuild"].visible
    assert shown["timer"].active
    job = choosing.service.opening("cracked")
    assert job is None or job.wait(60)
    shown = choosing.look_around("cracked", me)
    assert offered(shown)["cracked"] == "The cracked"
    shown = choosing.choose("cracked", me)
    assert 'class="idle"' in shown["status"]
    assert not shown["rebuild"].visible
    assert text.NO_REBUILD in choosing.rebuild("cracked", me)["status"]


@pytest.mark.models
def test_damage_since_the_last_look_has_its_button_at_once(choosing, built, me, arrived):
    entry = built("fallen", is_shared=True)
    assert offered(choosing.look_around("tide-mill", me))["fallen"] == "The fallen"
    (entry.bundle / storage.MEMORY).unlink()
    shown = choosing.choose("fallen", me)
    assert text.DAMAGED.format(title="The fallen") in shown["status"]
    assert shown["rebuild"].visible


@pytest.mark.models
def test_a_press_that_cannot_help_says_why_and_can_be_repeated(choosing, built, me, tmp_path):
    entry = built("lost")
    (entry.bundle / storage.CHUNKS).unlink()
    (tmp_path / "lost.txt").unlink()
    choosing.choose("lost", me)
    choosing.rebuild("lost", me)
    job = choosing.service.opening("lost")
    assert job is None or job.wait(30)
    shown = choosing.rebuild("lost", me)
    assert "python -m demo.corpora build lost FILES" in shown["status"]
    assert 'class="error"' in shown["status"]
    assert shown["rebuild"].visible


@pytest.mark.models
@pytest.mark.parametrize("corpus", ["tide-mill", "", "war-and-peace", "mine-" + "x" * 22])
def test_what_needs_no_rebuilding_is_refused(choosing, me, corpus):
    shown = choosing.rebuild(corpus, me)
    assert text.NO_REBUILD in shown["status"]
    assert 'class="error"' in shown["status"]
    assert choosing.service.opening(corpus) is None
