"""How much is done at once: what the machine can bear, and a fair part of it for each visitor."""

import threading

import pytest

from demo import room as rooms
from demo import text
from demo.room import MOST_OF_ONE, Room
from engine.errors import InputError

LARGEST = 1000


@pytest.fixture
def room():
    return Room(LARGEST)


def refusal(room, size=1, mine=0, all_jobs=0, sizes=()):
    with pytest.raises(InputError) as refused:
        room.check(size, mine, all_jobs, sizes)
    return str(refused.value)


# Texts that are to be memorised


def test_where_nothing_is_done_there_is_room_for_the_largest_file(room):
    room.check(LARGEST, 0, 0, ())
    room.check(5 * LARGEST, 0, 0, ())  # several files of one corpus: there is no better time for them


def test_a_visitor_has_a_fair_part_of_all_there_is(room):
    room.check(1, MOST_OF_ONE - 1, 7, [1] * 7)
    assert refusal(room, mine=MOST_OF_ONE, all_jobs=MOST_OF_ONE) == text.BUSY_MINE.format(count=MOST_OF_ONE)
    assert refusal(room, all_jobs=8) == text.BUSY.format(count=8)


def test_large_files_share_the_memory_and_small_ones_are_never_in_the_way(room):
    room.check(LARGEST, 0, 1, [LARGEST])
    assert refusal(room, LARGEST, all_jobs=1, sizes=[LARGEST + 1]) == text.BUSY_LARGE
    assert refusal(room, 21, all_jobs=2, sizes=[LARGEST, LARGEST]) == text.BUSY_LARGE
    room.check(20, 0, 2, [LARGEST, LARGEST])


# Texts in memory


def test_texts_of_all_corpora_count_until_they_are_gone(room, monkeypatch):
    monkeypatch.setattr(rooms, "_MOST_TEXT", 100)
    assert room.has_text("a", 60)
    assert not room.has_text("b", 41)
    assert room.has_text("b", 40)
    assert room.has_text("a", 60), "the same text counts once"
    assert not room.has_text("c", 1)
    room.has_text("a", 0)
    assert room.has_text("c", 60)


def test_what_is_gone_is_forgotten(room):
    for number in range(100):
        room.has_text(f"corpus {number}", 5)
        room.has_text(f"corpus {number}", 0)
    assert room._texts == {}


# Questions that are being answered


def test_one_question_too_many_of_a_visitor_is_refused_and_others_are_answered(room):
    with room.answering("anna"), room.answering("anna"):
        with pytest.raises(InputError) as refused, room.answering("anna"):
            pytest.fail("there was no room")
        assert str(refused.value) == text.ASKED_ENOUGH.format(count=MOST_OF_ONE)
        with room.answering("bert"):
            pass
    with room.answering("anna"):
        pass


def test_a_question_that_fails_makes_room_like_any_other(room):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), room.answering("anna"):
            raise ZeroDivisionError
    with room.answering("anna"):
        pass
    assert not room._answers, "who asks nothing is forgotten"


def test_of_many_questions_at_once_no_more_than_the_fair_part_get_in(room):
    together, go, answered, refused = threading.Barrier(20), threading.Event(), [], []

    def ask():
        together.wait(10)
        try:
            with room.answering("anna"):
                answered.append(1)
                go.wait(10)
        except InputError:
            refused.append(1)
            if len(refused) == 20 - MOST_OF_ONE:
                go.set()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join(20) for thread in threads]
    assert (len(answered), len(refused)) == (MOST_OF_ONE, 20 - MOST_OF_ONE)
