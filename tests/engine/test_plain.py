"""Texts are read in whatever encoding they come, block by block; binary files are refused whatever their name."""

from __future__ import annotations

import gzip
import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.documents import Limits, as_documents, read_document
from engine.plain import BLOCK
from tests.uploads import refused

CHINESE = "灯塔建于一八七四年。守塔人名叫马格努斯，他喜欢在海边散步，听海浪的声音。"
ENGLISH = "The keeper wrote the wind and the oil into his book every evening before he climbed the stair. "


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_text_is_read_in_its_encodings(encoding):
    assert read_document(CHINESE.encode(encoding), "灯塔.txt").text == CHINESE


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_read_with_either_byte_order_mark(encoding):
    assert read_document("\ufeffone\r\ntwo".encode(encoding)).text == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("L’été, le gardien – très âgé – répétait “déjà vu”.", "cp1252"),
        ("Café", "cp1252"),
        ("El señor Muñoz caminaba todos los días. ¿Quién lo sabía?", "cp1252"),
        ("Маяк был построен в 1874 году на острове. Смотритель любил гулять.", "cp1251"),
        ("燈塔建於一八七四年。守塔人名叫馬格努斯，他喜歡在海邊散步。", "big5"),
        ("灯台は1874年に建てられました。海の見える丘の上にあります。", "cp932"),
    ],
)
def test_legacy_encodings_are_told_apart(text, encoding):
    assert read_document(text.encode(encoding)).text == text


def test_bytes_that_fit_no_encoding_still_become_text():
    assert read_document(b"abc \xff\xff\xff\xff def").text.startswith("abc ")


@pytest.mark.parametrize("newline", ["\n", ""])
@pytest.mark.parametrize("preface", ["", "An English preface. " * 5000])
def test_a_long_text_is_recognised_by_its_first_foreign_stretch(preface, newline):
    text = preface + (CHINESE + newline) * 1500 + ("a, " + CHINESE + newline) * 3000
    assert read_document(text.encode("gb18030")).text == text


def test_a_broken_character_does_not_change_the_encoding():
    text = read_document((CHINESE * 20).encode() + b"\xe7\x81").text
    assert text == CHINESE * 20 + "\ufffd"


def test_newlines_form_feeds_and_controls_are_normalised():
    text = "one\r\ntwo\rthree\ffour\vfive\tsix\x1b\x7f" + " and much more text" * 5
    assert read_document(text.encode()).text == "one\ntwo\nthree\n\nfour\nfive\tsix" + " and much more text" * 5


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\r\t\f\v")))
def test_any_text_survives_utf8_and_equals_plain_context(text):
    assume(text.removeprefix("\ufeff").strip() and "%PDF-" not in text)
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\v", "\n")
    document = read_document(text.encode(), "any.txt")
    assert document.text == expected.replace("\f", "\n\n")
    assert document.text == as_documents(text)[0].text


# Every encoding that people have, in a sentence of its language and in one sentence inside a long English text.

SENTENCES = [
    ("Où étaient les bateaux égarés ? Personne n’a répondu à la fête du village.", "cp1252"),
    ("Später hörte man draußen Möwen über den Dächern schreien.", "iso8859-1"),
    ("Le bœuf a coûté 5 € à la foire, très près de l'été.", "iso8859-15"),
    ("Latarniczka otworzyła ciężkie drzwi i zauważyła, że łódź już odpłynęła.", "cp1250"),
    ("Strážce majáku otevřel těžké dveře a uviděl, že loď už odplula.", "iso8859-2"),
    ("A világítótorony őre kinyitotta a nehéz ajtót, és látta, hogy a hajó elúszott.", "iso8859-2"),
    ("Смотритель маяка открыл тяжёлую дверь и увидел, что лодка уже ушла.", "cp1251"),
    ("Смотритель маяка открыл тяжёлую дверь и увидел, что лодка уже ушла.", "koi8-r"),
    ("Смотритель маяка открыл тяжёлую дверь и увидел, что лодка уже ушла.", "iso8859-5"),
    ("Ο φύλακας του φάρου άνοιξε τη βαριά πόρτα και είδε ότι το πλοίο έφυγε.", "iso8859-7"),
    ("Deniz fenerinin bekçisi ağır kapıyı açtı ve geminin gittiğini gördü.", "iso8859-9"),
    ("守塔人推开沉重的门，看见那条船已经离开了。", "gb18030"),
    ("守塔人推開沉重的門，看見那條船已經離開了。", "big5"),
    ("灯台守は重い扉を開けて、船がもう出てしまったことに気づいた。", "shift_jis"),
    ("灯台守は重い扉を開けて、船がもう出てしまったことに気づいた。", "euc_jp"),
    ("등대지기는 무거운 문을 열고 배가 이미 떠난 것을 보았다.", "euc_kr"),
    ("Смотритель открыл дверь. The keeper had left 😀.", "utf-8"),
    ("Смотритель открыл дверь. The keeper had left 😀.", "utf-32"),
    ("Смотритель открыл дверь. The keeper had left 😀.", "utf-16-le"),
    ("守塔人推开沉重的门。\n看见那条船 (1874) 已经离开了。\n", "utf-16-be"),
]


