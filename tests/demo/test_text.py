"""The page speaks English and Chinese: every sentence in both, told apart by what the browser asks for."""

from __future__ import annotations

import ast
import re
import threading
from collections import Counter
from pathlib import Path
from string import Formatter

import gradio as gr
import pytest

from demo import text
from demo.i18n import labels, say_again

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = text.sentences("en"), text.sentences("zh")
# Addresses, models and words of a program; and what only programs read, which have a language of their own.
SAME = re.compile(r"TITLE|LOCAL|PLAIN|DEFAULT_MODELS\..*|KEYS_AT\..*|TOOLS?_.*|UNKNOWN_TOOL|COMPARISON_TIMES\..*")
NAMES = {
    "API", "Alt", "Azure", "BAAI", "Ctrl", "DOCX", "DeepSeek", "Endpoint", "Enter", "Esc", "Face", "GB", "HTTP", "Hub",
    "Hugging", "Keys", "MB", "MEMORAG", "MCP", "MemoRAG", "MemoRAGLite", "NAME", "OCR", "OpenAI", "PDF", "RAG",
    "RETRIEVER", "SSL", "Shift", "TXT", "Word", "and", "azure", "bge", "com", "connect", "context", "doc", "docx",
    "false", "host", "http", "https", "length", "localhost", "openai", "port", "token", "true", "v",
}  # fmt: skip


def fields(template):
    return Counter(name for _, name, _, _ in Formatter().parse(template) if name)


def bare(template):
    return "".join(literal for literal, _, _, _ in Formatter().parse(template))


def is_chinese(sentence):
    return bool(re.search("[\u4e00-\u9fff]", sentence))


# Both languages say the same


@pytest.mark.parametrize("name", [name for name in ENGLISH if not SAME.fullmatch(name)])
def test_every_sentence_is_said_in_chinese_with_the_same_values_in_it(name):
    assert fields(CHINESE[name]) == fields(ENGLISH[name])
    words = re.findall("[A-Za-z]+", bare(CHINESE[name]).replace("m3", ""))
    assert set(words) <= NAMES
    assert is_chinese(CHINESE[name]) or not set(re.findall("[A-Za-z]+", bare(ENGLISH[name]))) - NAMES


def test_chinese_has_no_sentence_of_its_own():
    assert not {name for name in CHINESE if name not in ENGLISH and not SAME.fullmatch(name)}


def test_tables_have_the_same_keys_in_both_languages():
    for name in {name.partition(".")[0] for name in ENGLISH if "." in name} | {"READY_PARTLY", "GOING_ON"}:
        english = getattr(text, name)
        with text.speaking("zh"):
            chinese = getattr(text, name)
        if name == "COMPARISON_TIMES":  # its keys are what is shown
            english, chinese = english.values(), chinese.values()
        assert list(english) == list(chinese)
    with text.speaking("zh"):
        chinese = text.OWN_QUESTIONS
    assert len(chinese) == len(text.OWN_QUESTIONS)
    assert all(map(is_chinese, chinese))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "demo").glob("english*.py")) + sorted((ROOT / "demo").glob("chinese*.py"))
)
def test_no_name_is_given_to_two_sentences(path):
    tree = ast.parse(path.read_text("utf-8"))
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    assert not [name for name, count in Counter(names).items() if count > 1 and name.isupper()]


def test_numbers_are_said_as_they_are_in_china():
    said = [text.size(2**31), text.duration(240), text.count(1_234_567), text.listing(["a", "b", "c"])]
    assert said == ["2.0 GB", "4 min", "1.2 million", "a, b and c"]
    with text.speaking("zh"):
        assert [text.size(500), text.size(2**31)] == ["500 字节", "2.0 GB"]
        assert [text.duration(5), text.duration(240), text.duration(9000)] == ["5 秒", "4 分钟", "2.5 小时"]
        assert [text.count(9_999), text.count(12_345), text.count(1_234_567)] == ["9,999", "1.2 万", "123 万"]
        assert text.count(250_000_000) == "2.5 亿"
        assert text.listing(["密钥", "地址"]) == "密钥和地址"


