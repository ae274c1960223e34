"""Support: a sentence stands on the passage that says it, in its words or others, and on none that contradicts it."""

import pytest

from engine.events import Passage
from engine.sentences import Sentences
from engine.support import Support

TEXTS = (
    "The first keeper was a woman, Isolde Marrick, the widow of a pilot. She kept nine geese.",
    "A visitor must climb 214 steps to the lantern room. The door is painted saffron yellow. Nobody may smoke inside.",
    "Bread was baked on Fridays, and the children of the village carried it up. Storms cut off the island for weeks.",
    "The light was electrified in 1931. Before that, it burned rape-seed oil, and somebody had to stay awake.",
)
PASSAGES = tuple(Passage(number, text, "light.txt", 0, len(text)) for number, text in enumerate(TEXTS, 1))


def supported(sentence, named=(), encoder=None, question=""):
    return [source.passage for source in Support(Sentences(PASSAGES, encoder), question).of(sentence, named)]


@pytest.mark.parametrize(
    ("sentence", "by"),
    [
        ("Isolde Marrick was the first keeper.", [1]),
        ("To the lantern room, visitors climb two hundred and fourteen steps.", [2]),
        ("The door is yellow.", [2]),
        ("The children carried bread up on Fridays.", [3]),
        ("According to passage 4, the light was electrified in 1931.", [4]),
    ],
)
def test_the_same_words_support_a_sentence(sentence, by):
    assert supported(sentence) == by


@pytest.mark.parametrize(
    "sentence",
    [
        "To the lantern room, visitors climb 241 steps.",
        "Tobias Marrick was the first keeper.",
        "Magnus was the first keeper, the widow of a pilot.",
        "She kept twelve geese.",
        "The light was electrified in 1913.",
        "On Mondays, bread was baked.",
    ],
)
def test_another_figure_or_name_is_never_supported(sentence):
    assert supported(sentence) == supported(sentence, [1, 2, 3, 4]) == []


def test_what_is_cited_and_supports_is_kept():
    assert supported("The door is yellow.", [2]) == [2]
    assert supported("The door is yellow.", [2, 3]) == [2]


def test_what_is_cited_and_does_not_support_gives_way_to_what_does():
    assert supported("The door is yellow.", [3]) == [2]
    assert supported("Goats sing operas loudly.", [3]) == []


def test_two_passages_support_together_what_neither_does_alone():
    text = "The keeper was Isolde Marrick, and the light was electrified in 1931."
    assert supported(text, [1, 4]) == [1, 4]
    assert supported(text, [1, 2, 4]) == [1, 4]
    assert supported(text, [1]) == []


def test_a_figure_of_the_question_may_be_denied_but_not_affirmed():
    question = "Must a visitor climb 300 steps?"
    assert supported("No, a visitor must climb 214 steps to the lantern room, not 300.", question=question) == [2]
    assert supported("Yes, to the lantern room a visitor must climb 300 steps.", question=question) == []


def test_the_place_is_the_sentence_that_supports():
    (source,) = Support(Sentences(PASSAGES)).of("Nobody may smoke.")
    assert TEXTS[1][source.start : source.end] == "Nobody may smoke inside."


def test_a_citation_kept_for_a_sentence_without_content_has_no_place():
    (source,) = Support(Sentences(PASSAGES)).of("Yes.", [2])
    assert (source.passage, source.start, source.end) == (2, 0, 0)


def test_without_passages_nothing_is_supported():
    assert Support(Sentences(())).of("The door is yellow.", []) == ()


@pytest.mark.models
@pytest.mark.parametrize(
    ("sentence", "by"),
    [
        ("The entrance is painted in a yellow colour.", 2),
        ("The island was isolated for weeks by bad weather.", 3),
        ("The lamp was powered by electricity from 1931 on.", 4),
    ],
)
def test_a_paraphrase_is_supported_by_its_meaning(encoder, sentence, by):
    assert supported(sentence) == []
    assert supported(sentence, encoder=encoder) == [by]
    assert supported(sentence, [1], encoder=encoder) == [by]


@pytest.mark.models
@pytest.mark.parametrize(
    "sentence",
    [
        "The island was isolated for twelve weeks by bad weather.",
        "The island was isolated from Oslo for weeks by bad weather.",
        "The keeper was afraid of the sea.",
        "Goats sing operas loudly.",
    ],
)
def test_meaning_does_not_outweigh_figures_names_and_other_matters(encoder, sentence):
    assert supported(sentence, encoder=encoder) == []


@pytest.mark.models
def test_the_place_of_a_paraphrase_is_the_nearest_sentence(encoder):
    (source,) = Support(Sentences(PASSAGES, encoder)).of("The entrance is painted in a yellow colour.")
    assert TEXTS[1][source.start : source.end] == "The door is painted saffron yellow."
