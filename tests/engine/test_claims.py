"""Claims: what a sentence states, and whether it states anything."""

import pytest

from engine.claims import Reader, states

TEXTS = (
    "The keeper, Isolde Marrick, lived in the Old Town. Visitors climb 214 steps. Water is scarce there.",
    "The door was painted by Magnus in June 1874.",
)


@pytest.fixture
def reader():
    return Reader("Who was the keeper in 1874?", TEXTS, "en")


def test_content_words_are_stemmed_and_those_of_the_question_told_apart(reader):
    claim = reader.read("The keepers were climbing.")
    assert claim.terms == {"keeper", "climb"}
    assert claim.new == {"climb"}


def test_figures_are_the_same_however_they_are_written(reader):
    assert reader.read("They climb two hundred and fourteen steps.") == reader.read("They climb 214 steps.")
    assert reader.read("They climb 214 steps.").figures == {"214"}


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("Her name was Isolde Marrick.", {"isold", "marrick"}),
        ("Marrick was the keeper.", {"marrick"}),
        ("Marrick kept the light.", {"marrick"}),
        ("Tobias was the keeper.", {"tobia"}),
        ("Tobias Lind kept the light.", {"tobia", "lind"}),
        ("Tobias's wife kept the light.", set()),
        ("People climb the tower.", set()),
        ("However, Magnus left in June.", {"magnus", "june"}),
        ('He said: "Nobody came."', set()),
        ("According to Passage 2, the document is old.", set()),
        ("- THE KEEPERS OF THE TOWER", set()),
    ],
)
def test_names_are_told_by_their_capitals(reader, sentence, names):
    assert reader.read(sentence).names == names


def test_in_german_capitals_tell_no_names():
    claim = Reader("", ("Die Tür ist gelb.",), "de").read("Der Wärter und die Tochter von Isolde.")
    assert claim.names == set()
    assert "der" not in claim.terms


def test_a_passages_own_number_is_no_figure(reader):
    assert reader.read("According to passages 2 and 3, the door is old.").figures == set()
    assert reader.read("3. The door is old.").figures == set()


@pytest.mark.parametrize(
    ("sentence", "is_testable"),
    [
        ("Yes.", False),
        ("214.", False),
        ("The keeper was the keeper in 1874.", False),
        ("The keeper was a widow.", True),
    ],
)
def test_repeating_the_question_or_a_single_word_is_nothing_to_look_for(reader, sentence, is_testable):
    assert reader.read(sentence).is_testable == is_testable


@pytest.mark.parametrize(
    "sentence", ["The door is yellow.", "214", "Isolde Marrick", "Sure, the door is yellow.", "门是黄色的。"]
)
def test_statements(sentence):
    assert states(sentence, is_line=False) == any(sign.isalpha() for sign in sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Sure!",
        "Of course.",
        "Yes.",
        "I hope this helps!",
        "The keepers were:",
        "以下是：",
        "## Keepers",
        "What else?",
        "The passages do not say who it was.",
        "The text doesn't mention goats.",
        "There is no information in the evidence, and no passage mentions goats.",
        "This was not found in the documents.",
        "文中没有提到山羊。",
        "---",
    ],
)
def test_what_states_nothing(sentence):
    assert not states(sentence, is_line=False)


def test_a_line_in_bold_is_a_heading_and_an_answer_in_bold_is_none():
    assert not states("**The keepers**", is_line=True)
    assert states("**Isolde Marrick**", is_line=False)
