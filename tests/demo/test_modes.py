"""What a visitor is told about the modes, and about a language that the retriever does not read."""

from typing import get_args, get_type_hints

import pytest

from demo import memorising, text
from demo.api import Api, visitor_of
from demo.choosing import Choosing
from engine import tongues
from engine.events import Task

# Modes


def test_every_mode_of_the_engine_can_be_chosen_and_is_explained():
    assert set(text.MODES) == set(text.MODE_INFOS) == set(get_args(Task))
    assert set(get_args(get_type_hints(Api.ask)["mode"])) == set(get_args(Task))
    for mode in text.MODES:
        assert f'"{mode}"' in Api.ask.__doc__


# Languages

CHINESE = "灯塔建在鹭岛的北端，守塔人每天傍晚点亮油灯，清晨再把它熄灭。塔里有二百一十四级台阶，一直通到灯室。" * 3


@pytest.mark.models
def test_a_corpus_that_the_retriever_does_not_read_says_so(service, visitors, send, request_of):
    request = request_of("reader")
    visitor = visitor_of(visitors, request)
    *_, last = memorising.memorize(service, visitor, send(service, visitor.name, ("tower.txt", CHINESE)))
    shown = Choosing(service, visitors).choose(last.corpus, request)
    note = text.READY_UNREAD.format(language="Chinese").strip()
    assert note in last.status
    assert note in shown["status"]
    assert text.UNREAD.format(retriever="all-MiniLM-L6-v2", language="Chinese") in shown["memory"]
    assert service.delete(visitor.name) == 1


@pytest.mark.models
def test_a_corpus_that_the_retriever_reads_says_nothing_about_it(service, visitors, request_of):
    shown = Choosing(service, visitors).choose("tide-mill", request_of("v"))
    assert memorising.unread_language(service, "tide-mill") is None
    assert "does not read" not in shown["memory"] + shown["status"]


def test_every_language_that_is_tested_has_a_name():
    assert set(text.LANGUAGES) == set(tongues.tested())
