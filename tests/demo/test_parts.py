"""What the page takes from a caller who writes requests by hand: texts, and files that were uploaded."""

import gradio as gr
import pytest
from gradio import processing_utils
from gradio.routes import App
from starlette.testclient import TestClient

from demo import text
from demo.parts import Chat, Name, Ticks
from demo.ui import build

ADDRESS = "http://93.184.216.34/large.txt"
META = {"_type": "gradio.FileData"}


@pytest.fixture
def page(idle_service, tmp_path, monkeypatch):
    """The real page over a service without models."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    # Put back afterwards: building the page replaces it for the whole process.
    download = processing_utils.async_ssrf_protected_download
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", download)
    return build(idle_service)


@pytest.fixture
def call(page):
    """Call a handler of the page; returns the status and what came back."""
    client = TestClient(App.create_app(page))

    def post(name, *data):
        answer = client.post(f"/gradio_api/run/{name}", json={"data": list(data), "session_hash": "by hand"})
        return answer.status_code, answer.json()

    return post


def message(content):
    return [{"role": "assistant", "content": [content], "metadata": None, "options": None}]


def component(kind, value, **arguments):
    return {"type": "component", "component": kind, "value": value, "constructor_args": arguments, "props": {}}


@pytest.fixture
def uploaded(tmp_path):
    """A file where uploads come to."""
    path = tmp_path / "uploads" / ("0" * 64) / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("A word or two.")
    return path


# The conversation


def test_a_conversation_of_texts_is_taken(call):
    status, answer = call("stopped", message({"type": "text", "text": "The wheel has 36 paddles."}))
    assert status == 200
    assert "36 paddles" in str(answer["data"][0])


@pytest.mark.parametrize(
    "content",
    [
        component("image", {"path": "a.png"}),
        component("textbox", "x"),
        component("html", "<b>x</b>"),
        component("code", "x", language="python"),
        component("no_such_component", "x"),
    ],
)
def test_a_message_that_names_a_component_builds_none(call, content, monkeypatch, capfd):
    built = []
    monkeypatch.setattr("gradio.components.chatbot.import_component_and_data", built.append)
    status, answer = call("stopped", message(content))
    assert status == 500
    assert answer["error"] == text.ONLY_TEXTS
    assert built == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_message_with_a_file_is_refused_also_where_it_was_uploaded(call, uploaded):
    status, answer = call("stopped", message({"type": "file", "file": {"path": str(uploaded), "meta": META}}))
    assert status == 500
    assert answer["error"] == text.ONLY_TEXTS
    assert uploaded.read_text() == "A word or two."


def test_no_conversation_opens_a_file_of_the_server(call, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret word")
    for facts in ({"path": str(secret)}, {"path": str(secret), "meta": META}):
        for content in ({"type": "file", "file": facts}, component("file", facts), component("image", facts)):
            status, answer = call("stopped", message(content))
            assert status == 500
            assert "secret word" not in str(answer)


# Addresses in place of files


@pytest.mark.parametrize("path", [ADDRESS, "https://example.org/a.txt"])
def test_a_file_that_is_given_by_its_address_is_not_fetched(call, path, capfd):
    status, answer = call("take", [{"path": path, "meta": META}], [])
    assert status == 500
    assert answer["error"] == text.NO_DOWNLOADS
    assert "Traceback" not in capfd.readouterr().err


def test_nor_is_one_in_the_conversation(call):
    for content in (
        {"type": "file", "file": {"path": ADDRESS, "meta": META}},
        component("image", {"path": ADDRESS, "meta": META}),
    ):
        status, answer = call("stopped", message(content))
        assert status == 500
        assert answer["error"] == text.NO_DOWNLOADS


def test_a_file_that_was_uploaded_is_taken(call, uploaded):
    status, answer = call("take", [{"path": str(uploaded), "meta": META}], [])
    assert status == 200
    assert text.FILES_READY.format(count=1, size="14 bytes") in str(answer)
    assert not uploaded.exists()


def test_of_two_visitors_who_upload_the_same_bytes_at_once_the_second_is_told_to_do_it_again(page, uploaded):
    file = {"path": str(uploaded), "orig_name": "a.txt", "meta": META}
    said = []
    for session in ("anna", "bert"):
        client = TestClient(App.create_app(page))
        answer = client.post("/gradio_api/run/take", json={"data": [[file], []], "session_hash": session})
        assert answer.status_code == 200
        said.append(answer.text)
    assert "Press Memorise" in said[0]
    assert text.FILE_NOT_UPLOADED in said[1]
    assert "upload it again" in said[1]


# What is chosen


@pytest.mark.parametrize("ticked", [None, [], ["0" * 32], "0" * 32, 5, {"a": 1}, [None, 5, ["x"], {"a": 1}, "x"]])
def test_ticks_from_before_a_restart_or_odd_ones_are_no_error(call, ticked):
    assert call("look", "tide-mill", ticked)[0] == 200
    assert call("weigh", ticked)[0] == 200
    status, answer = call("memorise", ticked, "")
    assert status == 200
    assert text.NO_FILES in str(answer)


@pytest.mark.parametrize("corpus", [None, "", "mine-from-before-a-restart", 5, ["tide-mill"], {"a": 1}, "\x00"])
def test_a_corpus_from_before_a_restart_or_an_odd_one_is_no_error(call, corpus):
    assert call("look", corpus, [])[0] == 200
    status, answer = call("choose", corpus)
    assert status == 200
    assert text.CHOOSE in str(answer)


def test_only_texts_come_through_and_nothing_is_no_choice():
    with gr.Blocks():
        ticks, name = Ticks(), Name()
    assert ticks.preprocess(["a", 5, None, "b"]) == ["a", "b"]
    assert ticks.preprocess(None) == ticks.preprocess("a") == []
    assert name.preprocess("a") == "a"
    assert name.preprocess(None) == name.preprocess(["a"]) == name.preprocess(5) == ""


def test_the_page_is_made_of_these_parts_and_shown_as_gradios_own(page):
    kinds = {gr.Chatbot: Chat, gr.CheckboxGroup: Ticks}
    for block in page.blocks.values():
        for plain, careful in kinds.items():
            assert not isinstance(block, plain) or isinstance(block, careful)
    names = {block.elem_id: block.get_block_name() for block in page.blocks.values() if getattr(block, "elem_id", None)}
    assert (names["chat"], names["waiting"], names["corpus"]) == ("chatbot", "checkboxgroup", "dropdown")
