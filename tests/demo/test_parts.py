"""What the page takes from a caller who writes requests by hand: texts, and files that were uploaded."""

import gradio as gr
import pytest
from gradio import processing_utils
from gradio.routes import App
from starlette.testclient import TestClient

from demo import text
from demo.parts import Name, Ticks
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


@pytest.fixture
def uploaded(tmp_path):
    """A file where uploads come to."""
    path = tmp_path / "uploads" / ("0" * 64) / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("A word or two.")
    return path


# The conversation


def test_no_handler_takes_the_conversation_from_the_page(page):
    """In it, a message may name any component with any arguments, which Gradio would build in the server."""
    taken = {block.elem_id for known in page.fns.values() for block in known.inputs if getattr(block, "elem_id", None)}
    assert {"question", "conversation", "corpus"} <= taken
    assert "chat" not in taken


# Addresses in place of files


@pytest.mark.parametrize("path", [ADDRESS, "https://example.org/a.txt"])
def test_a_file_that_is_given_by_its_address_is_not_fetched(call, path, capfd):
    status, answer = call("take", [{"path": path, "meta": META}], [])
    assert status == 500
    assert answer["error"] == text.NO_DOWNLOADS
    assert "Traceback" not in capfd.readouterr().err


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
    for name in ("", None, 5, ["tide-mill"], "\x00"):
        status, answer = call("memorise", ticked, "", name)
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
    assert all(isinstance(block, Ticks) for block in page.blocks.values() if isinstance(block, gr.CheckboxGroup))
    names = {block.elem_id: block.get_block_name() for block in page.blocks.values() if getattr(block, "elem_id", None)}
    assert (names["chat"], names["waiting"], names["corpus"]) == ("chatbot", "checkboxgroup", "dropdown")
