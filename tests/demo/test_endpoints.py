"""What the public endpoints are built on; the endpoints themselves are used in tests/e2e/test_api.py."""

import logging
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from demo import text
from demo.api import Api, _told
from demo.given import ANSWER_CHARACTERS, MOST_TURNS, turns_of, uploaded, was_uploaded, written
from demo.session import QUESTION_CHARACTERS
from engine.errors import InputError
from engine.events import Turn


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
    assert uploaded(as_gradio_gives_it(path=str(path), orig_name="../My <b>file</b>.txt")) == (
        path,
        "../My <b>file</b>.txt",
    )
    assert uploaded(as_gradio_gives_it(path=str(path), orig_name=None)) == (path, "up.txt")
    for named in (str(path), f"http://localhost:7860/gradio_api/file={path}"):
        assert uploaded(named) == (path, "up.txt")
    for elsewhere in (str(outside), f"http://localhost:7860/gradio_api/file={outside}", "http://example.org/up.txt"):
        with pytest.raises(InputError):
            uploaded(elsewhere)
    made_up = (f"{path}/../../../outside.txt", f"{path}x", f"{path}\x00", "x" * 5000, "", None, 5, ["a"])
    for bad in (str(outside), str(path.parent), *made_up):
        with pytest.raises(InputError):
            uploaded(as_gradio_gives_it(path=bad, orig_name="a.txt"))


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


@pytest.mark.parametrize("value", NO_TEXTS)
def test_a_text_to_memorise_and_its_title_are_texts(refused_by, value):
    assert refused_by("memorize", [], "", "", value) == text.NOT_TEXT.format(name=text.WRITTEN, value=value)
    assert refused_by("memorize", [], "", "", "x", value) == text.NOT_TEXT.format(name=text.WRITTEN_TITLE, value=value)


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
@pytest.mark.parametrize("endpoint", ["ask", "evidence"])
def test_asking_says_what_is_no_text(refused_by, endpoint, place, value):
    given = ["Who?", "tide-mill"]
    given[place] = value
    assert refused_by(endpoint, *given) == text.NOT_TEXT.format(name=(text.QUESTION, text.CORPUS)[place], value=value)


@pytest.mark.parametrize("mode", ["qa", "full", "magic", ""])
def test_evidence_is_found_in_modes_that_use_any(refused_by, mode):
    expected = text.BAD_MODE.format(mode=mode, known="memorag, rag, summarize")
    assert refused_by("evidence", "Who?", "tide-mill", mode) == expected


# Earlier turns


def test_turns_are_pairs_or_objects_of_question_and_answer():
    given = [["Who?", "Oswin [1]."], {"question": "Where?", "answer": ""}]
    assert turns_of(given) == (Turn("Who?", "Oswin [1]."), Turn("Where?", ""))
    assert turns_of([]) == ()


@pytest.mark.parametrize("value", [None, 5, True, "Who?", {"question": "Who?", "answer": "Oswin."}])
def test_a_history_that_is_no_list_is_refused(refused_by, value):
    sentence = text.BAD_HISTORY.format(value=value)
    assert refused_by("ask", "Who?", "tide-mill", text.LOCAL, 0.0, 50, "rag", False, value) == sentence
    assert refused_by("evidence", "Who?", "tide-mill", "rag", value) == sentence


@pytest.mark.parametrize(
    "turn",
    [None, "Who?", 5, [], ["Who?"], ["Who?", None], ["Who?", "Oswin.", "x"], [["Who?"], "x"], {}, {"question": "Who?"}],
)
def test_a_turn_that_is_none_is_named_by_its_number(turn):
    with pytest.raises(InputError, match="Turn 2"):
        turns_of([["Who?", "Oswin."], turn])


def test_a_history_has_limits():
    longest = ["q" * QUESTION_CHARACTERS, "a" * ANSWER_CHARACTERS]
    assert len(turns_of([longest] * MOST_TURNS)) == MOST_TURNS
    for bad in (
        [["q" * (QUESTION_CHARACTERS + 1), ""]],
        [["", "a" * (ANSWER_CHARACTERS + 1)]],
        [["", ""]] * (MOST_TURNS + 1),
    ):
        with pytest.raises(InputError, match="at most") as refused:
            turns_of(bad)
        assert len(str(refused.value)) < 150, "what was given is not repeated"


# A text in place of files


@pytest.mark.parametrize(
    ("title", "name"),
    [("", "text.txt"), (" My notes ", "My notes.txt"), ("a.TXT", "a.TXT"), ("../../etc/x", "../../etc/x.txt")],
)
def test_a_text_becomes_a_file_among_the_uploads(tmp_path, monkeypatch, title, name):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    path, called = written("Möwe 海鸥 \ud800", title)
    assert called == name
    assert path.parent == tmp_path / "uploads"
    assert path.name.startswith("tmp"), "as what is swept away"
    assert path.read_text("utf-8") == "Möwe 海鸥 ?"


def test_a_text_that_cannot_be_kept_is_refused_in_words(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "uploads"))
    with pytest.raises(InputError, match=r"notes\.txt could not be kept"):
        written("x", "notes")


def test_a_text_is_memorised_under_its_title_and_leaves_no_upload(
    idle_service, visitors, request_of, tmp_path, monkeypatch
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    steps = Api(idle_service, visitors).memorize(
        [], "", "", "The mill has 36 paddles.", "../Mill", request=request_of("p")
    )
    assert next(steps)["title"] == "Mill.txt"
    steps.close()
    assert not list((tmp_path / "uploads").iterdir())


# What is told


def test_steps_without_news_are_told_once_a_second(monkeypatch):
    now = 0.0
    monkeypatch.setattr("demo.api.time.monotonic", lambda: now)

    def steps():
        nonlocal now
        for word in ("a", "a", "b", "b", "b", "b"):
            now += 0.4
            yield word

    assert list(_told(steps())) == ["a", "b", "b"]
