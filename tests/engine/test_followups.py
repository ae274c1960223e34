"""Questions worth asking next: few, whole, new, and about what the evidence holds."""

from __future__ import annotations

import pytest

from engine.events import Answer, Clue, Passage
from engine.followups import followups
from engine.leaning import leans
from engine.memorag_lite import MemoRAGLite

TEXTS = (
    "The first keeper was a woman, Isolde Marrick. Marrick held the post for 31 years. Her goat Admiral Pudding was "
    "allowed in the kitchen, and Admiral Pudding liked it there.",
    "The barque Cormorant Anna struck the reef. Marrick tied a line to the goat, and all sailors were saved.",
    "The logbooks were found by Henrik Vass in the coal store. Vass was a schoolteacher from Dunmorrie.",
    "The lens came from Delacourt and Sons, and the boat from Dunmorrie.",
)
PASSAGES = tuple(Passage(n, text, "a.txt", 0, len(text), score=5.0 - n) for n, text in enumerate(TEXTS, 1))
QUERY = "Who was the first keeper of the light?"
RECALLED = "How long did Isolde Marrick hold the post?"
EXAMPLES = ("How was the crew of the Cormorant Anna saved by a goat?", "What does the contract say about taxes?", QUERY)


def recalled(*texts: str) -> list[Clue]:
    return [Clue("surrogate", text) for text in texts]


def test_examples_come_first_then_recalled_questions_then_names():
    found = followups(QUERY, recalled(RECALLED), PASSAGES, "en", offered=EXAMPLES)
    assert found == (EXAMPLES[0], RECALLED, "What else is said about Admiral Pudding?")


def test_there_are_three_at_most_and_two_of_them_examples():
    examples = (EXAMPLES[0], "Which ship struck the reef?", "How long was Isolde Marrick keeper of the post?")
    found = followups(QUERY, recalled("Why was Admiral Pudding allowed in the kitchen?"), PASSAGES, "en", (), examples)
    assert len(found) == 3
    assert sum(question in examples for question in found) == 2


@pytest.mark.parametrize(
    "text",
    [
        "The Grey Sow",
        "The answer is: Isolde Marrick held the post.",
        "What did she do with the goat?",
        "What is the main idea of the passage?",
        "What does the text say about Isolde Marrick?",
        "Isolde Marrick held the post, didn't she, for 31",
        "What goat did the goat did the goat have?",
        "What Admiral Pudding kitchen goat?",
        "Where did Severus Snape tie the goat to a line?",
        "Which planets circle distant stars nowadays?",
        "Who was first keeper of that light?",
        "What is the goat?\nAnd what is the line?",
        "What is **the goat** called by Isolde Marrick?",
        'Who said "the goat is here to Isolde Marrick?',
        "What is the?",
        "?",
        "",
    ],
)
def test_a_recalled_line_that_is_no_clean_new_question_is_left_out(text):
    assert text not in followups(QUERY, recalled(text), PASSAGES, "en")


def test_spans_and_drafts_are_no_questions():
    clues = [Clue("span", RECALLED), Clue("draft", RECALLED), Clue("point", RECALLED)]
    assert RECALLED not in followups(QUERY, clues, PASSAGES, "en")


def test_what_was_asked_or_is_offered_already_is_not_offered_again():
    clues = recalled(RECALLED, "For how long did Marrick hold the post?", "How long did Isolde Marrick hold the post ?")
    assert followups(QUERY, clues, PASSAGES, "en").count(RECALLED) == 1
    assert sum("hold the post" in question for question in followups(QUERY, clues, PASSAGES, "en")) == 1
    asked = ["How many years did Isolde Marrick hold the post?", "And what of Admiral Pudding?"]
    later = followups(QUERY, clues, PASSAGES, "en", asked, offered=[asked[0]])
    assert not any("Marrick" in question or "Pudding" in question for question in later)
    assert later


def test_a_name_that_changes_must_do_things_and_be_named_often():
    texts = [f"Snape was a teacher. Snape taught in Dunmorrie, and {n} pupils feared Lucius Malfoy." for n in range(4)]
    passages = [Passage(n, text, "a.txt", 0, 1, score=float(n)) for n, text in enumerate(texts)]
    found = followups("What did the pupils learn?", (), passages, "en")
    assert found == ("What else is said about Lucius Malfoy?", "How does Snape change over time?")
    assert "Dunmorrie" not in str(found)


def test_a_name_keeps_its_article_and_is_no_part_of_another():
    text = "At the Hog's Head they drank. The ship was the Cormorant Anna, and the Cormorant Anna sank."
    assert followups("Who?", (), [Passage(1, text, "a.txt", 0, 1, score=1.0)], "en") == (
        "What else is said about the Cormorant Anna?",
    )


def test_chinese_texts_get_chinese_questions():
    text = "守塔人叫伊索尔德。《灯塔日志》里写着她的故事，是在煤仓里找到的。"
    passages = [Passage(1, text, "a.txt", 0, len(text), score=1.0)]
    found = followups("守塔人是谁？", recalled("日志是在哪里找到的？", "她是谁？", "日志"), passages, "zh-cn")
    assert found[0] == "日志是在哪里找到的？"
    assert found[1:] == ("关于《灯塔日志》还说了什么？",)


def test_other_languages_get_recalled_questions_only():
    text = "Der Wärter hieß Magnus Holm und wohnte lange auf der Insel."
    passages = [Passage(1, text, "a.txt", 0, len(text), score=1.0)]
    clues = recalled("Wie lange wohnte Magnus Holm auf der Insel?")
    assert followups("Wer war das?", clues, passages, "de") == (clues[0].text,)
    assert followups("Wer war das?", (), passages, "de") == ()


def test_without_evidence_there_is_nothing_to_ask_next():
    assert followups(QUERY, recalled(RECALLED), (), "en", offered=EXAMPLES) == ()


def test_passages_without_scores_or_words_do_no_harm():
    passages = [Passage(n, text, "a.txt", 0, 1) for n, text in enumerate(["", "...", "42"])]
    assert followups(QUERY, recalled(RECALLED), passages, "en", offered=EXAMPLES) == ()


@pytest.mark.models
def test_what_follows_real_answers_is_whole_and_can_be_asked(engine_models, lighthouse):
    pipeline = MemoRAGLite(*engine_models)
    pipeline.memorize(lighthouse)
    for question in (QUERY, "Which ship struck the reef?", "Where were the logbooks found?"):
        events = list(pipeline.stream(question, max_new_tokens=1))
        answer = events[-1]
        assert isinstance(answer, Answer)
        found = followups(question, answer.clues, answer.evidence, "en")
        assert 1 <= len(found) == len(set(found)) <= 3
        for text in found:
            assert text.endswith("?")
            assert not leans(text, "en")
            assert text.startswith("What else is said about") or text in [clue.text for clue in answer.clues]
