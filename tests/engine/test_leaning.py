"""Questions that lean on what was said before, told apart from those that stand alone, without a model."""

from __future__ import annotations

import pytest

from engine.conversation import standalone
from engine.events import Turn
from engine.leaning import leans
from tests.pipelines import QUESTION, Scripted

KEEPER = Turn("Who was the first keeper of the light?", "The first keeper was a woman, Isolde Marrick.")
UNRELATED = (Turn("What Patronus does Luna Lovegood cast?", "A hare."), Turn("And Harry?", "A stag."))

LEANING = [
    *("Why?", "How?", "Since when?", "Tell me more.", "And in 2021?", "And Harry?", "Ron?", "What about the lens?"),
    *("How many steps?", "In which year?", "By whom?", "Why violet ink?", "What happened next?", "Which is heavier?"),
    *(
        "When did he die?",
        "And who was her only companion?",
        "What is the name of his wife?",
        "What did Snape give him?",
    ),
    *("What did the council give her?", "What did the sailors say about her?", "In Hogwarts, who was his friend?"),
    *("Where is it kept today?", "What colour is its door?", "Where did Harry find it?", "How long does it take?"),
    *("Why did they refuse to finish it?", "What happened to them?", "Who lives there?", "What did he do then?"),
    *("What does that mean?", "Who told him that?", "Why is this important?", "Which one was the heaviest?"),
    *(
        "Who else was there?",
        "Are you sure?",
        "Was anyone hurt?",
        "Who survived?",
        "Give me an example",
        "how did it end",
    ),
    *(
        "After the storm, what did she ask for?",
        "What can you say about that green light?",
        "Explain it in short words",
    ),
    *(
        "他为什么离开？",
        "那罗恩呢？",
        "为什么？",
        "它有多重？",
        "那里住着谁？",
        "这是什么意思？",
        "校长为什么开除他？",
        "后来呢？",
    ),
]
ALONE = [
    QUESTION,
    *("How many steps must a visitor climb to the lantern room?", "Who painted the door?", "Who is Snape?"),
    *("What happened to the lens after it was replaced?", "When he was eleven, what did Harry receive?"),
    *("How did Isolde Marrick save the crew when she could not leave the lamp?", "Which IT systems are affected?"),
    *("Is it true that the tower is haunted?", "How long does it take to climb the tower?", "What causes fog?"),
    *("What did Harry give his owl?", "What do wizards do with their wands?", "Who lost their wand in the forest?"),
    *(
        "What is this book about?",
        "Summarise the text.",
        "Give a summary of this design meeting.",
        "list the characters",
    ),
    *("Which characters destroyed the Horcruxes and what did they use?", "Are there any ghosts in the castle?"),
    *("What is the colour of the door and its frame?", "And did Ron die?", "What is Hogsmeade and who lives there?"),
    *("What happens to someone when they drink Polyjuice Potion?", "Does Harry forgive Snape before he dies?"),
    *("who was isolde marrick and what did she do", "did harry know that he was a wizard", "Voldemort horcruxes"),
    *("How does magic work and what limits it?", "Who was the man that found the logbooks?", 'Who said "he is gone"?'),
    *("What does the companion say about those who ignore elves?", "Why is the King clean-shaven on his big day?"),
    *(
        "The keeper got a silver teapot. What was it used for?",
        "Which scrapes does Anne get into that make people talk?",
    ),
    "Which of these is true? (A) Anne breaks her slate on Gilbert's head. (B) Gilbert breaks it on a desk.",
    *(
        "谁是第一任守塔人？",
        "哈利在对角巷买了什么，他为什么去那里？",
        "这本书讲了什么？",
        "其他守塔人是谁？",
        "邓布利多是谁？",
    ),
]


@pytest.mark.parametrize("question", LEANING)
def test_a_question_leans_where_a_word_in_it_points_at_nothing_in_it(question):
    assert leans(question, "en")


@pytest.mark.parametrize("question", ALONE)
def test_a_question_that_stands_alone_is_left_as_it_is(question):
    generator = Scripted("What is that?")
    assert standalone(question, UNRELATED, generator, "en") == question
    assert not generator.prompts


@pytest.mark.parametrize("question", ["¿Por qué?", "Warum?", "Y Ron?", "なぜ？", "왜?"])
def test_in_other_languages_only_very_short_questions_lean(question):
    assert leans(question, "es")


@pytest.mark.parametrize(
    "question",
    [
        "¿Quién es el autor?",
        "Was hat der Wärter getan?",
        "灯台守は誰ですか？",
        "스네이프는 누구인가?",
        "Hvem er her nå i byen?",
    ],
)
def test_longer_questions_in_other_languages_stand_alone(question):
    assert not leans(question, "es")


@pytest.mark.parametrize("question", ["", "?", "...", "'s", "And", "他", "\u200b", "?" * 400, "it " * 100])
def test_odd_questions_are_read_too(question):
    assert standalone(question, [KEEPER], None, "en").startswith(question)