# Which language is spoken


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        (None, "en"),
        ("", "en"),
        ("*", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8,en-GB;q=0.7,en-US;q=0.6", "zh"),
        ("zh-TW,zh;q=0.8,en-US;q=0.5,en;q=0.3", "zh"),
        ("zh-HK", "zh"),
        ("ZH-Hans-CN", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8,zh;q=0.7", "en"),
        ("en;q=0.5, zh;q=0.8", "zh"),
        ("de-DE,de;q=0.9,zh;q=0.8,en;q=0.7", "zh"),
        ("fr-FR,fr;q=0.9", "en"),
        ("zh;q=0", "en"),
        ("zh;q=0, en;q=0.1", "en"),
        ("zhx, zhuang", "en"),
        ("zh;q=abc, en", "en"),
        ("zh;q=" + "9" * 5000, "en"),
        (";;;,,,=", "en"),
    ],
)
def test_a_browser_is_spoken_to_in_the_language_it_wants_most(accepted, code):
    assert text.language_of(accepted) == code


def test_languages_are_spoken_one_inside_the_other():
    assert (text.language(), text.ASK) == ("en", "Ask")
    with text.speaking("zh"):
        assert (text.language(), text.ASK) == ("zh", "提问")
        with text.speaking("en"):
            assert text.ASK == "Ask"
        assert text.ASK == "提问"
    with pytest.raises(ZeroDivisionError), text.speaking("zh"):
        _ = 1 / 0
    assert text.ASK == "Ask"


def test_threads_of_their_own_speak_english():
    heard = []
    with text.speaking("zh"):
        thread = threading.Thread(target=lambda: heard.append(text.ASK))
        thread.start()
        thread.join()
    assert heard == ["Ask"]


def test_what_is_no_sentence_is_missed_in_every_language():
    with text.speaking("zh"), pytest.raises(AttributeError, match="'NOTHING_LIKE_THIS'"):
        _ = text.NOTHING_LIKE_THIS
    with text.speaking("zh"):
        assert text.PLAIN == "rag"


# Labels that the browser puts into words


def test_a_label_must_be_a_sentence_that_needs_no_values():
    say = labels()
    assert say("ASK").key == "ASK"
    assert say.translations["zh-CN"]["MODES.rag"] == say.translations["zh-TW"]["MODES.rag"] == "普通 RAG"
    assert say.translations["en"]["MODES.rag"] == "Plain RAG"
    for unknown in ("ASKK", "MODES.none", "READY"):
        with pytest.raises(LookupError, match=unknown):
            say(unknown)


@pytest.mark.parametrize(("accepted", "is_told"), [("zh-HK", True), ("de, zh;q=0.5", True), ("en-GB", False)])
def test_a_page_is_put_into_words_again_where_the_browser_cannot(accepted, is_told):
    say = labels()
    with gr.Blocks() as demo:
        gr.Markdown(f"# {text.TITLE}\n{say('TAGLINE')}")
        gr.Textbox(label=say("KEY"), info=say("KEY_INFO"), placeholder="sk-")
        gr.Dropdown([(say("MODES.rag"), "rag"), ("MemoRAG", "memorag")], label=say("MODE"))
        gr.Button("plain")
        say_again(demo, say)
    (load,) = demo.fns.values()
    request = gr.Request(headers={"accept-language": accepted})
    updates = [{k: v for k, v in update.items() if k != "__type__"} for update in load.fn(request)]
    told = [
        {"value": f"# MemoRAG\n{CHINESE['TAGLINE']}"},
        {"label": "API 密钥", "info": CHINESE["KEY_INFO"]},
        {"label": "模式", "choices": [("普通 RAG", "rag"), ("MemoRAG", "memorag")]},
    ]
    assert updates == (told if is_told else [{}, {}, {}])
    assert [type(output).__name__ for output in load.outputs] == ["Markdown", "Textbox", "Dropdown"]
