"""What the fields under Generator do, handler by handler, with a real HTTP server on loopback."""

import logging
import threading

import pytest

from demo import text
from demo.api import visitor_of
from demo.connecting import Connecting
from demo.generators import NEEDS, Connection
from demo.text import speaking
from demo.visitors import keep_connection
from engine.settings import Secret
from tests.openai_server import openai_server

KEY = Secret("sk-test-0123456789-SECRET")
FIELDS = ("model", "key", "address", "test_connection", "forget_key")


@pytest.fixture
def server():
    with openai_server(models=[{"id": "echo"}, {"id": "other"}]) as running:
        yield running


@pytest.fixture
def connecting(idle_service, visitors):
    return Connecting(idle_service, visitors)


@pytest.fixture
def page(connecting, request_of):
    """A page that was opened."""
    request = request_of("a page")
    connecting.arrive(request)
    return request


def labels(updates):
    return {value: label for label, value in updates["generator"].choices}


def try_it(connecting, *given):
    busy, last = connecting.test(*given)
    assert busy["test_connection"].interactive is False
    assert last["test_connection"].interactive is True
    return last


def test_a_page_is_told_once_which_generators_can_be_used(connecting, request_of):
    request = request_of("new")
    assert labels(connecting.arrive(request)).keys() == {text.LOCAL, *NEEDS}
    assert connecting.look(request) == {}
    assert labels(connecting.arrive(request)), "a page that is opened again shows nothing yet"


def test_a_local_model_that_comes_later_is_told_then(connecting, page, idle_service):
    idle_service.models._failure, idle_service.models._engine = text.MODELS_FAILED, None
    assert labels(connecting.look(page))[text.LOCAL].startswith("Local model - The models could not be loaded")
    assert connecting.look(page) == {}


@pytest.mark.parametrize("generator", [text.LOCAL, *NEEDS])
def test_only_the_fields_that_a_generator_needs_are_shown(connecting, page, generator):
    updates = connecting.fields(generator, "", "", "", page)
    shown = {name for name in FIELDS if updates[name].visible}
    needed = set(FIELDS) if "address" in NEEDS.get(generator, ()) else set(FIELDS) - {"address"}
    assert shown == (needed if generator in NEEDS else set())
    assert updates["model"].value == text.DEFAULT_MODELS.get(generator, "")
    assert updates["connection"] == ""


def test_azure_has_words_of_its_own(connecting, page):
    updates = connecting.fields("azure", "", "", "", page)
    assert (updates["model"].label, updates["address"].label) == (text.DEPLOYMENT, text.ENDPOINT)
    assert "azure.com" in updates["address"].info


@pytest.mark.parametrize("generator", text.KEYS_AT)
def test_it_is_said_where_a_key_comes_from_and_where_it_stays(connecting, page, generator):
    info = connecting.fields(generator, "", "", "", page)["key"].info
    assert f"https://{text.KEYS_AT[generator]}" in info
    assert text.KEY_INFO in info


def test_what_the_browser_kept_for_a_generator_comes_back(connecting, page, server):
    try_it(connecting, "compatible", "echo", KEY, server.base_url, page)
    away = connecting.fields("openai", "", "", "", page)
    assert (away["key"].value, away["connection"]) == ("", "")
    back = connecting.fields("compatible", "echo", KEY, server.base_url, page)
    assert (back["model"].value, back["key"].value, back["address"].value) == ("echo", KEY, server.base_url)
    assert "works" in back["connection"]
    assert "generator" not in back, "nothing new to show: the test counts still"


def test_typing_changes_what_is_needed_and_ends_a_test(connecting, page, server):
    changed = connecting.changed("compatible", "", "", server.base_url, page)
    assert labels(changed)["compatible"].endswith("needs a model")
    try_it(connecting, "compatible", "echo", "", server.base_url, page)
    changed = connecting.changed("compatible", "other", "", server.base_url, page)
    assert labels(changed)["compatible"].endswith("not tested")
    assert changed["connection"] == ""


