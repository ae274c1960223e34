"""A conversation as chat messages: every text is shown as it is, and citations lead to their passages."""

import re
from string import punctuation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import messages, text
from demo.questions import Reply
from engine.events import Answer, Clue, Mark, Source
from tests.demo.shown import HOSTILE, TIMINGS, passage

LINK = re.compile(r"\[\\\[(\d+)\\\]\]\(#passage-1-\1\)")
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
        ("It is yellow [1].", r"It is yellow [\[1\]](#passage-1-1)."),
        ("[12][3]", r"[\[12\]](#passage-1-12)[\[3\]](#passage-1-3)"),
        ("No citation.", "No citation."),
        ("", ""),
    ],
)
def test_citations_become_links_to_their_passages(answer, shown):
    assert messages.answer_markdown(answer) == shown


@pytest.mark.parametrize("answer", ["[1234]", "[a]", "[]", "[ 1 ]", "[1", "1]", "[-1]", "[1](http://evil.example)"])
def test_only_a_number_in_brackets_becomes_a_link(answer):
    shown = messages.answer_markdown(answer)
    assert plain(shown) == answer
    assert "](http" not in shown


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80) | st.sampled_from(HOSTILE))
def test_an_answer_keeps_every_character_and_none_is_markup(answer):
    assert plain(messages.answer_markdown(answer)) == answer


def test_sentences_that_cite_nothing_get_a_quiet_mark():
    answer = "It is yellow. [1] Goats *fly* [x]. So."
    marks = [Mark(0, 13, (Source(1, 0, 3),)), Mark(18, 34), Mark(35, 38)]
    span = f'<span class="uncited" title="{text.UNCITED}">'
    shown = messages.answer_markdown(answer, marks)
    assert shown == rf"It is yellow. [\[1\]](#passage-1-1) {span}Goats \*fly\* \[x\].</span> {span}So.</span>"


@settings(deadline=None, max_examples=150)
@given(
    st.text(max_size=60) | st.sampled_from(HOSTILE),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=4),
)
def test_a_marked_answer_keeps_every_character_and_gains_no_other_markup(answer, spans):
    shown = messages.answer_markdown(answer, [Mark(min(span), max(span)) for span in spans])
    opening = f'<span class="uncited" title="{text.UNCITED}">'
    assert shown.count(opening) == shown.count("</span>")
    bare = shown.replace(opening, "").replace("</span>", "")
    assert (
        re.sub(rf"\\([{re.escape(punctuation)}])", r"\1", LINK.sub(r"\\[\1\\]", bare)).replace("&amp;", "&") == answer
    )


def test_only_the_finished_answer_is_marked():
    final = Answer("Goats fly.", (), (), TIMINGS, marks=(Mark(0, 10),))
    (message,) = messages.replied(Reply("done", "x", (), (), "Goats fly.", final, mode="qa"))
    assert "uncited" in message["content"]
    (message,) = messages.replied(Reply("write", "x", (), (), "Goats fly.", mode="qa"))
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
    tokens = list(tokens_of(messages.answer_markdown(answer)))
    assert {token.type for token in tokens} <= inline
    assert "".join(token.content for token in tokens if token.type in ("text", "text_special")) == answer


def test_an_address_becomes_no_link_by_itself():
    """A browser's reader would make links of these (GFM, autolinks); a backslash that is not shown prevents it."""
    shown = messages.plain("https://evil.example/a www.evil.example WWW.evil.example me@evil.example 12:30 e.g. x")
    assert shown.split() == [
        r"https\://evil.example/a",
        r"www\.evil.example",
        r"WWW\.evil.example",
        r"me\@evil.example",
        "12:30",
        "e.g.",
        "x",
    ]


