"""Clues: what a memory says, one a line, without what is no hint; in any script."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.clues import clean_clues
from engine.events import Clue, Reply
from engine.prompt import en_prompts, prompts_for, zh_prompts

QUESTION = "Who was the first keeper?"
NUMBERS = (
    "1. |1.|12) |1)|(3) |[1] |2: |4 - |a) |(b) |iv. |II. |\u2460|\u2460 |1\ufe0f\u20e3 |1、|１．|（１）|一、|（二）|"
    "十一、|第三，|٣. |٣- |๑. |२. |1. (a) |- 1. |**1.** "
)


def clues_in(reply: str, question: str = QUESTION, cut: bool = False, prompts=en_prompts) -> list[str]:
    return [clue.text for clue in clean_clues([("span", Reply(reply, cut))], question, prompts)]


# What stands around a clue


@pytest.mark.parametrize(
    "mark", ["- ", "-", "* ", "+ ", "\u2022", "\u25cf ", "\u2013 ", "\u2014", "\u30fb", "## ", "> "]
)
def test_bullets_are_taken_off(mark):
    assert clues_in(f"{mark}Isolde Marrick was first.") == ["Isolde Marrick was first."]


@pytest.mark.parametrize("number", NUMBERS.split("|"))
def test_numbers_are_taken_off(number):
    assert clues_in(f"{number}Isolde Marrick was first.") == ["Isolde Marrick was first."]


@pytest.mark.parametrize(
    ("line", "clue"),
    [
        ("Q1: Who was the pilot?", "Who was the pilot?"),
        ("Question 2: Who was the pilot?", "Who was the pilot?"),
        ("**Question 2:** Who was the pilot?", "Who was the pilot?"),
        ("2. **Sub-question 2** - Who was the pilot?", "Who was the pilot?"),
        ("Surrogate question: Who was the pilot?", "Who was the pilot?"),
        ("Span 1: The pilot drowned.", "The pilot drowned."),
        ("Fact 3. The pilot drowned.", "The pilot drowned."),
        ("Sure, the pilot drowned.", "the pilot drowned."),
        ("Pregunta 1: ¿Quién era el piloto?", "¿Quién era el piloto?"),
        ("Dato clave: El piloto se ahogó.", "El piloto se ahogó."),
        ("问题1：谁是领航员？", "谁是领航员？"),
        ("問題一：誰是領航員？", "誰是領航員？"),
        ("好的，领航员淹死了。", "领航员淹死了。"),
        ("質問1：水先案内人は誰ですか。", "水先案内人は誰ですか。"),
        ("はい、水先案内人は溺れた。", "水先案内人は溺れた。"),
        ("คำถามที่ 1: ใครเป็นคนนำร่อง", "ใครเป็นคนนำร่อง"),
        ("प्रश्न 1: पायलट कौन था?", "पायलट कौन था?"),
    ],
)
def test_labels_and_polite_words_are_taken_off(line, clue):
    assert clues_in(line) == [clue]


@pytest.mark.parametrize("marks", ['""', "“”", "„“", "«»", "»«", "「」", "『』", "‘’", "''", "``", ("**", "**")])
def test_quotation_marks_and_bold_type_around_a_line_are_taken_off(marks):
    opening, closing = marks
    assert clues_in(f"  1. {opening}The pilot drowned.{closing}  ") == ["The pilot drowned."]
    assert clues_in(f"{opening}El piloto se ahogó{closing}.") in (["El piloto se ahogó"], ["El piloto se ahogó."])


def test_half_a_pair_of_quotation_marks_is_taken_off():
    assert clues_in('"The pilot drowned.') == ["The pilot drowned."]
    assert clues_in('The pilot drowned."') == ["The pilot drowned."]


def test_bold_words_lose_their_marks():
    assert clues_in("The **pilot** of **Dunmorrie** drowned.") == ["The pilot of Dunmorrie drowned."]


@pytest.mark.parametrize(
    "line",
    [
        "1867 was the year.",
        "A tower was built.",
        "I think so too.",
        "3.5 metres were dug.",
        "10:30 was the hour.",
        "-4 degrees were measured.",
        "J.R. Smith was the pilot.",
        "J. Smith was the pilot.",
        "A. Smith was the pilot.",
        "C. S. Smith was the pilot.",
        "214 steps lead up.",
        "Question time was at noon.",
        "Surely the pilot drowned.",
        "“Grey Sow” and “Light” are names.",
        '"Grey Sow" was its name.',
        "'Twas a dark night.",
        "The keepers' house burned.",
        "第一任守塔人是女的。",
        "三百年前有一座塔。",
        "一八七四年建成。",
        "３．５メートル掘った。",
        "2417 เป็นปีที่สร้าง",
        "«Skerrow» y «Holm» son nombres.",
    ],
)
def test_what_only_looks_like_a_mark_is_kept(line):
    assert clues_in(line) == [line]


# What is no clue


def test_an_echo_of_the_question_is_no_clue():
    assert clues_in(f"{QUESTION}\n- who was the FIRST keeper\nIt was Marrick.") == ["It was Marrick."]
    assert clues_in("问：灯塔建于何时?\n在山上。", "灯塔建于何时？", prompts=zh_prompts) == ["在山上。"]
    assert clues_in("ใครเป็นผู้ดูแลคนแรก\nมาร์ริก", "ใครเป็นผู้ดูแลคนแรก?", prompts=prompts_for("th")) == ["มาร์ริก"]


def test_a_part_of_the_question_is_a_clue():
    whole = "When was the tower begun, and who was the first keeper?"
    assert clues_in(f"When was the tower begun?\n{QUESTION}", whole) == ["When was the tower begun?", QUESTION]


@pytest.mark.parametrize("prompts", [en_prompts, zh_prompts, prompts_for("es")], ids=["en", "zh", "es"])
@pytest.mark.parametrize("name", ["span", "sur", "qa", "sum", "acknowledge", "not_found"])
def test_an_echo_of_the_instructions_is_no_clue(prompts, name):
    template = getattr(prompts, name)
    instruction = template.replace("{question}", "").strip()
    assert clues_in(template.replace("{question}", QUESTION), prompts=prompts) == []
    assert clues_in(instruction[: len(instruction) * 3 // 4], prompts=prompts) == []
    assert clues_in(f"1. {instruction.rpartition(chr(10))[2]}", prompts=prompts) == []


def test_an_instruction_with_a_word_changed_is_no_clue():
    assert clues_in("Write up to four short statements, one on each line.") == []
    assert clues_in("I have read the text. What would you like to know?") == []


@pytest.mark.parametrize(
    "line",
    [
        "I have read the article. Please provide your question.",
        "Sure, here are three questions:",
        "Sure! Here are the facts that help to answer the question:",
        "Here are three simpler questions",
        "Here's a list of questions about the lighthouse.",
        "What a wonderful question! I'll give you a few more questions to answer.",
        "I'm sorry, but I cannot help with that.",
        "Question 2",
        "**Key points:**",
        "The Great Storm of 1893:",
        "Claro, aquí tienes tres preguntas más sencillas:",
        "A continuación están los hechos principales.",
        "He leído el texto.",
        "好的，以下是三个更简单的问题：",
        "好的，以下是三个更简单的问题。",
        "當然，以下是三個問題。",
        "我已经读完了这篇文章，请提问。",
        "はい、以下は三つの質問です。",
        "文章を読みました。",
        "ต่อไปนี้คือคำถามสามข้อ",
        "แน่นอนค่ะ",
    ],
)
def test_talk_about_the_task_is_no_clue(line):
    assert clues_in(f"{line}\nThe pilot drowned.") == ["The pilot drowned."]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "\n \n",
        "...",
        "-",
        "1.",
        "1.\n2.\n3.",
        "12",
        "a",
        "ok",
        "Yes.",
        "None",
        "***\n---",
        "```json",
        "✔️✔️✔️",
        "海",
        "是的。",
    ],
)
def test_a_dull_reply_gives_no_clue(reply):
    assert clues_in(reply) == []


@pytest.mark.parametrize("name", ["李明", "马格努斯", "マグヌス", "김구", "สมชาย", "राम", "علي", "Ann", "1867", "Øre"])
def test_a_name_or_a_year_alone_is_a_clue(name):
    assert clues_in(f"1. {name}") == [name]


# Repetitions


def test_repetitions_count_once():
    replies = [
        ("span", Reply("The door is yellow.\nThe door is yellow!")),
        ("surrogate", Reply("the door is YELLOW.\nWhat door?")),
    ]
    assert clean_clues(replies, QUESTION, en_prompts) == (
        Clue("span", "The door is yellow."),
        Clue("surrogate", "What door?"),
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("塔有２１４级台阶。", "塔有214级台阶"),
        ("灯台は「ホルム」にある。", "灯台はﾎﾙﾑにある"),
        ("El piloto se ahogó.", "¡EL PILOTO SE AHOGO\u0301!"),
    ],
)
def test_case_punctuation_and_width_make_no_difference(one, other):
    assert clues_in(f"{one}\n{other}") == [one]


@pytest.mark.parametrize(("one", "other"), [("เสือ", "เสื้อ"), ("पानी", "पाना"), ("El papá", "El papa")])
def test_vowel_signs_and_accents_make_a_difference(one, other):
    assert clues_in(f"{one}\n{other}") == [one, other]


def test_a_line_whose_words_all_stand_in_an_earlier_one_is_left_out():
    assert clues_in("The first keeper was Isolde Marrick.\nThe keeper was Isolde Marrick.") == [
        "The first keeper was Isolde Marrick."
    ]
    assert clues_in("守塔人名叫马格努斯先生。\n守塔人名叫马格努斯。") == ["守塔人名叫马格努斯先生。"]
    assert clues_in("ผู้ดูแลคนแรกเป็นผู้หญิง\nผู้ดูแลคนแรก") == ["ผู้ดูแลคนแรกเป็นผู้หญิง"]


def test_a_line_with_a_new_word_is_kept():
    lines = ["What is the name of the tower?", "What is the name of the door?", "塔的名字是什么？", "门的名字是什么？"]
    assert clues_in("\n".join(lines)) == lines


def test_two_years_may_be_asked_for_but_a_model_that_counts_on_is_stopped():
    lines = [f"What happened in {year}?" for year in range(1867, 1900)]
    assert clues_in("\n".join(lines)) == lines[:2]


def test_there_are_at_most_sixteen_clues_of_a_kind():
    words = ["".join(pair) for pair in zip("abcdefghijklmnopqrst", "tsrqponmlkjihgfedcba", strict=True)]
    reply = Reply("\n".join(f"Keeper {word}" for word in words))
    found = clean_clues([("span", reply), ("surrogate", Reply("What door?"))], QUESTION, en_prompts)
    assert [clue.kind for clue in found] == ["span"] * 16 + ["surrogate"]


# The end of a reply that was cut off


def test_a_last_line_that_was_cut_off_is_left_out_but_an_only_line_is_kept():
    assert clues_in("The door is yellow.\nThe keeper was the wid", cut=True) == ["The door is yellow."]
    assert clues_in("The keeper was the wid", cut=True) == ["The keeper was the wid"]
    assert clues_in("1. The keeper was the wid", cut=True) == ["The keeper was the wid"]
    assert clues_in("Here are the facts:\n1. The keeper was the wid", cut=True) == ["The keeper was the wid"]


@pytest.mark.parametrize(
    ("last", "finished"),
    [
        ("The pilot drowned. His widow was the fir", "The pilot drowned."),
        ("3. Did he drown? Who was his wid", "Did he drown?"),
        ("The pilot was J. Smi", None),
        ("The pilot was Mr. Smi", None),
        ("The rock was 3.5 metr", None),
        ("领航员淹死了。他的妻", "领航员淹死了。"),
        ("水先案内人は溺れた。妻が灯\ufffd", "水先案内人は溺れた。"),
        ("El piloto se ahogó. Su viu", "El piloto se ahogó."),
        ("คนนำร่องจมน้ำ ภรรยาของเข", None),
        ("नाविक डूब गया। उसकी पत्", "नाविक डूब गया।"),
        ("غرق الربان؟ زوج", "غرق الربان؟"),
    ],
)
def test_of_a_last_line_that_was_cut_off_the_finished_sentences_are_kept(last, finished):
    assert clues_in(f"The door is yellow.\n{last}", cut=True) == [
        "The door is yellow.",
        *[finished][: finished is not None],
    ]


def test_a_reply_that_was_cut_at_a_line_break_loses_nothing():
    assert clues_in("The door is yellow\nThe keeper was Isolde\n", cut=True) == [
        "The door is yellow",
        "The keeper was Isolde",
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ["The door is yellow", "Who was the pilot", "Isolde Marrick"],
        ["灯塔建于一八七四年", "守塔人名叫马格努斯", "他喜欢散步"],
        ["灯台は丘の上にある", "灯台守は誰か"],
        ["ประภาคารอยู่บนเกาะ", "ใครเป็นผู้ดูแลคนแรก"],
        ["El faro está en la isla", "¿Quién era el piloto?"],
    ],
    ids=["en", "zh", "ja", "th", "es"],
)
def test_nothing_is_left_out_for_want_of_a_full_stop(lines):
    assert clues_in("\n".join(lines)) == lines


# Long lines


def test_a_long_line_is_cut_at_the_end_of_a_sentence_or_a_word():
    sentence = "The keeper climbed the stair with Mr. Smith. "
    (clue,) = clues_in(sentence * 20)
    assert clue == (sentence * 6).strip()
    (clue,) = clues_in("word " * 500)
    assert clue == ("word " * 60).strip()


@pytest.mark.parametrize("text", ["灯" * 500, "ก" + "ที่" * 300, "क" + "कि" * 300, "x" * 2000])
def test_a_long_line_without_spaces_is_cut_between_letters(text):
    (clue,) = clues_in(text)
    assert 290 <= len(clue) <= 300
    assert text.startswith(clue)
    assert not _is_mark(text[len(clue)])


def _is_mark(letter: str) -> bool:
    import unicodedata

    return unicodedata.category(letter).startswith("M")


def test_a_long_line_is_cut_after_a_sentence_of_a_script_without_spaces():
    sentence = "守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
    assert clues_in(sentence * 20) == [sentence * (300 // len(sentence))]


# Real replies of SmolLM2-135M, asked about tests/data/lighthouse.txt

LOOP = "What a wonderful question! I'll give you a few more questions to answer.\n\n" * 7 + "What a"
STORM = "The Great Storm of 1893:\n\nThe islanders had a long and hard day, and the islanders had a long and hard day."
STORM += "\n\nThe islanders had a long and hard day." * 7 + "\n\nThe islanders had a long and hard day"
STEPS = (
    "1. How many steps must a visitor climb to reach the top of the lantern?\n"
    "2. How many steps must a visitor climb to reach the bottom of the lantern?\n"
    "3. How many steps must a visitor climb to reach the top of the lantern?"
)
CHINESE = (
    "我说，在灯塔建于何时？\n\n请回忆笔记中有助于回答的事实（人物、地点、事件），写出最多三句话，每行一句。\n\n"
    "请回忆笔记中有助于回答的事实（人物、地点、事件），写出最多三\ufffd"
)


@pytest.mark.parametrize(
    ("question", "reply", "cut", "prompts", "clues"),
    [
        (QUESTION, LOOP, True, en_prompts, []),
        (QUESTION, "I have read the notes. What would you like to know?", False, en_prompts, []),
        (
            "How many steps must a visitor climb?",
            STEPS,
            False,
            en_prompts,
            [line[3:] for line in STEPS.splitlines()[:2]],
        ),
        (
            "What happened in the great storm?",
            STORM,
            True,
            en_prompts,
            ["The islanders had a long and hard day, and the islanders had a long and hard day."],
        ),
        (
            "What colour is the door and why?",
            "What colour is the door?\n\nThe door is white.",
            False,
            en_prompts,
            ["What colour is the door?", "The door is white."],
        ),
        ("灯塔建于何时？", CHINESE, True, zh_prompts, ["我说，在灯塔建于何时？"]),
    ],
    ids=["loop", "acknowledgement", "counting", "storm", "part", "chinese"],
)
def test_real_replies_of_a_small_model_are_cleaned(question, reply, cut, prompts, clues):
    assert clues_in(reply, question, cut, prompts) == clues


# Any text

PIECES = st.sampled_from(
    [
        "\n",
        "1. ",
        "- ",
        "**",
        "*",
        '"',
        "「",
        "」",
        "Q1: ",
        "：",
        ". ",
        "。",
        "海",
        "ที่",
        "का",
        "keeper ",
        "1867 ",
        "\ufffd",
        "Sure, ",
    ]
)


@given(st.lists(PIECES | st.text(max_size=20), max_size=30).map("".join), st.booleans())
@example("“" * 3000, False)
@example("1. " * 3000 + "keeper", True)
@example("ि" * 500, False)
def test_any_reply_gives_clues_that_differ_and_stand_in_it(text, cut):
    replies = [("span", Reply(text, cut)), ("surrogate", Reply(text, cut))]
    for prompts in (en_prompts, zh_prompts):
        clues = [clue.text for clue in clean_clues(replies, QUESTION, prompts)]
        assert len(set(clues)) == len(clues) <= 32
        said = " ".join(text.replace("*", "").split())
        for clue in clues:
            assert clue == clue.strip() != ""
            assert len(clue) <= 300
            assert " ".join(clue.replace("*", "").split()) in said
