"""Lexical search: terms of any script, and texts that share rare ones."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import example, given
from hypothesis import strategies as st

from engine import lexical, postings
from engine.errors import Cancelled
from engine.events import Stop
from engine.lexical import LexicalIndex, stemmer_of, words
from tests.stopping import seconds_to_stop

TEXTS = [
    "The tower was built of pale granite from the quarry at Brannoch.",
    "The first keeper was Isolde Marrick, the widow of a pilot.",
    "The door at the foot of the tower is painted saffron yellow.",
    "A steam horn called Old Gertrude was sounded in thick weather.",
    "灯塔建于一八七四年，守塔人名叫马格努斯。",
    "",
]


def best(index: LexicalIndex, query: str, hits: int) -> list[int]:
    """The numbers of the texts that share a term with the query, best first."""
    scores = index.scores(query)
    return [int(i) for i in np.argsort(-scores, kind="stable")[:hits] if scores[i] > 0]


def plain(texts, query, language="en"):
    """The scores and frequencies that bm25s itself finds for a query, from the terms of whole texts."""
    corpus = [words(text, stemmer_of(language)) for text in texts]
    terms = [term for term in words(query, stemmer_of(language)) if any(term in text for text in corpus)]
    frequencies = {term: sum(term in text for text in corpus) for term in words(query, stemmer_of(language))}
    if not terms:
        return np.zeros(len(texts)), frequencies
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    return index.get_scores(terms), frequencies


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


@given(st.text(max_size=40))
@example("a\u0345 \u03a3\u00a0\u0301b\u2003\u1100\x1f\u1161 \u0e33 \u200d i\u0307")
def test_no_term_reaches_across_white_space(text):
    assert [term for part in text.split() for term in words(part)] == words(text)


# Lexical search


def test_lexical_search_finds_the_texts_that_share_rare_words():
    index = LexicalIndex(TEXTS)
    assert best(index, "Who was the first keeper?", 10)[0] == 1
    assert best(index, "doors painted yellow", 10)[0] == 2
    assert best(index, "Gertrude", 10) == [3]


def test_lexical_search_works_in_chinese():
    index = LexicalIndex(TEXTS)
    assert best(index, "守塔人叫什么名字？", 10) == [4]
    assert best(LexicalIndex(["登塔要爬214级台阶。", "门是黄色的。"]), "214", 10) == [0]


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
    assert best(LexicalIndex(texts), query, 1) == [found]


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
    assert best(LexicalIndex(["...", text], language), query, 1) == [1]
    assert best(LexicalIndex(["...", text], "ru" if language == "en" else "en"), query, 1) == []


def test_a_language_without_rules_is_stemmed_as_english():
    for language in ("zh-cn", "xx", "", "uk"):
        assert best(LexicalIndex(["The keepers climbed 守塔人"], language), "keeper", 1) == [0]


def test_a_rare_term_counts_more_than_a_frequent_one_and_a_short_text_more_than_a_long_one():
    index = LexicalIndex(["lamp lamp lamp", "goat lamp", "lamp oil", "lamp " + "of the sea " * 30, "goat " * 2])
    assert best(index, "goat lamp", 5)[0] == 1
    assert best(index, "oil", 5) == [2]
    assert best(index, "lamp", 5)[-1] == 3


@given(
    st.lists(st.text(st.sampled_from("ab c.灯塔é\n"), max_size=30), min_size=1, max_size=8),
    st.text("ab c灯塔", max_size=9),
)
def test_scores_are_those_of_bm25s_for_any_text(texts, query):
    index, (scores, frequencies) = LexicalIndex(texts), plain(texts, query)
    np.testing.assert_allclose(index.scores(query), scores, rtol=1e-6, atol=1e-6)
    assert index.frequencies(query) == frequencies


@pytest.mark.parametrize("limits", [(1 << 17, 1 << 16, 1 << 18), (50, 1 << 16, 3), (1, 1 << 16, 1), (1 << 17, 2, 100)])
def test_scores_are_those_of_bm25s_however_large_the_steps_are(lighthouse, monkeypatch, limits):
    terms, texts_at_once, known = limits
    monkeypatch.setattr(postings, "_BLOCK_TERMS", terms)
    monkeypatch.setattr(postings, "_BLOCK_TEXTS", texts_at_once)
    monkeypatch.setattr(lexical, "_KNOWN", known)
    texts = ["", *lighthouse.split("\n\n"), "tower " * 300, "..."]
    index = LexicalIndex(texts)
    for query in ("Who was the first keeper of the tower?", "the the lamp", "xylophone", "a tower, painted yellow"):
        scores, frequencies = plain(texts, query)
        np.testing.assert_allclose(index.scores(query), scores, rtol=1e-6)
        assert index.frequencies(query) == frequencies


def test_the_size_is_that_of_what_is_held(lighthouse):
    texts = lighthouse.split("\n\n")
    pairs = sum(len(set(words(text, stemmer_of("en")))) for text in texts)
    terms = len(set(words(lighthouse, stemmer_of("en"))))
    assert LexicalIndex(texts).nbytes == 8 * pairs + 16 * terms + 8
    assert LexicalIndex([]).nbytes < 100


def test_texts_are_gone_through_once_and_not_kept(lighthouse):
    class Once:
        """Texts that are made when they are asked for, and only once."""

        def __init__(self):
            self.made = 0

        def __len__(self):
            return len(TEXTS)

        def __contains__(self, text):
            return text in TEXTS

        def __iter__(self):
            for text in TEXTS:
                self.made += 1
                yield text

    once = Once()
    assert best(LexicalIndex(once), "Gertrude", 10) == [3]
    assert once.made == len(TEXTS)


def test_progress_counts_texts_and_comes_to_an_end(lighthouse):
    seen = []
    LexicalIndex(lighthouse.split("\n\n") * 300, on_progress=seen.append)
    done = [event.done for event in seen]
    assert {event.stage for event in seen} == {"indexing words"}
    assert len(done) > 2
    assert done == sorted(set(done))
    assert done[-1] == seen[-1].total


def test_many_different_terms_need_little_memory():
    texts = [" ".join(f"{n * 7919 % 10_000_019:x}{n}" for n in range(at, at + 50)) for at in range(0, 200_000, 50)]
    tracemalloc.start()
    index = LexicalIndex(texts)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 6e6, "24 bytes a term, and no word is kept"
    assert peak < 90e6
    assert best(index, texts[7][:30], 1) == [7]


def test_many_threads_find_what_one_finds(lighthouse):
    index = LexicalIndex(lighthouse.split("\n\n"))
    queries = [" ".join(lighthouse.split()[start : start + 8]) for start in range(0, 400, 8)]
    expected, begin = [best(index, query, 5) for query in queries], threading.Barrier(8)

    def search(_):
        begin.wait()
        return [best(index, query, 5) for query in queries]

    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(search, range(8)))


def test_building_is_stopped_at_once(lighthouse):
    texts = lighthouse.split("\n\n") * 4000
    assert seconds_to_stop(lambda stop: LexicalIndex(texts, stop=stop)) < 3


def test_putting_the_terms_together_can_be_stopped(lighthouse):
    builder, stop = postings.PostingsBuilder(), Stop()
    for text in lighthouse.split("\n\n"):
        builder.add([hash(term) for term in words(text)])
    stop.set()
    with pytest.raises(Cancelled):
        builder.finish(stop)


def test_lexical_search_returns_only_texts_that_share_a_term():
    index = LexicalIndex(TEXTS)
    assert best(index, "xylophone", 10) == []
    assert best(index, "", 10) == []
    assert len(best(index, "the", 2)) == 2


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["...", "!!"], ["\u0000"]])
def test_a_corpus_without_a_term_is_found_by_nothing(texts):
    index = LexicalIndex(texts)
    assert best(index, "keeper", 10) == []
    assert best(index, "\u0000", 10) == []


@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=30))
def test_lexical_search_takes_any_text(texts, query):
    found = best(LexicalIndex(texts), query, 3)
    assert len(found) <= 3
    for number in found:
        assert {word[:1] for word in words(texts[number])} & {word[:1] for word in words(query)}