@pytest.mark.parametrize(("sentence", "encoding"), SENTENCES)
def test_every_encoding_is_recognised_by_a_sentence(sentence, encoding):
    assert read_document(sentence.encode(encoding)).text == sentence


@pytest.mark.parametrize(("sentence", "encoding"), SENTENCES)
def test_every_encoding_is_recognised_by_one_sentence_in_a_long_text(sentence, encoding):
    text = ENGLISH * 300 + "\n" + sentence + "\n" + ENGLISH * 100
    assert read_document(text.encode(encoding)).text == text


@pytest.mark.parametrize("text", ["Café", "naïve", "señor Muñoz", "“quoted”", "fünf Äpfel", "25 °C", "A guardiã não"])
def test_a_single_odd_letter_is_western(text):
    spread = (ENGLISH * 20 + text + " ") * 3
    assert read_document(spread.encode("cp1252")).text == spread


def test_a_typographic_apostrophe_beside_an_accent_is_western():
    assert read_document(" L’été, à la mer.".encode("cp1252")).text == " L’été, à la mer."


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_first_odd_byte_may_be_far_into_the_file(encoding):
    text = ENGLISH * (3 * BLOCK // len(ENGLISH)) + "L’été à la mer – très agréable."
    assert read_document(text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32", "gb18030", "shift_jis", "euc_kr"])
@pytest.mark.parametrize("shift", range(4))
def test_a_character_may_lie_across_the_edge_of_a_block(encoding, shift):
    sentence = {
        "shift_jis": "灯台守は重い扉を開けた。",
        "euc_kr": "등대지기는 문을 열었다. ",
        "gb18030": "守塔人推开沉重的门。",
    }
    repeated = sentence.get(encoding, "😀x")
    text = "a" * shift + repeated * (BLOCK // len(repeated.encode(encoding)) + 2) + "\n"
    assert read_document(text.encode(encoding)).text == text


@pytest.mark.parametrize("shift", range(2))
@pytest.mark.parametrize("end", ["", "\r", "\r\n", "x"])
def test_a_newline_may_lie_across_the_edge_of_a_block(shift, end):
    data = b"a" * shift + b"\r\n" * (BLOCK // 2) + end.encode()
    assert read_document(data + b"z").text == data.decode().replace("\r\n", "\n").replace("\r", "\n") + "z"
    assert read_document(b"z" + data).text == "z" + data.decode().replace("\r\n", "\n").replace("\r", "\n")


def test_a_blank_block_inside_a_text_is_kept():
    text = "one" + "\n" * (2 * BLOCK) + "two"
    assert read_document(text.encode()).text == text


def test_a_damaged_text_is_read_and_says_so():
    document = read_document((CHINESE * 20).encode() + b"\xe7\x81", "a.txt")
    assert document.notes == ('"a.txt" holds 1 broken characters; each is shown as \ufffd.',)
    assert read_document(CHINESE.encode()).notes == ()


def test_utf16_cut_in_the_middle_of_a_character_is_read():
    assert read_document("\ufefftwo words".encode("utf-16-le")[:-1]).text == "two word\ufffd"


def test_a_text_that_grows_too_long_is_refused_while_it_is_read():
    seen = []
    data = b"word " * BLOCK
    message = refused(data, "long.txt", limits=Limits(max_characters=BLOCK + 1), on_progress=seen.append)
    assert f"more than {BLOCK + 1:,} characters" in message
    assert [event.done for event in seen] == [BLOCK]
    assert seen[0].total == len(data)


def test_html_named_txt_is_a_text():
    html = "<!doctype html><html><body>Some words.</body></html>"
    assert read_document(html.encode(), "page.txt").text == html


def database(folder: Path) -> bytes:
    with sqlite3.connect(folder / "a.db") as connection:
        connection.execute("create table notes (words text)")
        connection.execute("insert into notes values (?)", (ENGLISH * 50,))
    connection.close()
    return (folder / "a.db").read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(50),
        b"text\0text",
        b"one\0two\0three\0" * 50,
        b"\xff\xfe\x00\xd8\x00\xd8",
        b"\xff\xfe" + bytes(range(256)) * 8,
        bytes(range(1, 256)) * 4,
        gzip.compress(ENGLISH.encode() * 99),
        ENGLISH.encode() * 20_000 + bytes(4096) + ENGLISH.encode(),  # a disk image, say
        (ENGLISH * 20_000).encode("utf-16-le") + b"\0\0\xff\xdf" * BLOCK,
    ],
    ids=["png", "nul", "list", "halves", "bom", "every-byte", "gzip", "image", "late"],
)
def test_binary_content_is_refused(data):
    assert "binary" in refused(data, "a.txt")


def test_programs_and_databases_named_txt_are_refused(tmp_path):
    assert "binary" in refused(database(tmp_path), "a.txt")
    assert "binary" in refused(Path(sys.executable).resolve().read_bytes()[: 2**20], "a.txt")
