"""Questions with known answers: read from files of several forms, and refused in words where something is missing."""

from __future__ import annotations

import json
import shutil

import pytest

from engine.errors import InputError
from engine.questions import load
from tests.conftest import DATA

FERRY = DATA / "ferry"
LINE = {"doc": "ferry", "question": "What was the fare for a cow?", "answers": ["threepence"]}


@pytest.fixture
def write(tmp_path):
    """Writes lines to a file beside the documents of the ferry and returns its path."""
    shutil.copytree(FERRY / "docs", tmp_path / "docs")

    def writer(*lines, name="made.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
        return path

    return writer


# A file beside its documents


def test_a_file_is_read_with_the_documents_it_names():
    found = load(str(FERRY / "questions.jsonl"))
    assert found.name == "questions"
    assert len(found.questions) == 6
    assert list(found.documents) == ["ferry", "渡口"]
    assert found.documents["ferry"].text.startswith("The Ferry at Ollin Reach")
    first, *_, last = found.questions
    assert first.answers == ("61 people", "61")
    assert first.choices == ()
    assert first.gold is None
    assert first.kind == "local"
    assert not first.any_evidence
    assert all(evidence in found.documents["ferry"].text for evidence in first.evidence)
    assert last.doc == "渡口"
    assert found.questions[2].choices[found.questions[2].gold] == found.questions[2].answers[0]


def test_what_may_be_left_out_may_also_be_null(write):
    nothing = dict.fromkeys(("choices", "gold_choice", "evidence", "kind", "source"))
    bare, null = load(str(write(LINE, "", LINE | nothing))).questions
    assert bare == null
    assert (bare.choices, bare.gold, bare.evidence, bare.kind, bare.source) == ((), None, (), "all", "")


def test_evidence_of_a_source_with_alternatives_is_any(write):
    sources = [{"source": "LiteraryQA"}, {"source": "own"}, {"any_evidence": True}, {}]
    found = load(str(write(*(LINE | source for source in sources)))).questions
    assert [question.any_evidence for question in found] == [True, False, True, False]


def test_the_right_choice_is_found_by_its_words_or_its_letter(write):
    choices = {"choices": ["a penny", "threepence"]}
    lines = [LINE | choices, LINE | choices | {"answers": ["B"]}, LINE | choices | {"gold_choice": 0}]
    assert [question.gold for question in load(str(write(*lines))).questions] == [1, 1, 0]


def test_a_line_break_of_another_system_is_no_other_text(write, tmp_path):
    (tmp_path / "docs" / "two.txt").write_bytes(b"\xef\xbb\xbfThe first line\r\nand the second.\r\n")
    found = load(str(write({"doc": "two", "question": "?", "answers": ["x"], "evidence": ["line\r\nand the"]})))
    assert found.questions[0].evidence[0] in found.documents["two"].text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([LINE, "{"], "made.jsonl, line 2: that is no JSON."),
        (["[1]"], "line 1: that is no JSON object"),
        (["", LINE, {"question": "Who?", "answers": ["x"]}], "line 3: the field 'doc' is missing"),
        ([{"doc": "ferry", "answers": ["x"]}], "line 1: the field 'question' is missing"),
        ([{"doc": "ferry", "question": "Who?"}], "line 1: the field 'answers' is missing or empty"),
        ([LINE | {"answers": []}], "the field 'answers' is missing or empty"),
        ([LINE | {"question": 5}], "the field 'question' is no text"),
        ([LINE | {"evidence": [None]}], "the field 'evidence' is no list of texts"),
        ([LINE | {"evidence": ["for a goat"]}], "line 1: the evidence 'for a goat' is not in the document 'ferry'"),
        ([LINE | {"doc": "bridge"}], "line 1: the document 'bridge.txt' is not in the folder 'docs'"),
        ([LINE | {"doc": "../secret"}], "line 1: the document is '../secret'"),
        ([LINE | {"choices": ["a", "b"], "gold_choice": 2}], "gold_choice is 2; give the number of a choice, 0 to 1"),
        ([LINE | {"choices": ["a", "b"]}], "no answer is one of the choices"),
        ([], "'made.jsonl' holds no question"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(write, lines, words):
    with pytest.raises(InputError) as refusal:
        load(str(write(*lines)))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.jsonl", "'nowhere.jsonl' cannot be read: No such file"),
        ("longbench:nowhere.jsonl", "'nowhere.jsonl' cannot be read: No such file"),
        ("mystery:nowhere.jsonl", "'mystery' cannot be read; known are longbench, infinitebench, ultradomain"),
        (str(DATA), "cannot be read: Is a directory"),
        (str(DATA / "lighthouse.pdf"), "lighthouse.pdf"),
    ],
)
def test_a_file_that_is_not_there_is_told_in_a_sentence(name, words):
    with pytest.raises(InputError) as refusal:
        load(name)
    assert words in str(refusal.value)


# Choosing among questions


