"""Conversations on disk, opened and changed from the page, and as files: nothing is lost, and nobody else's is seen."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo import conversations as conversations_module
from demo import exports, feedback, messages, text
from demo.chats import Chats
from demo.conversations import MOST_CONVERSATIONS, MOST_EXCHANGES, Conversation, Exchange
from demo.identity import COOKIE, new_token, owner_of
from demo.page import Again
from demo.questions import Question, Reply
from engine.events import Answer, Clue, Mark, Passage, Source, Turn

PASSAGES = (Passage(1, "Oswin Thrale keeps nine geese.", "mill.txt", 0, 30, page=2, found_by=("question", "geese")),)
TIMINGS = {"clues": 0.5, "retrieval": 0.1, "first_token": 0.7, "total": 1.0}
TOKEN = new_token()
NOW = time.time()
ME = owner_of(TOKEN, None)


def keep(conversations, conversation):
    return conversations.change(ME, conversation.id, lambda _: conversation, is_new=True)


def exchange(query="Who keeps geese?", answer="Oswin Thrale. [1]", **changes):
    marks = (Mark(0, 13, (Source(1, 0, 12, 2),)),)
    clues = (Clue("span", "geese"), Clue("draft", "A miller."))
    final = Answer(answer, PASSAGES, clues, TIMINGS, 5, False, marks)
    reply = Reply("done", "Answered", clues, PASSAGES, answer, final, offered=("And the wheel?",))
    facts = {"question": Question(query, "tide-mill"), "reply": reply, "end": "done", "at": NOW} | changes
    return Exchange(**facts)


@pytest.fixture
def conversations(idle_service):
    return idle_service.conversations


@pytest.fixture
def kept(conversations):
    """Keep a conversation of two exchanges."""
    conversation = conversations.begin().put(0, exchange()).put(1, exchange("And why?", "To warn him. [1]", at=NOW + 1))
    return keep(conversations, conversation)


@pytest.fixture
def chats(idle_service, visitors):
    return Chats(idle_service, visitors)


@pytest.fixture
def me(request_of):
    return request_of("page", TOKEN)


# On disk


def test_a_conversation_is_read_back_as_it_was(conversations, kept):
    assert conversations.all(ME) == [kept]
    assert conversations.get(ME, kept.id) == kept


def test_only_its_owner_may_read_the_file(kept, idle_service):
    (path,) = idle_service.shelf.path.glob("*/chats/*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_nobody_else_has_it(conversations, kept):
    other = owner_of(new_token(), None)
    assert conversations.all(other) == []
    assert conversations.get(other, kept.id) is None
    conversations.remove(other, kept.id)
    assert conversations.get(ME, kept.id) == kept


@pytest.mark.parametrize("id", ["", "../../facts", "x" * 22, "\x00", "..", "a/b", "%2e%2e"])
def test_an_id_that_is_none_finds_nothing(conversations, kept, id):
    assert conversations.get(ME, id) is None
    conversations.remove(ME, id)
    assert conversations.all(ME) == [kept]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"id": "x"}', b"\xff"])
def test_a_damaged_file_is_left_out_and_swept(conversations, kept, idle_service, data):
    (path,) = idle_service.shelf.path.glob("*/chats/*.json")
    damaged = path.with_name("A" * 22 + ".json")
    damaged.write_bytes(data)
    assert conversations.all(ME) == [kept]
    conversations.sweep(0.0)
    assert not damaged.exists()
    assert conversations.all(ME) == [kept]


def test_conversations_go_with_everything_else_of_their_visitor_and_when_their_time_is_over(
    conversations, kept, idle_service
):
    idle_service.sweep()
    assert conversations.all(ME) == [kept]
    conversations.sweep(NOW + 0.5)
    assert [known.exchanges for known in conversations.all(ME)] == [kept.exchanges[1:]], "one by one"
    conversations.sweep(NOW + 2)
    assert conversations.all(ME) == []
    keep(conversations, kept)
    assert idle_service.delete(ME) == 1
    assert conversations.all(ME) == []
    assert conversations.change(ME, kept.id, lambda known: known) is None, "what was deleted meanwhile stays so"
    assert conversations.all(ME) == []


def test_the_oldest_go_when_there_are_too_many(conversations):
    first = conversations.begin().put(0, exchange("first"))
    keep(conversations, first)
    for number in range(MOST_CONVERSATIONS):
        keep(conversations, conversations.begin().put(0, exchange(str(number))))
    known = conversations.all(ME)
    assert len(known) == MOST_CONVERSATIONS
    assert first not in known
    for number in range(MOST_EXCHANGES + 3):
        first = first.put(None, exchange(str(number)))
    assert len(first.exchanges) == MOST_EXCHANGES
    assert first.exchanges[-1].question.query == str(MOST_EXCHANGES + 2)


def test_only_answered_questions_about_the_same_corpus_shape_the_next_one():
    talk = Conversation("x").put(0, exchange("a")).put(1, exchange("b", "")).put(2, exchange("c"))
    talk = talk.put(3, exchange("d", question=Question("d", "other")))
    assert talk.turns("tide-mill") == (Turn("a", "Oswin Thrale. [1]"), Turn("c", "Oswin Thrale. [1]"))
    assert talk.turns("tide-mill", before=2) == (Turn("a", "Oswin Thrale. [1]"),)


def test_what_two_pages_ask_in_one_conversation_is_all_kept(conversations, kept):
    here, there = exchange("Here?", at=NOW + 2), exchange("There?", at=NOW + 3)
    for asked in (here, there):
        conversations.change(ME, kept.id, lambda known, asked=asked: known.put(None, asked))
    answered = replace(here, end="stopped")
    after = conversations.change(ME, kept.id, lambda known: known.change(answered))
    assert after == conversations.get(ME, kept.id)
    assert after.exchanges == (*kept.exchanges, answered, there)
    assert after.index(here) == 2
    assert after.without(here).exchanges == (*kept.exchanges, there)
    assert conversations.change(ME, kept.id, lambda known: replace(known, exchanges=())).exchanges == ()
    assert conversations.all(ME) == [], "of an empty one nothing is kept"


def test_an_answer_that_its_server_did_not_finish_is_a_stopped_one(conversations):
    cut = exchange(end="running", at=conversations_module._BEGAN - 1)
    now = exchange(end="running", at=conversations_module._BEGAN + 1)
    kept = keep(conversations, conversations.begin().put(None, cut).put(None, now))
    assert [known.end for known in conversations.get(ME, kept.id).exchanges] == ["stopped", "running"]


# As messages


def test_every_message_belongs_to_its_exchange(kept):
    shown = messages.talk(kept)
    owners = [messages.exchange_of(kept, index) for index in range(len(shown))]
    assert owners == [0, 0, 0, 0, 1, 1, 1, 1]
    assert messages.exchange_of(kept, len(shown)) is None
    assert "(#passage-1-1)" in shown[3]["content"]
    assert "(#passage-2-1)" in shown[7]["content"]


def test_only_the_last_answer_offers_what_to_ask_next(kept):
    shown = messages.talk(kept)
    assert [message.get("options") for message in shown[:-1]] == [None] * 7
    assert shown[-1]["options"] == [{"value": "And the wheel?"}]


@pytest.mark.parametrize(("end", "words"), [("stopped", text.STOPPED_HERE), ("failed", "The key is wrong.")])
def test_an_answer_that_broke_off_says_so_and_waits_for_nothing(end, words):
    broken = exchange(end=end, sentence="The key is wrong.", reply=Reply("write", "x", (), (), "Oswin"))
    shown = messages.exchanged(broken, 1)
    assert words in shown[-1]["content"]
    pending = Conversation("x", (exchange(end=end, reply=Reply("recall", "x")),))
    assert all(m.get("metadata", {}).get("status") != "pending" for m in messages.talk(pending))


def test_a_judgement_is_shown_at_the_answer_it_was_about(kept):
    judged = kept.change(exchange(liked=True)).change(exchange("And why?", liked=False, at=NOW + 1))
    assert messages.feedback(judged) == ["Like", "Dislike"]


# On the page


def test_a_conversation_is_opened_with_the_evidence_of_its_last_answer(chats, kept, me, request_of):
    shown = chats.open(kept.id, me)
    assert len(shown["chat"]["value"]) == 8
    assert 'id="passage-2-1"' in shown["evidence"]
    assert shown["corpus"]["value"] == "tide-mill"
    assert kept.id in shown["exporting"]
    stranger = chats.open(kept.id, request_of("page", new_token()))
    assert stranger["chat"]["value"] == []
    assert text.NO_CONVERSATION in stranger["status"]


def test_a_click_on_an_earlier_answer_shows_its_own_evidence(chats, kept, me):
    shown = chats.show(kept.id, me, SimpleNamespace(index=3))
    assert 'id="passage-1-1"' in shown["evidence"]
    assert "Who keeps geese?" in shown["evidence"]
    for index in (99, -1, None, "3", [0, 1]):
        assert chats.show(kept.id, me, SimpleNamespace(index=index)) == {}


def test_a_judgement_is_kept_and_noted_without_any_text(chats, kept, me, conversations, idle_service):
    for liked, expected in ((True, True), (False, False), ("", None)):
        assert text.LIKED in chats.like(kept.id, me, SimpleNamespace(index=3, liked=liked))["status"]
        assert conversations.get(ME, kept.id).exchanges[0].liked is expected
    written = (idle_service.settings.cache_dir / feedback.FILE).read_text()
    noted = [json.loads(line) for line in written.splitlines()]
    assert [facts["liked"] for facts in noted] == [True, False, None]
    assert noted[0]["corpus"] == "tide-mill"
    assert "Oswin" not in written
    assert "geese" not in written


def test_a_question_is_taken_back_into_its_box(chats, kept, me, conversations):
    shown = chats.undo(kept.id, "", me)
    assert shown["question"] == "And why?"
    assert len(shown["chat"]["value"]) == 4
    assert len(conversations.get(ME, kept.id).exchanges) == 1
    assert chats.undo(kept.id, "typed", me)["question"] == "typed"
    assert conversations.all(ME) == []
    assert chats.undo(kept.id, "", me) == {}


def test_asking_again_edited_or_what_was_offered(chats, kept, me):
    assert chats.retry(kept.id, me) == Again("And why?", 1, "tide-mill")
    edited = r"Who keeps *nine* geese & \{more\}?"
    assert chats.edit(kept.id, me, SimpleNamespace(index=0, value=edited)) == Again(edited, 0, "tide-mill")
    assert chats.option(kept.id, 256, me, SimpleNamespace(value="And the wheel?")) == (Again("And the wheel?"), 256)
    assert chats.option(kept.id, 700, me, SimpleNamespace(value=messages.LONGER)) == (
        Again("And why?", 1, "tide-mill"),
        1024,
    )
    for gone in (
        lambda: chats.retry("unknown", me),
        lambda: chats.option("unknown", 256, me, SimpleNamespace(value=messages.LONGER)),
        lambda: chats.edit(kept.id, me, SimpleNamespace(index=99, value="x")),
    ):
        with pytest.raises(gr.Error, match=text.NO_CONVERSATION):
            gone()


def test_a_new_conversation_leaves_the_one_before_in_the_list(chats, kept, me, conversations):
    shown = chats.begin(me)
    assert shown["chat"]["value"] == []
    assert shown["conversation"].choices == [("Who keeps geese?", kept.id)]
    assert conversations.all(ME) == [kept]
    assert chats.remove(kept.id, me)["conversation"].choices == []
    assert conversations.all(ME) == []


# As files


@pytest.fixture
def client(idle_service):
    return TestClient(Starlette(routes=[exports.route(idle_service)]))


def test_a_conversation_can_be_had_as_markdown_and_json(client, kept):
    client.cookies.set(COOKIE, TOKEN)
    written = client.get(exports.address(kept, "md"))
    assert written.headers["content-disposition"].startswith('attachment; filename="memorag-')
    assert written.headers["cache-control"] == "private, no-store"
    for part in (
        "## Who keeps geese?",
        "Oswin Thrale. [1]",
        "> Oswin Thrale keeps nine geese.",
        "page 2",
        "The tide-mill",
    ):
        assert part in written.text
    chinese = client.get(exports.address(kept, "md"), headers={"accept-language": "zh-CN"})
    assert "page 2" not in chinese.text
    facts = client.get(exports.address(kept, "json")).json()
    assert [known["question"]["query"] for known in facts["exchanges"]] == ["Who keeps geese?", "And why?"]
    assert client.get(exports.address(kept, "exe")).status_code == 404


@pytest.mark.parametrize("cookies", [{}, {COOKIE: new_token()}, {COOKIE: "x"}, {COOKIE: ME}])
def test_a_conversation_of_another_visitor_is_not_handed_out(client, kept, cookies):
    client.cookies.update(cookies)
    answer = client.get(exports.address(kept, "json"))
    assert answer.status_code == 404
    assert answer.text == text.NO_CONVERSATION
