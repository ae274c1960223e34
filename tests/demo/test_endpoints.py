"""What the public endpoints are built on; the endpoints themselves are used in tests/e2e/test_api.py."""

import logging
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from demo import text
from demo.api import Api, _uploaded, was_uploaded
from engine.errors import InputError


def test_only_files_in_the_upload_folder_count_as_uploaded(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    folder = tmp_path / "uploads"
    assert get_upload_folder() == str(folder)
    (tmp_path / "secret.txt").write_text("x")
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "mine.txt").write_text("x")
    (folder / "a" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert was_uploaded(folder / "a" / "mine.txt")
    assert not was_uploaded(tmp_path / "secret.txt")
    assert not was_uploaded(folder / "a" / ".." / ".." / "secret.txt")
    assert not was_uploaded(folder / "a" / "link.txt")


@pytest.mark.parametrize("as_gradio_gives_it", [lambda **facts: facts, lambda **facts: SimpleNamespace(**facts)])
def test_an_uploaded_file_comes_with_its_name_and_a_made_up_path_is_refused(tmp_path, monkeypatch, as_gradio_gives_it):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path, outside = tmp_path / "a" / "up.txt", tmp_path.parent / "outside.txt"
    path.parent.mkdir()
    for file in (path, outside):
        file.write_text("x")
    assert _uploaded(as_gradio_gives_it(path=str(path), orig_name="../My <b>file</b>.txt")) == (
        path,
        "../My <b>file</b>.txt",
    )
    assert _uploaded(as_gradio_gives_it(path=str(path), orig_name=None)) == (path, "up.txt")
    made_up = (f"{path}/../../../outside.txt", f"{path}x", f"{path}\x00", "x" * 5000, "", None, 5, ["a"])
    for bad in (str(outside), str(path.parent), *made_up):
        with pytest.raises(InputError):
            _uploaded(as_gradio_gives_it(path=bad, orig_name="a.txt"))


# What is of the wrong type

NO_TEXTS = [None, 5, 1.5, True, ["x"], {"a": 1}]


@pytest.fixture
def refused_by(idle_service, visitors, request_of, caplog):
    """Call an endpoint that refuses; returns the sentence. No traceback is written anywhere."""
    api = Api(idle_service, visitors)

    def call(name, *given):
        with caplog.at_level(logging.WARNING), pytest.raises(gr.Error) as refused:
            answer = getattr(api, name)(*given, request=request_of("program"))
            list(answer if name != "connect" else ())
        assert not refused.value.print_exception
        assert not caplog.records
        assert "\n" not in refused.value.message
        return refused.value.message

    return call


@pytest.mark.parametrize("value", NO_TEXTS)
def test_memorising_says_what_is_no_text(refused_by, value):
    expected = text.NOT_TEXT.format(name=text.CORPUS, value=value)
    assert refused_by("memorize", [], value) == expected
    assert refused_by("memorize", [{"path": "a.txt"}], value) == expected
    expected = text.NOT_TEXT.format(name=text.UNLOCK, value=type(value).__name__)
    assert refused_by("memorize", [], "tide-mill", value) == expected


@pytest.mark.parametrize("value", [None, 5, True, "a.txt", {"path": "a.txt"}])
def test_files_that_are_no_list_are_refused(refused_by, value):
    assert refused_by("memorize", value, "tide-mill") == text.NOT_FILES.format(value=value)


@pytest.mark.parametrize("file", [None, 5, "a.txt", [], ["a.txt"], {}, {"path": None}, {"path": 5}, {"path": ["a"]}])
def test_a_file_that_is_none_was_not_uploaded(refused_by, file):
    assert refused_by("memorize", [file], "") == text.FILE_NOT_UPLOADED


@pytest.mark.parametrize("value", NO_TEXTS)
@pytest.mark.parametrize("place", range(4))
def test_connecting_says_what_is_no_text(refused_by, place, value):
    names = (text.GENERATOR, text.MODEL, text.KEY, text.ADDRESS)
    given = ["compatible", "m", "k", "http://8.8.8.8/v1"]
    given[place] = value
    shown = type(value).__name__ if names[place] == text.KEY else value
    assert refused_by("connect", *given) == text.NOT_TEXT.format(name=names[place], value=shown)


def test_a_key_in_a_wrong_wrapping_is_not_repeated(refused_by):
    assert "sk-" not in refused_by("connect", "openai", "m", ["sk-secret"], "")
    assert "sesame" not in refused_by("memorize", [], "tide-mill", {"password": "sesame"})


@pytest.mark.parametrize("value", NO_TEXTS)
@pytest.mark.parametrize("place", range(2))
def test_asking_says_what_is_no_text(refused_by, place, value):
    given = ["Who?", "tide-mill"]
    given[place] = value
    assert refused_by("ask", *given) == text.NOT_TEXT.format(name=(text.QUESTION, text.CORPUS)[place], value=value)