def test_questions_are_chosen_by_document_and_kind():
    found = load(str(FERRY / "questions.jsonl"))
    chinese = found.only(documents=["渡口"])
    assert [question.doc for question in chinese.questions] == ["渡口"]
    assert list(chinese.documents) == ["渡口"]
    assert {question.kind for question in found.only(kinds=["global", "summary"]).questions} == {"global", "summary"}
    assert found.only() == found


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_the_order():
    found = load(str(FERRY / "questions.jsonl"))
    samples = {seed: found.only(limit=3, seed=seed).questions for seed in range(8)}
    assert samples[0] == found.only(limit=3).questions
    assert len(set(samples.values())) > 1
    for sample in samples.values():
        assert [q for q in found.questions if q in sample] == list(sample)
        assert len(sample) == 3
    assert found.only(limit=99).questions == found.questions


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"documents": ["bridge"]}, "no document 'bridge'; there are ferry, 渡口"),
        ({"kinds": ["hard"]}, "no kind 'hard'; there are global, local, summary"),
        ({"documents": ["渡口"], "kinds": ["global"]}, "has no such question"),
        ({"limit": 0}, "The limit is 0"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(chosen, words):
    with pytest.raises(InputError, match=words):
        load(str(FERRY / "questions.jsonl")).only(**chosen)


def test_what_is_asked_has_a_digest_and_what_is_right_does_not_change_it(write):
    changes = [{}, {"answers": ["3d"]}, {"evidence": ["a penny for a person"]}, {"question": "What was the fare?"}]
    digests = [question.digest for question in load(str(write(*(LINE | change for change in changes)))).questions]
    assert digests[0] == digests[1] == digests[2] != digests[3]


# Documents inside the lines


def test_longbench_is_read(write):
    shared = {"context": "The lamp\r\nwent out.", "_id": "1", "length": 3, "language": "en"}
    free = shared | {"input": "What went out?", "answers": ["The lamp"], "all_classes": None, "dataset": "hotpotqa"}
    classes = shared | {"input": "Type?", "answers": ["Fog"], "all_classes": ["Oil", "Fog"], "dataset": "trec"}
    many = classes | {"all_classes": ["Fog", *map(str, range(49))]}
    other = free | {"context": "Another text.", "input": "", "dataset": "gov_report"}
    chinese = other | {"context": "灯塔建于一八七四年。" * 20}
    found = load(f"longbench:{write(free, classes, many, other, chinese)}")
    assert len(found.documents) == 3
    first, second, third, fourth, fifth = found.questions
    assert found.documents[first.doc].text == "The lamp\nwent out."
    assert first.doc == second.doc == third.doc != fourth.doc
    assert (first.kind, first.source, first.choices) == ("hotpotqa", "LongBench hotpotqa", ())
    assert (second.choices, second.gold) == (("Oil", "Fog"), 1)
    assert third.choices == (), "fifty classes are no choices to put after a question"
    assert (fourth.kind, fourth.question) == ("summary", "Summarise the text.")
    assert fifth.question == "请概括全文。"


def test_infinitebench_is_read(write):
    line = {"id": 0, "context": "The lamp went out.", "input": "What went out?", "answer": ["The lamp"], "options": []}
    options = {"options": ["The fog", "The lamp", "The goat", "The oil"]}
    lines = [line, line | options, line | options | {"answer": "B"}, line | {"answer": 42}]
    found = load(f"infinitebench:{write(*lines, name='longbook_choice_eng.jsonl')}").questions
    assert [question.gold for question in found] == [None, 1, 1, None]
    assert found[2].answers == ("The lamp",)
    assert found[3].answers == ("42",)
    assert {question.kind for question in found} == {"longbook_choice_eng"}
    assert len({question.doc for question in found}) == 1


def test_ultradomain_is_read(write):
    line = {"input": "What went out?", "context": "The lamp went out.", "answers": ["The lamp"], "_id": "a"}
    found = load(f"ultradomain:{write(line | {'label': 'legal'}, line | {'dataset': 'art'})}").questions
    assert [(question.kind, question.source) for question in found] == [
        ("legal", "UltraDomain legal"),
        ("art", "UltraDomain art"),
    ]


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("longbench", {"input": "?", "answers": ["x"]}, "line 1: the field 'context' is missing"),
        ("longbench", {"input": "?", "context": " ", "answers": ["x"]}, "line 1: the field 'context' is empty"),
        ("infinitebench", {"context": "x", "input": "?"}, "line 1: the field 'answer' is missing"),
        ("infinitebench", {"context": "x", "answer": "x"}, "line 1: the field 'input' is missing"),
        ("infinitebench", {"context": "x", "input": "?", "answer": "z", "options": ["a"]}, "no answer is one of the"),
        ("ultradomain", {"context": "x", "input": "?", "answers": ["x"]}, "the field 'label' or 'dataset' is missing"),
    ],
)
def test_a_line_of_another_form_is_refused(write, source, line, words):
    with pytest.raises(InputError, match=words):
        load(f"{source}:{write(line)}")
