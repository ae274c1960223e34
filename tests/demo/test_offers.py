"""Which generators are offered, and what is said of each."""

from dataclasses import replace

import pytest

from demo import text
from demo.generators import Connection
from demo.models import Models
from demo.offers import Given, Known, Outcome, choices
from engine.errors import ModelError
from engine.settings import Secret, Settings

KEY = Secret("sk-test-0123456789-SECRET")
HERE, PUBLIC = Settings(), Settings(host="0.0.0.0")


def offered(known, settings=HERE):
    return {generator: shown for shown, generator in choices(known, Models(settings), settings)}


def knowing(generator, connection, outcome=None):
    known = Known(given={generator: Given.of(generator, connection)})
    if outcome is not None:
        known.tested[generator] = replace(outcome, digest=known.given[generator].digest)
    return known


def test_at_first_every_generator_says_what_it_needs():
    assert offered(Known()) == {
        "local": "Local model - loading",
        "openai": "OpenAI - needs a key",
        "azure": "Azure OpenAI - needs a key, an endpoint and a deployment",
        "deepseek": "DeepSeek - needs a key",
        "huggingface": "Hugging Face router - needs a key",
        "compatible": "OpenAI-compatible server - needs an address and a model",
    }


def test_a_public_page_says_which_addresses_it_takes():
    assert "needs an address on the open Internet" in offered(Known(), PUBLIC)["compatible"]


@pytest.mark.parametrize(
    ("generator", "connection", "state"),
    [
        ("openai", Connection(key=KEY), "key given, not tested"),
        ("openai", Connection(key=Secret("  ")), "needs a key"),
        ("azure", Connection(key=KEY, address="https://a.example"), "needs a deployment"),
        ("compatible", Connection("m", address="http://a.example/v1"), "address given, not tested"),
        ("compatible", Connection(key=KEY, address="http://a.example/v1"), "needs a model"),
    ],
)
def test_what_was_given_is_needed_no_more(generator, connection, state):
    assert offered(knowing(generator, connection))[generator] == f"{text.NAMES[generator]} - {state}"


def test_a_test_counts_until_something_is_changed():
    tested = Connection("m", KEY, "http://a.example/v1")
    works, fails = Outcome("It works.", 0.42), Outcome("It does not.")
    assert offered(knowing("compatible", tested, works))["compatible"].endswith("tested, 0.4 s")
    assert offered(knowing("compatible", tested, fails))["compatible"].endswith("does not work")
    known = knowing("compatible", tested, works)
    for changed in (replace(tested, model="n"), replace(tested, key=Secret("k")), replace(tested, address="http://b")):
        known.given["compatible"] = Given.of("compatible", changed)
        assert offered(known)["compatible"].endswith("not tested")
    known.given["compatible"] = Given.of("compatible", replace(tested, model=" m "))
    assert offered(known)["compatible"].endswith("tested, 0.4 s")


def test_the_usual_model_is_the_same_as_none():
    usual = Connection(text.DEFAULT_MODELS["openai"], KEY)
    assert Given.of("openai", usual) == Given.of("openai", replace(usual, model=""))


def test_a_local_model_that_cannot_be_loaded_says_why():
    models = Models(HERE)
    models._failure = ModelError("The folder /m holds no model. " * 9)
    shown = choices(Known(), models, HERE)[0][0]
    assert shown.startswith("Local model - The folder /m holds no model.")
    assert len(shown) < 130


@pytest.mark.models
def test_a_loaded_local_model_is_named(service):
    shown = choices(Known(), service.models, service.settings)
    assert shown[0] == ("Local model: SmolLM2-135M-Instruct", text.LOCAL)


def test_what_is_known_holds_no_key():
    known = knowing("openai", Connection(key=KEY), Outcome("It works.", 0.1))
    assert KEY not in repr(known)
    assert not any(KEY.encode() in given.digest for given in known.given.values())
    known.forget()
    assert known == Known()
