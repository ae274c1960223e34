"""Prompts: every template in both languages, filled in without surprises."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.prompt import en_prompts, fields_of, prompts_for, render, zh_prompts

BOTH = pytest.mark.parametrize("prompts", [en_prompts, zh_prompts], ids=["en", "zh"])
FIELDS = {
    "context": {"context"},
    "acknowledge": set(),
    "gist": {"context"},
    "span": {"question"},
    "sur": {"question"},
    "qa": {"question"},
    "sum": set(),
    "not_found": set(),
}


@BOTH
@pytest.mark.parametrize("name", FIELDS)
def test_a_template_takes_its_fields(prompts, name):
    assert fields_of(getattr(prompts, name)) == FIELDS[name]


@BOTH
def test_the_generators_templates_carry_evidence_and_question(prompts):
    assert {"evidence", "question"} <= fields_of(prompts.qa_gen) <= {"evidence", "question", "not_found"}
    assert {"evidence"} <= fields_of(prompts.sum_gen) <= {"evidence", "question", "not_found"}
    assert fields_of(prompts.qa_gen_short) == {"evidence", "question"}
    assert fields_of(prompts.sum_gen_short) == {"evidence"}


def test_both_languages_have_every_template_and_differ():
    for field in fields(en_prompts):
        ours, theirs = getattr(en_prompts, field.name), getattr(zh_prompts, field.name)
        assert ours.strip()
        assert theirs.strip()
        assert ours != theirs


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", en_prompts), ("zh-cn", zh_prompts), ("zh-tw", zh_prompts), ("zh", zh_prompts), ("de", en_prompts)],
)
def test_the_language_chooses_the_templates(language, expected):
    assert prompts_for(language) is expected


@given(st.text(min_size=1).filter(str.strip))
def test_a_value_is_put_in_verbatim_whatever_it_holds(text):
    assert render("before {question} after", question=text) == f"before {text} after"


def test_braces_in_a_value_are_no_fields():
    assert render("{evidence}\n{question}", evidence="{question} {0} {{x}}", question="why?") == (
        "{question} {0} {{x}}\nwhy?"
    )


@pytest.mark.parametrize("values", [{}, {"question": ""}, {"question": " \n"}])
def test_a_missing_or_empty_field_is_refused_by_name(values):
    with pytest.raises(InputError, match=r"needs 'question', which is missing or empty"):
        render(en_prompts.qa, **values)


def test_a_value_without_a_field_is_refused_by_name():
    with pytest.raises(InputError, match=r"no field 'context'; it has question"):
        render(en_prompts.qa, question="why?", context="text")
