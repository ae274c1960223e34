"""What is shown: all text is shown as it is, and never becomes markup."""

import re
from html.parser import HTMLParser
from string import punctuation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import render, text
from demo.memorising import Memorising
from demo.session import Reply
from engine.events import Answer, Clue, Mark, Passage, Source

# Every tag there may be, with the attributes it may have.
KNOWN = {
    "div": {"class", "role", "aria-live", "style"},
    "span": {"class", "title"},
    "p": {"class"},
    "article": {"class", "id"},
    "header": set(),
    "b": set(),
    "mark": set(),
    "h4": set(),
    "table": {"class"},
    "tr": set(),
    "td": set(),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</p></article><script src=//evil.example></script>",
    '<img src=x onerror="alert(1)">',
    "<svg/onload=alert(1)>",
    "<!-- a comment --><!DOCTYPE html><?php 1 ?><![CDATA[x]]>",
    '" onmouseover="alert(1)" x="',
    "' onmouseover='alert(1)' x='",
    "\"><b onclick='x'>bold</b>",
    "R&D, AT&T; &lt;b&gt; &amp; &#60; &quot;",
    "a < b > c",
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>here</a>",
    "<iframe srcdoc='<script>1</script>'>",
    "<style>*{display:none}</style>",
    "\x00<b>\x00",
    "</td></tr></table><h1>Pwned",
    "{{7*7}} ${7*7} %s {0}",
]
STATS = {"language": "en", "context_tokens": 14205, "memory_tokens": 2048, "memory_bytes": 94371840, "chunks": 63}
TIMINGS = {"clues": 1.25, "retrieval": 0.02, "first_token": 2.5, "total": 4.5}
untrusted = st.text(min_size=1, max_size=60) | st.sampled_from(HOSTILE)


