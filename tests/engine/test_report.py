"""Reports: figures from results, and the tables made of them, on results made by hand."""

from __future__ import annotations

import json

import pytest

from engine.errors import InputError
from engine.evaluation import Outcome
from engine.plot import check, draw
from engine.questions import Question
from engine.report import facts_of, markdown, scores_of, table
from engine.trial import Result
from engine.variants import Variant

RAG, MEMORY = Variant("rag", "rag", "passages"), Variant("memory", "memorag", "passages and clues")
CLOSED = Variant("closed", "closed", "nothing")
EVIDENCE = ("the lamp of the tower went out at midnight", "the keeper lit it again with her own hands")


def outcome(question, variant, **given):
    seconds = {"total": 2.0}
    return Outcome(question, variant, Result("key", "code", variant.name, "doc", "?", seconds=seconds, **given))


def asked(number, **given):
    return Question("tower", f"What went out? ({number})", ("the lamp",), evidence=EVIDENCE, **given)


def test_each_measure_is_taken_where_it_applies():
    free, choice = asked(1), asked(2, choices=("fog", "lamp"), gold=1)
    found = scores_of(outcome(free, RAG, prediction="The lamp went. [1]", retrieved=(f"x {EVIDENCE[0]}",)))
    assert found == {
        "evidence": 0.5,
        "f1": pytest.approx(2 / 3),
        "em": 0,
        "rouge_l": pytest.approx(2 / 3),
        "citations": 1,
        "seconds": 2,
    }
    assert scores_of(outcome(choice, CLOSED, prediction="(B) [1]")) == {"choice": 1, "seconds": 2}
    assert scores_of(outcome(free, RAG, retrieved=())) == {"evidence": 0, "seconds": 2}
    assert scores_of(outcome(Question("a", "b", ("c",)), RAG, retrieved=("x",))) == {"seconds": 2}


@pytest.fixture
def facts():
    """Twenty questions: the memory finds all evidence, plain retrieval half; the bare generator has no evidence."""
    outcomes = []
    for number in range(20):
        question = asked(number, kind=("local", "global")[number % 2])
        outcomes += [
            outcome(question, CLOSED, prediction="the fog"),
            outcome(question, RAG, prediction="the lamp", retrieved=EVIDENCE[:1], evidence_tokens=900 + number),
            outcome(question, MEMORY, prediction="lamp oil", retrieved=EVIDENCE, evidence_tokens=1200, truncated=True),
        ]
    found = facts_of(outcomes, 1280)
    return {"title": "Evaluation on towers", "caption": "Made by hand.", **found}


def test_figures_are_means_with_intervals_and_compared_question_by_question(facts):
    assert facts["baseline"] == "rag"
    assert facts["questions"] == 20
    memory, rag, closed = (facts["variants"][name] for name in ("memory", "rag", "closed"))
    assert memory["overall"]["evidence"] == {"value": 1, "low": 1, "high": 1, "n": 20}
    assert memory["ratio"] == {"value": 2, "low": 2, "high": 2, "n": 20}
    assert rag["ratio"]["value"] == 1
    assert closed["ratio"] is None
    assert closed["overall"]["evidence"] is None
    assert memory["differences"]["f1"]["value"] == pytest.approx(2 / 3 - 1)
    assert memory["kinds"]["local"]["evidence"]["n"] == 10
    assert memory["documents"]["tower"]["evidence"]["n"] == 20
    assert rag["evidence_tokens"] == 919
    assert facts["over_budget"] == []
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_the_report_has_every_table(facts):
    told = markdown(facts)
    rows = [line for line in told.splitlines() if line.startswith("| memory")]
    assert rows[0].split("|")[2].strip() == "1.000 [1.000, 1.000]"
    assert rows[0].split("|")[3].strip() == "2.000 [2.000, 2.000]"
    heads = [line for line in told.splitlines() if line.startswith("#")]
    assert heads == [
        "# Evaluation on towers",
        "## Evidence recall by kind",
        "## F1 by kind",
        "## Evidence recall by document",
        "## F1 by document",
        "## Differences from rag, question by question",
    ]
    assert "the most that was used is 1,200." in told
    assert "- memory: 20 answers were cut off" in told
    by_kind = told.split("## F1 by kind")[1].split("##")[0]
    assert [line for line in by_kind.splitlines() if line.startswith("| closed")] == ["| closed  | 0.000 ↓ | 0.000 ↓ |"]
    assert [line for line in by_kind.splitlines() if line.startswith("| n ")] == ["| n       | 10      | 10      |"]
    assert "+0.500 [+0.500, +0.500] *" in told
    assert "choice accuracy" not in told, "there are no choices here"