@pytest.mark.parametrize("answer", ["&lt;b&gt;", "&amp;amp;", "&copy; 1893"])
def test_a_markdown_reader_shows_entities_as_they_are(answer):
    tokens = tokens_of(messages.answer_markdown(answer))
    assert "".join(token.content for token in tokens if token.type in ("text", "text_special")) == answer


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(max_size=30) | st.sampled_from([*HOSTILE, *MARKUP, "\n", "\n\n", "[1]"]), max_size=5))
def test_no_answer_makes_html_images_or_links_elsewhere(parts):
    for token in tokens_of(messages.answer_markdown("".join(parts))):
        assert token.type not in ("html_block", "html_inline", "image", "table_open", "strong_open", "em_open")
        if token.type == "link_open":
            assert token.attrGet("href").startswith("#passage-")


# Messages

CLUE = Clue("span", "The door at the foot of the tower")


def test_while_clues_are_recalled_one_thought_is_pending():
    (thought,) = messages.replied(Reply("recall", "x"))
    assert thought["metadata"] == {"title": text.THOUGHT_CLUES, "status": "pending"}
    assert thought["content"] == ""


def test_while_models_load_a_thought_is_pending_too():
    (thought,) = messages.replied(Reply("models", "Opening"))
    assert thought["metadata"]["status"] == "pending"


def test_while_evidence_is_found_the_clues_are_done():
    clues, evidence = messages.replied(Reply("retrieve", "x", (CLUE,), clue_seconds=1.25))
    assert clues["metadata"] == {"title": text.THOUGHT_CLUES_DONE.format(count=1), "status": "done", "duration": 1.25}
    assert CLUE.text in clues["content"]
    assert text.CLUE_KINDS["span"] in clues["content"]
    assert evidence["metadata"] == {"title": text.THOUGHT_EVIDENCE, "status": "pending"}


def test_while_the_answer_is_written_both_thoughts_are_done():
    reply = Reply("write", "x", (CLUE,), (passage(1), passage(2)), clue_seconds=1.0, evidence_seconds=0.5)
    clues, evidence = messages.replied(reply)
    assert clues["metadata"]["status"] == evidence["metadata"]["status"] == "done"
    assert evidence["metadata"]["duration"] == 0.5
    assert "book.txt" in evidence["content"]


def test_the_answer_comes_last_and_without_a_frame():
    shown = messages.replied(Reply("write", "x", (CLUE,), (passage(1),), "It is yellow [1]."))
    assert len(shown) == 3
    assert shown[-1] == {"role": "assistant", "content": messages.answer_markdown("It is yellow [1].")}
    assert {message["role"] for message in shown} == {"assistant"}


def test_a_finished_reply_leaves_nothing_pending():
    final = Answer("Yes.", (), (), TIMINGS)
    shown = messages.replied(Reply("done", "x", (), (), "Yes.", final))
    assert all(message.get("metadata", {}).get("status") != "pending" for message in shown)
    assert shown[0]["content"] == text.NO_CLUES
    assert shown[-1]["content"] == "Yes."


@pytest.mark.parametrize("hostile", [*HOSTILE, *MARKUP])
def test_clues_in_a_message_are_escaped(hostile):
    clues, *_ = messages.replied(Reply("retrieve", "x", (Clue("draft", hostile),)))
    shown = clues["content"].removeprefix(f"- *{text.CLUE_KINDS['draft']}*: ")
    assert plain(shown) == hostile


def test_a_long_clue_is_shortened_in_the_chat():
    clues, *_ = messages.replied(Reply("retrieve", "x", (Clue("span", "word " * 1000),)))
    assert "word" in clues["content"]
    assert len(clues["content"]) < 1000


@pytest.mark.parametrize(("mode", "titles"), [("rag", [text.THOUGHT_EVIDENCE_DONE.format(count=1)]), ("qa", [])])
def test_a_mode_shows_only_the_steps_it_takes(mode, titles):
    reply = Reply("write", "x", (), (passage(1),), "Yes.", mode=mode)
    assert [m["metadata"]["title"] for m in messages.replied(reply) if "metadata" in m] == titles