class Page(HTMLParser):
    """Tags with their attributes, and the text between them, as a browser would find them."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.foreign, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is given twice"

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.foreign.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def text(self):
        return "".join(self.texts)

    @property
    def skeleton(self):
        return [(tag, sorted(attrs)) for tag, attrs in self.tags]

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def page_of(html):
    """Parse HTML and check that it is well-formed and holds nothing but known tags and attributes."""
    page = Page(html)
    assert page.foreign == []
    assert page.open == []
    for tag, attrs in page.tags:
        assert tag in KNOWN, f"<{tag}>"
        assert set(attrs) <= KNOWN[tag], f"<{tag} {attrs}>"
    return page


def passage(number=1, body="The door is yellow.", **facts):
    return Passage(number, body, facts.pop("document", "book.txt"), 0, len(body), **facts)


def assert_shown_as_text(build, *values):
    """What ``build`` makes of ``values`` has the same tags as for harmless words, and shows the values as they are."""
    page, harmless = page_of(build(*values)), page_of(build(*("word" for _ in values)))
    assert page.skeleton == harmless.skeleton
    for value in values:
        assert value in page.text
    return page


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
        pytest.param(lambda body: render.memory(STATS, "A", [Clue("span", body)]), id="clue"),
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
        return render.memory(STATS, title, [Clue("surrogate", clue) for clue in clues])

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
    assert list(cards(html)) == ["passage-1", "passage-2", "passage-3"]
    assert all(f"[{number}]" in page_of(html).text for number in (1, 2, 3))


def test_cited_passages_stand_out():
    passages = [passage(number) for number in (1, 2, 3, 12)]
    found = cards(render.evidence(passages, "Yellow [2], and old [12][2]. Not [99]."))
    assert {card for card, classes in found.items() if "unused" not in classes} == {"passage-2", "passage-12"}
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
    assert "1 clue" in shown("a hint")
    assert "question" not in shown("a hint")
    assert "2 clues" in shown("question", "a hint", "another")
    assert "question" in shown("question", "a hint", "another")
    assert "question" not in shown() + shown("a hint")


# Memory and run


def test_an_empty_memory_says_so():
    assert page_of(render.memory(None, "A", None)).text == text.MEMORY_EMPTY
    assert page_of(render.memory(None, "A", [Clue("span", "x")])).text == text.MEMORY_EMPTY


def test_the_memory_shows_its_size_and_title():
    shown = page_of(render.memory(STATS, "The Tide Mill", None)).text
    for fact in ("The Tide Mill", "14,205", "63", "2,048", "90.0 MB", "en"):
        assert fact in shown
    assert text.CLUES_NOTE not in shown


def test_clues_are_shown_with_the_warning_that_they_are_no_evidence():
    clues = [Clue(kind, f"text of a {kind}") for kind in text.CLUE_KINDS]
    shown = page_of(render.memory(STATS, "A", clues)).text
    assert text.CLUES_NOTE in shown
    for clue in clues:
        assert clue.text in shown
        assert text.CLUE_KINDS[clue.kind] in shown
    assert text.NO_CLUES not in shown


def test_a_question_without_clues_says_so():
    assert text.NO_CLUES in page_of(render.memory(STATS, "A", [])).text


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


# Answers as Markdown

LINK = re.compile(r"\[\\\[(\d+)\\\]\]\(#passage-\1\)")
SPECIAL = set("\\`*_{}[]<>#|~$")


def plain(markdown):
    """Return the text that a Markdown reader shows, by the escapes alone; fail on a special left as it is."""
    unlinked = LINK.sub(r"\\[\1\\]", markdown)
    assert not SPECIAL & set(re.sub(r"\\.", "", unlinked, flags=re.DOTALL))
    assert not re.search(r"&(?!amp;)", unlinked)
    return re.sub(rf"\\([{re.escape(punctuation)}])", r"\1", unlinked).replace("&amp;", "&")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("It is yellow [1].", r"It is yellow [\[1\]](#passage-1)."),
        ("[12][3]", r"[\[12\]](#passage-12)[\[3\]](#passage-3)"),
        ("No citation.", "No citation."),
        ("", ""),
    ],
)
def test_citations_become_links_to_their_passages(answer, shown):
    assert render.answer_markdown(answer) == shown


@pytest.mark.parametrize("answer", ["[1234]", "[a]", "[]", "[ 1 ]", "[1", "1]", "[-1]", "[1](http://evil.example)"])
def test_only_a_number_in_brackets_becomes_a_link(answer):
    shown = render.answer_markdown(answer)
    assert plain(shown) == answer
    assert "](http" not in shown


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80) | st.sampled_from(HOSTILE))
def test_an_answer_keeps_every_character_and_none_is_markup(answer):
    assert plain(render.answer_markdown(answer)) == answer


def test_sentences_that_cite_nothing_get_a_quiet_mark():
    answer = "It is yellow. [1] Goats *fly* [x]. So."
    marks = [Mark(0, 13, (Source(1, 0, 3),)), Mark(18, 34), Mark(35, 38)]
    span = f'<span class="uncited" title="{text.UNCITED}">'
    shown = render.answer_markdown(answer, marks)
    assert shown == rf"It is yellow. [\[1\]](#passage-1) {span}Goats \*fly\* \[x\].</span> {span}So.</span>"


@settings(deadline=None, max_examples=150)
@given(
    st.text(max_size=60) | st.sampled_from(HOSTILE),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=4),
)
def test_a_marked_answer_keeps_every_character_and_gains_no_other_markup(answer, spans):
    shown = render.answer_markdown(answer, [Mark(min(span), max(span)) for span in spans])
    opening = f'<span class="uncited" title="{text.UNCITED}">'
    assert shown.count(opening) == shown.count("</span>")
    bare = shown.replace(opening, "").replace("</span>", "")
    assert (
        re.sub(rf"\\([{re.escape(punctuation)}])", r"\1", LINK.sub(r"\\[\1\\]", bare)).replace("&amp;", "&") == answer
    )


def test_only_the_finished_answer_is_marked():
    final = Answer("Goats fly.", (), (), TIMINGS, marks=(Mark(0, 10),))
    (message,) = render.messages(Reply("done", "x", (), (), "Goats fly.", final, mode="qa"))
    assert "uncited" in message["content"]
    (message,) = render.messages(Reply("write", "x", (), (), "Goats fly.", mode="qa"))
    assert message["content"] == "Goats fly."


def tokens_of(markdown):
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in reader.parse(markdown):
        yield token
        yield from token.children or ()


MARKUP = [
    *(hostile for hostile in HOSTILE if "&" not in hostile and "\x00" not in hostile),
    "**bold** *thin* __bold__ _thin_ ~~gone~~ `code`",
    "# Heading",
    "> quoted",
    "[here](javascript:alert(1))",
    "![image](http://evil.example/x.png)",
    "<https://evil.example>",
    "[1]: http://evil.example",
    "| a | b |",
    "```",
    "\\[1\\] \\",
    "$x$ and \\(y\\)",
]


@pytest.mark.parametrize("answer", MARKUP)
def test_a_markdown_reader_shows_the_answer_as_it_is(answer):
    inline = {"text", "text_special", "link_open", "link_close", "inline", "paragraph_open", "paragraph_close"}
    tokens = list(tokens_of(render.answer_markdown(answer)))
    assert {token.type for token in tokens} <= inline
    assert "".join(token.content for token in tokens if token.type in ("text", "text_special")) == answer


@pytest.mark.parametrize("answer", ["&lt;b&gt;", "&amp;amp;", "&copy; 1893"])
def test_a_markdown_reader_shows_entities_as_they_are(answer):
    tokens = tokens_of(render.answer_markdown(answer))
    assert "".join(token.content for token in tokens if token.type in ("text", "text_special")) == answer


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(max_size=30) | st.sampled_from([*HOSTILE, *MARKUP, "\n", "\n\n", "[1]"]), max_size=5))
def test_no_answer_makes_html_images_or_links_elsewhere(parts):
    for token in tokens_of(render.answer_markdown("".join(parts))):
        assert token.type not in ("html_block", "html_inline", "image", "table_open", "strong_open", "em_open")
        if token.type == "link_open":
            assert token.attrGet("href").startswith("#passage-")


# Messages

CLUE = Clue("span", "The door at the foot of the tower")


def test_while_clues_are_recalled_one_thought_is_pending():
    (thought,) = render.messages(Reply("recall", "x"))
    assert thought["metadata"] == {"title": text.THOUGHT_CLUES, "status": "pending"}
    assert thought["content"] == ""


def test_while_models_load_a_thought_is_pending_too():
    (thought,) = render.messages(Reply("models", "Opening"))
    assert thought["metadata"]["status"] == "pending"


def test_while_evidence_is_found_the_clues_are_done():
    clues, evidence = render.messages(Reply("retrieve", "x", (CLUE,), clue_seconds=1.25))
    assert clues["metadata"] == {"title": text.THOUGHT_CLUES_DONE.format(count=1), "status": "done", "duration": 1.25}
    assert CLUE.text in clues["content"]
    assert text.CLUE_KINDS["span"] in clues["content"]
    assert evidence["metadata"] == {"title": text.THOUGHT_EVIDENCE, "status": "pending"}


def test_while_the_answer_is_written_both_thoughts_are_done():
    reply = Reply("write", "x", (CLUE,), (passage(1), passage(2)), clue_seconds=1.0, evidence_seconds=0.5)
    clues, evidence = render.messages(reply)
    assert clues["metadata"]["status"] == evidence["metadata"]["status"] == "done"
    assert evidence["metadata"]["duration"] == 0.5
    assert "2" in evidence["content"]


def test_the_answer_comes_last_and_without_a_frame():
    messages = render.messages(Reply("write", "x", (CLUE,), (passage(1),), "It is yellow [1]."))
    assert len(messages) == 3
    assert messages[-1] == {"role": "assistant", "content": render.answer_markdown("It is yellow [1].")}
    assert {message["role"] for message in messages} == {"assistant"}


def test_a_finished_reply_leaves_nothing_pending():
    final = Answer("Yes.", (), (), TIMINGS)
    messages = render.messages(Reply("done", "x", (), (), "Yes.", final))
    assert all(message.get("metadata", {}).get("status") != "pending" for message in messages)
    assert messages[0]["content"] == text.NO_CLUES
    assert messages[-1]["content"] == "Yes."


@pytest.mark.parametrize("hostile", [*HOSTILE, *MARKUP])
def test_clues_in_a_message_are_escaped(hostile):
    clues, *_ = render.messages(Reply("retrieve", "x", (Clue("draft", hostile),)))
    shown = clues["content"].removeprefix(f"- *{text.CLUE_KINDS['draft']}*: ")
    assert plain(shown) == hostile


def test_a_long_clue_is_shortened_in_the_chat():
    clues, *_ = render.messages(Reply("retrieve", "x", (Clue("span", "word " * 1000),)))
    assert "word" in clues["content"]
    assert len(clues["content"]) < 1000


def test_the_citations_of_earlier_answers_lead_nowhere_any_more():
    shown = render.answer_markdown("It is a hare. [4] Really. [12]")
    earlier = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": shown}], "metadata": None},
        {"role": "assistant", "content": shown},
    ]
    plain_now = render.without_links(earlier)
    assert plain_now[0] == earlier[0]
    for message in plain_now[1:]:
        content = message["content"]
        words = content if isinstance(content, str) else content[0]["text"]
        assert plain(words) == "It is a hare. [4] Really. [12]"
        assert "#passage" not in words


@pytest.mark.parametrize(("mode", "titles"), [("rag", [text.THOUGHT_EVIDENCE]), ("qa", [])])
def test_a_mode_shows_only_the_steps_it_takes(mode, titles):
    reply = Reply("write", "x", (), (passage(1),), "Yes.", mode=mode)
    assert [m["metadata"]["title"] for m in render.messages(reply) if "metadata" in m] == titles