def test_variants_are_compared_on_the_questions_that_both_have():
    both, alone = asked(1), asked(2)
    facts = facts_of(
        [
            outcome(both, RAG, retrieved=EVIDENCE[:1]),
            outcome(alone, RAG, retrieved=EVIDENCE),
            outcome(both, MEMORY, retrieved=EVIDENCE),
        ],
        1280,
    )
    assert facts["variants"]["memory"]["ratio"] == {"value": 2, "low": None, "high": None, "n": 1}
    told = markdown({"title": "t", "caption": "c", **facts})
    assert "| n       | 1 to 2" in told


def test_more_than_the_budget_is_told():
    facts = facts_of([outcome(asked(1), RAG, retrieved=EVIDENCE, evidence_tokens=1281)], 1280)
    assert facts["over_budget"] == ["rag"]


def test_questions_that_could_not_be_asked_are_told():
    facts = facts_of([outcome(asked(1), RAG, retrieved=(), prediction="", error="The question is too long.")], 1280)
    assert "- rag: 1 questions could not be asked, and count as wrong." in markdown(
        {"title": "", "caption": "", **facts}
    )


def test_the_whole_text_is_measured_where_it_fits():
    whole = Variant("full", "full", "the whole text")
    fitting, long = outcome(asked(1), whole, prediction="the lamp"), outcome(asked(2), whole, error="Too long.")
    facts = facts_of([fitting, long], 1280)
    assert facts["variants"]["full"]["overall"]["f1"]["n"] == 1
    assert "- full: 1 questions are left out" in markdown({"title": "", "caption": "", **facts})


def test_the_baseline_is_the_one_asked_for_or_plain_retrieval():
    outcomes = [outcome(asked(1), variant, retrieved=EVIDENCE) for variant in (CLOSED, MEMORY, RAG)]
    assert facts_of(outcomes, 1280)["baseline"] == "rag"
    assert facts_of(outcomes, 1280, "memory")["baseline"] == "memory"
    assert facts_of([outcome(asked(1), CLOSED), *outcomes[1:2]], 1280)["baseline"] == "memory"
    dense = Variant("dense", "rag", "plain")
    assert facts_of([*outcomes, outcome(asked(1), dense, retrieved=())], 1280)["baseline"] == "dense"
    with pytest.raises(InputError, match="'qa' was not run; run were closed, memory, rag"):
        facts_of(outcomes, 1280, "qa")


def test_a_table_is_readable_as_text_and_as_markdown():
    assert table([["a", "name|b"], ["long", "1"]]).splitlines() == [
        "| a    | name\\|b |",
        "|------|---------|",
        "| long | 1       |",
    ]


def test_the_picture_is_drawn(facts, tmp_path):
    for ending, begin in ((".png", b"\x89PNG\r\n\x1a\n"), (".svg", b"<?xml")):
        picture = tmp_path / "new" / f"towers{ending}"
        check(picture)
        draw(facts, picture)
        assert picture.read_bytes().startswith(begin)


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'towers.bmp' is of no known kind; end its name in .png, .svg, .pdf"):
        check(tmp_path / "towers.bmp")


def test_a_missing_matplotlib_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(InputError, match="needs matplotlib, which is not installed: pip install matplotlib"):
        check(tmp_path / "towers.png")
