"""The language of a text: the same text always gives the same answer, and most of the text decides."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import language
from engine.language import language_of
from engine.prompt import prompts_for

ENGLISH = "The keeper climbed the stair every evening and lit the lamp before the ships came in from the sea. "
CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
TRADITIONAL = (
    "燈塔建於一八七四年。守塔人名叫馬格努斯，他喜歡在海邊散步，聽海浪的聲音。這裡的人說，他從來沒有離開過這座島。"
)
JAPANESE = "灯台は一八七四年に建てられた。灯台守の名はマグヌスで、海辺を散歩して波の音を聞くのが好きだった。"
KOREAN = "등대는 1874년에 세워졌다. 등대지기는 바닷가를 걸으며 파도 소리를 듣는 것을 좋아했다."
THAI = "ประภาคารสร้างขึ้นในปี พ.ศ. 2417 ผู้ดูแลชอบเดินเล่นริมทะเลและฟังเสียงคลื่น"
SPANISH = "El faro se construyó en 1874. Al guardián le gustaba pasear junto al mar y escuchar las olas. "
FRENCH = "Le phare fut construit en 1874. Le gardien aimait se promener au bord de la mer. "
GERMAN = "Der Wärter stieg jeden Abend die Treppe hinauf und zündete die Lampe an, bevor die Schiffe kamen. "
HINDI = "प्रकाशस्तंभ 1874 में बनाया गया था। रखवाले को समुद्र के किनारे टहलना पसंद था।"
# English or Dutch, as chance will have it: the detector draws letters at random.
AMBIGUOUS = "Hello world"
ARABIC = "بنيت المنارة عام 1874. كان الحارس يحب المشي على شاطئ البحر وسماع صوت الأمواج."
LANGUAGES = {
    "en": ENGLISH,
    "zh-cn": CHINESE,
    "zh-tw": TRADITIONAL,
    "ja": JAPANESE,
    "ko": KOREAN,
    "th": THAI,
    "es": SPANISH,
    "fr": FRENCH,
    "de": GERMAN,
    "hi": HINDI,
    "ar": ARABIC,
}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("times", [1, 300], ids=["short", "long"])
def test_a_language_is_recognised(code, times):
    assert language_of([LANGUAGES[code] * times]) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("海", "zh-cn"),
        ("李明", "zh-cn"),
        ("北京大学", "zh-cn"),
        ("我們明天再去吧", "zh-tw"),
        ("東京大学の図書館", "ja"),
        ("これは本です", "ja"),
        ("서울대학교 도서관", "ko"),
        ("大韓民國은 民主共和國이다.", "ko"),
        ("ประตู", "th"),
        ("¿Quién fue el primer guardián?", "es"),
        ("Qui était le premier gardien ?", "fr"),
        ("Die Tür ist gelb.", "de"),
        ("दरवाज़ा पीला है", "hi"),
        ("الباب أصفر", "ar"),
        ("Who was the first keeper?", "en"),
    ],
)
def test_a_few_words_are_enough(text, code):
    assert language_of([text]) == code


@pytest.mark.parametrize("texts", [["1234 5678"], ["...."], [" "], [""], ["=== 12.5 ==="], [], ["", "42", ""]])
def test_where_there_is_nothing_to_go_by_it_is_english(texts):
    assert language_of(texts) == "en"


@pytest.mark.parametrize("code", ["en", "es", "fr", "de"])
def test_a_text_in_capitals_has_a_language(code):
    assert language_of([LANGUAGES[code].upper()]) == code


# Most of the text decides


def test_a_preface_in_another_language_does_not_decide():
    assert language_of([ENGLISH * 50 + CHINESE * 500]) == "zh-cn"


def test_a_long_licence_does_not_outweigh_a_chinese_text_with_fewer_letters():
    licence, novel = ENGLISH * 100, CHINESE * 200
    assert len(licence) > len(novel)
    assert language_of([licence + novel]) == "zh-cn"
    assert language_of([licence, novel]) == "zh-cn"


def test_names_in_latin_letters_do_not_make_a_chinese_text_english():
    assert (
        language_of(["马格努斯 Magnus 先生在 Skerrow Holm 岛上住了三十年，他的朋友 Isolde Marrick 也来了。"]) == "zh-cn"
    )
    assert language_of([f"{CHINESE} Magnus Quenneville, Isolde Marrick. " * 200]) == "zh-cn"


def test_names_in_chinese_do_not_make_an_english_text_chinese():
    assert language_of([ENGLISH + "His name was 马格努斯."]) == "en"


def test_a_few_kana_do_not_make_a_chinese_text_japanese():
    assert language_of([CHINESE + "店名叫「の」。"]) == "zh-cn"


def test_the_two_ways_to_write_chinese_do_not_lose_for_being_two():
    text = [CHINESE * 60, TRADITIONAL * 45, ENGLISH * 100]
    assert language_of(text) in ("zh-cn", "zh-tw")


def test_all_documents_count_by_their_length():
    assert language_of([GERMAN, SPANISH * 30, FRENCH * 10]) == "es"
    assert language_of([GERMAN] * 400 + [ENGLISH * 100]) == "de"


def test_a_text_that_changes_its_language_at_equal_distances_has_the_language_of_most_of_it():
    page = ENGLISH * 5 + GERMAN * 15
    assert language_of([page * language._SAMPLES]) == "de"


# Always the same


def test_a_short_ambiguous_text_always_gets_the_same_answer():
    assert len({language_of([AMBIGUOUS]) for _ in range(20)}) == 1


def test_threads_that_ask_first_and_at_once_get_the_answers_of_one():
    language._factory.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [*LANGUAGES.values(), AMBIGUOUS] * 4
        at_once = list(pool.map(lambda text: language_of([text]), asked))
    assert at_once == [language_of([text]) for text in asked]


def test_other_users_of_the_detector_change_nothing(monkeypatch):
    from langdetect import DetectorFactory, detect

    before = language_of([AMBIGUOUS])
    monkeypatch.setattr(DetectorFactory, "seed", 99)
    detect(THAI)
    assert language_of([AMBIGUOUS]) == before


def test_a_hundred_megabytes_take_less_than_a_second():
    language_of([ENGLISH])  # the profiles are loaded
    for text in (ENGLISH, CHINESE):
        texts = [text * (100_000_000 // len(text))]
        began = time.perf_counter()
        language_of(texts)
        assert time.perf_counter() - began < 1


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_text_has_a_language_with_templates(texts):
    code = language_of(texts)
    assert code == "en" or prompts_for(code).language == code.partition("-")[0] != "en"
