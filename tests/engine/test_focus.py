"""Evidence made short: which sentences a small generator reads, and in which order."""

import pytest

from engine.events import Passage
from engine.focus import focus
from engine.sentences import Sentences

pytestmark = pytest.mark.models
PASSAGES = (
    Passage(1, "The tower has 214 steps. Gulls nest on the roof. The stair winds to the left.", "light.txt", 0, 80),
    Passage(2, "The door was painted saffron yellow. Nobody knows why it was not green.", "light.txt", 80, 150),
)


@pytest.fixture(scope="module")
def encoder(engine_models):
    return engine_models[1]


def test_the_nearest_sentence_stands_last_and_names_its_passage(encoder):
    chosen = focus(Sentences(PASSAGES, encoder), "What colour is the door?", 3)
    assert len(chosen) == 3
    assert chosen[-1] == (2, "The door was painted saffron yellow.")


def test_without_a_question_the_order_is_that_of_the_text(encoder):
    chosen = focus(Sentences(PASSAGES, encoder), "", 4)
    whole = " ".join(passage.text for passage in PASSAGES)
    places = [whole.index(sentence) for _, sentence in chosen]
    assert len(places) == 4
    assert places == sorted(places)


def test_every_sentence_is_verbatim_and_more_than_there_are_is_all(encoder):
    chosen = focus(Sentences(PASSAGES, encoder), "How many steps?", 99)
    assert len(chosen) == 5
    assert all(sentence in PASSAGES[number - 1].text for number, sentence in chosen)


def test_passages_without_sentences_are_given_whole(encoder):
    short = (Passage(1, "Yes.", "a.txt", 0, 4), Passage(2, "No.", "a.txt", 4, 7))
    assert focus(Sentences(short, encoder), "Is it?", 5) == [(1, "Yes."), (2, "No.")]