def test_a_test_shows_its_outcome_the_models_and_the_time(connecting, page, server):
    last = try_it(connecting, "compatible", "echo", KEY, server.base_url, page)
    assert 'role="status"' in last["connection"]
    assert "echo answered in" in last["connection"]
    assert labels(last)["compatible"].endswith(" s")
    assert last["model"].choices == [("echo", "echo"), ("other", "other")]
    assert "value" not in last["model"].constructor_args


def test_a_failed_test_is_an_alert_and_keeps_the_fields(connecting, page, server):
    last = try_it(connecting, "compatible", "wrong-key", KEY, server.base_url, page)
    assert 'role="alert"' in last["connection"]
    assert labels(last)["compatible"].endswith("does not work")
    assert not {"key", "address", "model"} & last.keys()


def test_the_only_model_is_filled_in(connecting, page, server):
    server.models = [{"id": "echo"}]
    last = try_it(connecting, "compatible", "", "", server.base_url, page)
    assert last["model"].value == "echo"
    assert "tested" in labels(last)["compatible"]


def test_what_is_typed_while_a_test_runs_counts(connecting, page, server):
    running = connecting.test("compatible", "lingers", KEY, server.base_url, page)
    next(running)
    typing = threading.Timer(0.05, connecting.changed, ("compatible", "lingers", "sk-new", server.base_url, page))
    typing.start()
    (last,) = running
    typing.join()
    assert labels(connecting.arrive(page))["compatible"].endswith("not tested")
    assert "lingers answered" in last["connection"]


def test_the_local_model_needs_no_test(connecting, page):
    assert list(connecting.test(text.LOCAL, None, None, None, page)) == [{"connection": ""}]


def test_what_is_no_text_is_nothing(connecting, page):
    _, last = connecting.test("openai", 5, ["a"], {}, page)
    assert text.KEY_MISSING.format(name="OpenAI") in last["connection"]


def test_forgetting_takes_every_key_and_what_is_known_of_them(connecting, page, visitors, server):
    try_it(connecting, "compatible", "echo", KEY, server.base_url, page)
    visitor = visitor_of(visitors, page)
    keep_connection(visitor, "openai", Connection(key=KEY), connecting.service.settings)
    updates = connecting.forget("compatible", "echo", KEY, server.base_url, page)
    assert updates["key"].value == ""
    assert text.FORGOTTEN in updates["connection"]
    assert labels(updates)["compatible"].endswith("address given, not tested")
    assert visitor.connections == {}
    assert visitor.generators.tested == {}


def test_a_key_is_kept_nowhere_and_in_no_log(connecting, page, visitors, server, caplog):
    with caplog.at_level(logging.DEBUG):
        for model in ("echo", "wrong-key", "forbidden", "broken", "error-midway", "unknown", "cut"):
            connecting.fields("compatible", model, KEY, server.base_url, page)
            connecting.changed("compatible", model, KEY, server.base_url, page)
            updates = try_it(connecting, "compatible", model, KEY, server.base_url, page)
            assert KEY not in repr(updates)
    assert KEY not in repr(visitor_of(visitors, page))
    written = [f"{record.getMessage()} {record.exc_text} {record.__dict__!r}" for record in caplog.records]
    assert not any(KEY in line for line in written)


def test_one_page_knows_nothing_of_anothers_tests(connecting, page, request_of, server):
    try_it(connecting, "compatible", "echo", KEY, server.base_url, page)
    assert labels(connecting.arrive(request_of("other")))["compatible"].endswith("needs an address and a model")


def test_it_is_said_in_the_language_of_the_visitor(connecting, page):
    with speaking("zh"):
        words = connecting.fields("openai", "", "", "", page)
        assert (words["model"].label, words["key"].info.split()[-1]) == (text.MODEL, text.KEY_STAYS.split()[-1])
