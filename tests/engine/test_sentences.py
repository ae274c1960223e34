"""The sentences of passages: where they stand, and their vectors."""

import numpy as np
import pytest

from engine.events import Passage
from engine.sentences import Sentences

TEXTS = ("The tower has\n214 steps.  Gulls nest on the roof.\n\n", "  A door", " \n ")
PASSAGES = tuple(Passage(number, text, "a.txt", 0, len(text)) for number, text in enumerate(TEXTS, 1))


def test_every_sentence_knows_its_place():
    found = Sentences(PASSAGES)
    assert [(s.number, s.text) for s in found] == [
        (1, "The tower has"),
        (1, "214 steps."),
        (1, "Gulls nest on the roof."),
        (2, "A door"),
    ]
    for sentence in found:
        assert TEXTS[sentence.number - 1][sentence.start : sentence.end] == sentence.text


def test_without_an_encoder_there_are_no_vectors():
    assert Sentences(PASSAGES).vectors is None


@pytest.mark.models
def test_vectors_are_computed_once_and_those_of_the_texts(encoder):
    found = Sentences(PASSAGES, encoder)
    assert found.vectors is found.vectors
    np.testing.assert_allclose(found.vectors, encoder.encode([s.text for s in found]), atol=1e-5)
