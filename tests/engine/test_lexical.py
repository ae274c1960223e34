"""Lexical search: terms of any script, and texts that share rare ones."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Cancelled
from engine.events import Stop
from engine.lexical import LexicalIndex, words

TEXTS = [
    "The tower was built of pale granite from the quarry at Brannoch.",
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "The door at the foot of the tower is painted saffron yellow.",
    "A steam horn called Old Gertrude was sounded in thick weather.",
    "灯塔建于一八七四年，守塔人名叫马格努斯。",
    "",
]


# Words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The Keeper's lamp, 1893!", ["the", "keeper", "s", "lamp", "1893"]),
        ("snake_case and-dashes", ["snake", "case", "and", "dashes"]),
        ("Élan naïve", ["élan", "naïve"]),
        ("守塔人", ["守塔", "塔人"]),
        ("灯", ["灯"]),
        ("灯塔，大海", ["灯塔", "大海"]),
        ("高214级台阶", ["高", "214", "级台", "台阶"]),
        ("GPT模型", ["gpt", "模型"]),
        ("コーヒー・メーカー", ["コー", "ーヒ", "ヒー", "メー", "ーカ", "カー"]),
        ("人々", ["人々"]),
        ("𠮷野家", ["𠮷野", "野家"]),
        ("ｶﾞﾗｽの灯", ["ガラ", "ラス", "スの", "の灯"]),
        ("ＡＢＣ１２３ ﬁre", ["abc123", "fire"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("İstanbul ISTANBUL", ["istanbul", "istanbul"]),
        ("light\u00adhouse", ["lighthouse"]),
        ("❤️ lamp", ["lamp"]),
        ("", []),
        ("!?… —", []),
    ],
)
def test_a_text_becomes_terms(text, terms):
    assert words(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("किताबें दीपस्तंभ", ["किताबें", "दीपस्तंभ"]),
        ("বাতিঘর தமிழ் വിളക്കുമാടം", ["বাতিঘর", "தமிழ்", "വിളക്കുമാടം"]),
        ("هَذَا كِتَابٌ جَمِيل", ["هذا", "كتاب", "جميل"]),
        ("مـنـارة منارة", ["منارة", "منارة"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("מִגְדַּלוֹר", ["מגדלור"]),
        ("Ánh sáng", ["ánh", "sáng"]),
    ],
)
def test_words_with_vowel_signs_stay_whole(text, terms):
    assert words(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("สีเหลือง", ["สีเ", "เห", "หลื", "ลือ", "อง"]),
        ("ທະເລ", ["ທະ", "ະເ", "ເລ"]),
        ("ប្រទីប", ["ប្រ", "រទី", "ទីប"]),
        ("မီးပြတိုက်", ["မီးပြ", "ပြတို", "တိုက်"]),
        ("ก็", ["ก็"]),
        ("เกาะ Brannoch", ["เก", "กา", "าะ", "brannoch"]),
        ("등대지기는", ["등대", "대지", "지기", "기는"]),
    ],
)
def test_unspaced_scripts_become_pairs_of_characters_with_their_signs(text, terms):
    assert words(text) == terms


def test_english_words_are_stemmed_and_chinese_left_alone():
    assert words("The keepers climbed 守塔人", Stemmer.Stemmer("english")) == ["the", "keeper", "climb", "守塔", "塔人"]


# Lexical search


def test_lexical_search_finds_the_texts_that_share_rare_words():
    index = LexicalIndex(TEXTS)
    assert index.search("Who was the first keeper?", 10)[0] == 1
    assert index.search("doors painted yellow", 10)[0] == 2
    assert index.search("Gertrude", 10) == [3]


def test_lexical_search_works_in_chinese():
    index = LexicalIndex(TEXTS)
    assert index.search("守塔人叫什么名字？", 10) == [4]
    assert LexicalIndex(["登塔要爬214级台阶。", "门是黄色的。"]).search("214", 10) == [0]


@pytest.mark.parametrize(
    ("texts", "query", "found"),
    [
        (["ประตูทาสีเหลือง", "ประภาคารสูง"], "สีเหลือง", 0),
        (["灯塔很高。", "ガラスの灯台"], "ｶﾞﾗｽ", 1),
        (["등대지기는 혼자 살았다.", "문은 노란색이다."], "등대", 0),
        (["दरवाज़ा पीला है।", "किताबें पुरानी हैं।"], "किताबें", 1),
        (["הדלת צהובה", "מִגְדַּלוֹר גבוה"], "מגדלור", 1),
    ],
)
def test_lexical_search_works_in_other_scripts(texts, query, found):
    assert LexicalIndex(texts).search(query, 1) == [found]


@pytest.mark.parametrize(
    ("language", "text", "query"),
    [
        ("en", "The keepers were climbing.", "climbed"),
        ("de", "Die Häuser der Wärter.", "Haus"),
        ("es", "Los fareros cantaban.", "cantando"),
        ("fr", "Les gardiennes chantaient.", "chanter"),
        ("ru", "Смотрители маяков.", "маяка"),
        ("ar", "المنارات القديمة", "منارة"),
    ],
)
def test_words_are_stemmed_by_the_rules_of_the_texts_language(language, text, query):
    assert LexicalIndex(["...", text], language).search(query, 1) == [1]
    assert LexicalIndex(["...", text], "ru" if language == "en" else "en").search(query, 1) == []


def test_a_language_without_rules_is_stemmed_as_english():
    for language in ("zh-cn", "xx", "", "uk"):
        assert LexicalIndex(["The keepers climbed 守塔人"], language).search("keeper", 1) == [0]


def test_a_rare_term_counts_more_than_a_frequent_one_and_a_short_text_more_than_a_long_one():
    index = LexicalIndex(["lamp lamp lamp", "goat lamp", "lamp oil", "lamp " + "of the sea " * 30, "goat " * 2])
    assert index.search("goat lamp", 5)[0] == 1
    assert index.search("oil", 5) == [2]
    assert index.search("lamp", 5)[-1] == 3


def test_many_threads_find_what_one_finds(lighthouse):
    index = LexicalIndex(lighthouse.split("\n\n"))
    queries = [" ".join(lighthouse.split()[start : start + 8]) for start in range(0, 400, 8)]
    expected, begin = [index.search(query, 5) for query in queries], threading.Barrier(8)

    def search(_):
        begin.wait()
        return [index.search(query, 5) for query in queries]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(search, range(8)))


def test_building_is_stopped_within_a_second(lighthouse):
    texts, stop, ended = lighthouse.split("\n\n") * 4000, Stop(), []

    def build():
        with pytest.raises(Cancelled):
            LexicalIndex(texts, stop=stop)
        ended.append(time.perf_counter())

    thread = threading.Thread(target=build)
    thread.start()
    time.sleep(0.3)
    assert thread.is_alive()
    set_at = time.perf_counter()
    stop.set()
    thread.join(30)
    assert ended[0] - set_at < 1


def test_lexical_search_returns_only_texts_that_share_a_term():
    index = LexicalIndex(TEXTS)
    assert index.search("xylophone", 10) == []
    assert index.search("", 10) == []
    assert len(index.search("the", 2)) == 2


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["...", "!!"], ["\u0000"]])
def test_a_corpus_without_a_term_is_found_by_nothing(texts):
    index = LexicalIndex(texts)
    assert index.search("keeper", 10) == []
    assert index.search("\u0000", 10) == []


@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=30))
def test_lexical_search_takes_any_text(texts, query):
    found = LexicalIndex(texts).search(query, 3)
    assert len(found) <= 3
    for number in found:
        assert {word[:1] for word in words(texts[number])} & {word[:1] for word in words(query)}
