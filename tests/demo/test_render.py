"""What is shown: all text is shown as it is, and never becomes markup."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import render, text
from demo.memorising import Memorising
from demo.questions import Reply
from engine.events import Answer, Clue, Mark, Source
from tests.demo.shown import HOSTILE, STATS, TIMINGS, assert_shown_as_text, page_of, passage

untrusted = st.text(min_size=1, max_size=60) | st.sampled_from(HOSTILE)


def recalled(*clues):
    """A reply for which ``clues`` were recalled."""
    return Reply("retrieve", "x", clues)


# Text that is not ours


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(render.status, id="status"),
        pytest.param(lambda line: render.status(line, "error"), id="error"),
        pytest.param(lambda line: render.status(line, "busy", 0.5), id="busy"),
        pytest.param(render.hint, id="hint"),
        pytest.param(lambda body: render.evidence([passage(body=body)]), id="passage"),
        pytest.param(lambda name: render.evidence([passage(document=name)]), id="document"),
        pytest.param(lambda name: render.evidence([passage(section=name)]), id="section"),
        pytest.param(lambda title: render.memory(STATS, title, None), id="title"),
        pytest.param(lambda body: render.memory(STATS, "A", recalled(Clue("span", body))), id="clue"),
        pytest.param(lambda language: render.memory(STATS | {"language": language}, "A", None), id="language"),
        pytest.param(lambda name: render.run(Answer("", timings=TIMINGS), name, 0, 256), id="generator"),
        pytest.param(lambda line: render.memorising(Memorising("c", "t", "running", line)), id="memorising"),
    ],
)
def test_hostile_text_is_shown_and_never_becomes_markup(build, hostile):
    assert_shown_as_text(build, hostile)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_queries_in_a_title_attribute_stay_inside_it(hostile):
    page = page_of(render.evidence([passage(found_by=("question", hostile))]))
    titles = page.attributes("title")
    assert titles
    assert all(hostile in title for title in titles)
    assert page.skeleton == page_of(render.evidence([passage(found_by=("question", "word"))])).skeleton


@settings(deadline=None, max_examples=150)
@given(untrusted, untrusted, untrusted, untrusted)
def test_evidence_shows_any_text_as_it_is(body, document, section, clue):
    def build(body, document, section):
        one = passage(1, body, document=document, section=section, page=3, found_by=("question", clue))
        return render.evidence([one, passage(2)], "Yes [1].")

    page = assert_shown_as_text(build, body, document, section)
    if clue != "question":
        assert any(clue in title for title in page.attributes("title"))


@settings(deadline=None, max_examples=100)
@given(untrusted, st.lists(untrusted, max_size=4))
def test_memory_shows_any_text_as_it_is(title, clues):
    def build(title, *clues):
        return render.memory(STATS, title, recalled(*(Clue("surrogate", clue) for clue in clues)))

    assert_shown_as_text(build, title, *clues)


@settings(deadline=None, max_examples=100)
@given(untrusted, st.sampled_from(["idle", "busy", "error"]), st.none() | st.floats(-1e9, 1e9))
def test_the_status_line_shows_any_text_as_it_is(line, kind, share):
    assert_shown_as_text(lambda line: render.status(line, kind, share), line)


# The status line


def test_an_error_is_announced_at_once_and_other_news_politely():
    assert page_of(render.status("No.", "error")).attributes("role") == ["alert"]
    for kind in ("idle", "busy"):
        assert page_of(render.status("Yes.", kind)).attributes("role") == ["status"]


@pytest.mark.parametrize(("share", "width"), [(0, "0%"), (0.256, "26%"), (1, "100%"), (7, "100%"), (-1, "0%")])
def test_a_share_is_a_bar_between_nothing_and_all(share, width):
    assert page_of(render.status("x", "busy", share)).attributes("style") == [f"width:{width}"]


def test_without_a_share_there_is_no_bar():
    assert page_of(render.status("x", "busy")).attributes("style") == []


@pytest.mark.parametrize(
    ("state", "kind", "bars"),
    [("waiting", "busy", 1), ("running", "busy", 1), ("done", "idle", 0), ("stopped", "idle", 0)],
)
def test_memorising_shows_a_bar_only_while_it_goes_on(state, kind, bars):
    page = page_of(render.memorising(Memorising("c", "t", state, "A line.", share=0.5)))
    assert page.tags[0][1]["class"] == kind
    assert len(page.attributes("style")) == bars
    assert "A line." in page.text


# Evidence


def test_no_evidence_yet_and_none_used_are_told_apart():
    assert page_of(render.evidence(None)).text == text.EVIDENCE_EMPTY
    assert page_of(render.evidence([])).text == text.NO_EVIDENCE
    assert page_of(render.evidence(())).text == text.NO_EVIDENCE


def cards(html):
    return {attrs["id"]: attrs["class"].split() for tag, attrs in page_of(html).tags if tag == "article"}


def test_every_passage_is_a_card_that_citations_can_point_to():
    html = render.evidence([passage(number) for number in (1, 2, 3)])
    assert list(cards(html)) == ["passage-1-1", "passage-1-2", "passage-1-3"]
    assert all(f"[{number}]" in page_of(html).text for number in (1, 2, 3))


def test_cited_passages_stand_out():
    passages = [passage(number) for number in (1, 2, 3, 12)]
    found = cards(render.evidence(passages, "Yellow [2], and old [12][2]. Not [99]."))
    assert {card for card, classes in found.items() if "unused" not in classes} == {"passage-1-2", "passage-1-12"}
    assert all("card" in classes for classes in found.values())


@pytest.mark.parametrize("answer", ["", "Nothing is cited.", "[99]", "[x]", "2", "[[", "\\[ 1 ]"])
def test_without_a_true_citation_no_passage_stands_out(answer):
    found = cards(render.evidence([passage(1), passage(2)], answer))
    assert all("unused" in classes for classes in found.values())


def highlighted(html):
    return re.findall(r"<mark>(.*?)</mark>", html, flags=re.DOTALL)


def test_the_sentence_that_supports_the_answer_is_highlighted_in_its_passage():
    body = "One <b>is</b> here. The door is yellow. Last."
    marks = [Mark(0, 5, (Source(2, 19, 38),)), Mark(6, 9, (Source(2, 19, 38), Source(1, 0, 3)))]
    html = render.evidence([passage(1, body), passage(2, body)], "Yellow. [2] So. [2][1]", marks)
    assert highlighted(html) == ["One", body[19:38]]
    assert page_of(html).text.count(body) == 2


def test_no_place_and_a_place_beyond_the_passage_highlight_nothing_wrong():
    marks = [Mark(0, 5, (Source(1, 0, 0), Source(1, 9, 99)))]
    html = render.evidence([passage(1, "The door.")], "Yes [1].", marks)
    assert highlighted(html) == []
    assert "The door." in page_of(html).text


@settings(deadline=None, max_examples=150)
@given(untrusted, st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=5))
def test_any_highlighting_shows_every_character_once(body, spans):
    marks = [Mark(0, 1, tuple(Source(1, min(span), max(span)) for span in spans))]
    page = page_of(render.evidence([passage(1, body)], "Yes [1].", marks))
    assert page.texts[-1] in body
    assert page.text.endswith(body)


def test_a_note_explains_the_mark_of_uncited_sentences_where_there_are_any():
    cites, cites_not = Mark(0, 4, (Source(1, 0, 3),)), Mark(5, 9)
    assert text.UNCITED_NOTE in page_of(render.evidence([passage(1)], "", [cites, cites_not])).text
    assert text.UNCITED_NOTE not in page_of(render.evidence([passage(1)], "", [cites])).text
    assert text.UNCITED_NOTE not in page_of(render.evidence([passage(1)])).text


def test_the_page_is_that_of_the_supporting_sentence():
    def where(*pages):
        marks = [Mark(0, 4, tuple(Source(1, 0, 3, page) for page in pages))]
        return page_of(render.evidence([passage(1, page=3)], "", marks)).text

    assert "page 3" in where()
    assert "page 3" in where(None)
    assert "page 4" in where(4)
    assert "page 3" not in where(4)
    assert "pages 3, 4" in where(4, 3, 4)


def test_a_passage_says_where_it_stands():
    assert "page 3" in page_of(render.evidence([passage(page=3)])).text
    assert "The Lens" in page_of(render.evidence([passage(section="The Lens")])).text
    both = page_of(render.evidence([passage(page=3, section="The Lens", document="a.pdf")])).text
    assert both.index("a.pdf") < both.index("page 3") < both.index("The Lens")
    assert "page" not in page_of(render.evidence([passage()])).text


def test_a_passage_says_what_found_it():
    def shown(*found_by):
        return page_of(render.evidence([passage(found_by=found_by)])).text

    assert "question" in shown("question")
    assert "clue" not in shown("question")
    assert text.BY_CLUES.format(count=1) in shown("a hint")
    assert "question" not in shown("a hint")
    assert text.BY_CLUES.format(count=2) in shown("question", "a hint", "another")
    assert "question" in shown("question", "a hint", "another")
    assert "question" not in shown() + shown("a hint")


# Memory and run


def test_an_empty_memory_says_so():
    assert page_of(render.memory(None, "A", None)).text == text.MEMORY_EMPTY
    assert page_of(render.memory(None, "A", recalled(Clue("span", "x")))).text == text.MEMORY_EMPTY


def test_the_memory_shows_its_size_and_title():
    shown = page_of(render.memory(STATS, "The Tide Mill", None)).text
    for fact in ("The Tide Mill", "14,205", "63", "2,048", "90.0 MB", "en"):
        assert fact in shown
    assert text.CLUES_NOTE not in shown


def test_clues_are_shown_with_the_warning_that_they_are_no_evidence():
    clues = [Clue(kind, f"text of a {kind}") for kind in text.CLUE_KINDS]
    shown = page_of(render.memory(STATS, "A", recalled(*clues))).text
    assert text.CLUES_NOTE in shown
    for clue in clues:
        assert clue.text in shown
        assert text.CLUE_KINDS[clue.kind] in shown
    assert text.NO_CLUES not in shown


def test_a_question_without_clues_says_so():
    assert text.NO_CLUES in page_of(render.memory(STATS, "A", recalled())).text


def test_a_clue_tells_which_passages_it_found():
    clues = Clue("span", "a yellow door"), Clue("surrogate", "Who painted it?")
    found = passage(1), passage(4, found_by=("question", "a yellow door")), passage(7, found_by=("a yellow door",))
    page = page_of(render.memory(STATS, "A", Reply("write", "x", clues, found), number=3))
    assert page.attributes("href") == ["#passage-3-4", "#passage-3-7"]
    assert page.text.count(text.FOUND_NOTHING) == 1


def test_the_memorys_draft_stands_beside_the_answer():
    clues = Clue("span", "a hint"), Clue("draft", "It was blue.")
    shown = page_of(render.memory(STATS, "A", Reply("write", "x", clues, (), "It was yellow."))).text
    assert shown.index(text.DRAFT) < shown.rindex("It was blue.") < shown.index(text.FINAL) < shown.index("It was yell")
    assert text.DRAFT not in page_of(render.memory(STATS, "A", Reply("write", "x", clues[:1], (), "Yes."))).text
    assert text.DRAFT not in page_of(render.memory(STATS, "A", Reply("retrieve", "x", clues))).text


def test_a_passage_shows_the_picture_of_its_page_where_there_is_one():
    def build(document):
        return render.evidence([passage(document=document, page=3)], picture=lambda *_: "memorag/page/c/1/3?around=0-9")

    page = page_of(build("a.pdf"))
    assert page.attributes("src") == ["memorag/page/c/1/3?around=0-9"]
    assert "3" in page.attributes("alt")[0]
    assert "a.pdf" in page.attributes("alt")[0]
    for hostile in HOSTILE:
        assert page_of(build(hostile)).skeleton == page.skeleton
    assert not page_of(render.evidence([passage(page=3)], picture=lambda *_: None)).attributes("src")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_question_above_its_evidence_is_text(hostile):
    assert_shown_as_text(lambda question: render.about(question, ""), hostile)


def test_before_an_answer_there_are_no_timings():
    assert page_of(render.run(None, "", 0, 0)).text == text.RUN_EMPTY


def test_timings_of_an_answer_are_shown():
    final = Answer("Yes.", (passage(),), (), TIMINGS, tokens=20)
    shown = page_of(render.run(final, "Local model", 0.7, 256)).text
    for fact in ("Local model", "0.7", "1.25 s", "0.02 s", "2.50 s", "4.50 s", "20 tokens", "10 per second"):
        assert fact in shown
    assert text.CUT.format(tokens=256) not in shown


def test_an_answer_that_was_cut_says_at_which_limit():
    final = Answer("Yes", (), (), TIMINGS, tokens=256, truncated=True)
    assert text.CUT.format(tokens=256) in page_of(render.run(final, "x", 0, 256)).text


def test_an_answer_that_came_at_once_shows_no_absurd_speed():
    final = Answer("Yes", (), (), TIMINGS | {"first_token": 1.0, "total": 1.0}, tokens=12)
    (rate,) = re.findall(r"(\d+) per second", page_of(render.run(final, "x", 0, 256)).text) or ["0"]
    assert int(rate) < 100_000
