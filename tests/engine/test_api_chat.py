"""What may be asked of a chat API, and how its answers are read, with a scripted HTTP server on loopback."""

import pytest

from engine.api_chat import Usage
from engine.errors import InputError
from engine.events import Reply
from tests.openai_server import agent_for, openai_server


@pytest.fixture
def server():
    with openai_server({"citer": "It is blue [1]."}) as running:
        yield running


# What is asked and answered


def test_generate_takes_a_prompt_a_conversation_and_several_of_each(server):
    agent = agent_for(server, "echo")
    conversation = [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": "Read this:  two  spaces"},
        {"role": "assistant", "content": "I have."},
        {"role": "user", "content": "What did you read? "},
    ]
    assert agent.generate("just one") == ["just one"]
    assert agent.generate(conversation) == ["What did you read? "]
    assert server.requests[-1].body["messages"] == conversation, "not verbatim"
    assert agent.generate((conversation,)) == ["What did you read? "]
    assert agent.generate([conversation, "and a text"]) == ["What did you read? ", "and a text"]
    assert "".join(agent.stream(conversation)) == "What did you read? "
    assert server.requests[-1].body["messages"] == conversation, "not verbatim"
    assert agent.generate([]) == agent.replies([]) == []


@pytest.mark.parametrize(
    ("prompt", "pattern"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ([[]], "role"),
        ([{"role": "user", "content": " "}], "empty"),
        ([{"role": "robot", "content": "hi"}], "role.*user, assistant"),
        ([{"role": "user", "content": None}], "content"),
        ([{"role": "user"}], "content"),
        (["hi", {"role": "user", "content": "hi"}], "role"),
        ([5], "role"),
    ],
)
def test_what_is_no_prompt_is_refused_before_any_network(server, prompt, pattern):
    with pytest.raises(InputError, match=pattern):
        agent_for(server, "echo").generate(prompt)
    assert server.requests == []


@pytest.mark.parametrize("setting", [{"max_new_tokens": 0}, {"temperature": 2.5}, {"temperature": float("nan")}])
def test_an_impossible_setting_is_refused_before_any_network(server, setting):
    with pytest.raises(InputError, match="give"):
        agent_for(server, "echo").generate("hi", **setting)
    with pytest.raises(InputError, match="give"):
        next(agent_for(server, "echo").stream("hi", **setting))
    assert server.requests == []


def test_a_reply_knows_whether_the_token_limit_ended_it(server):
    assert agent_for(server, "echo").replies("to the end") == [Reply("to the end", cut=False)]
    assert agent_for(server, "cut-short").replies("to the") == [Reply("to the", cut=True)]
    assert agent_for(server, "no-reason").replies("to where") == [Reply("to where", cut=True)]


def test_an_answer_in_one_piece_is_read_as_one(server):
    agent = agent_for(server, "whole")
    assert list(agent.stream("all at once")) == ["all at once"]
    assert agent.replies("all at once") == [Reply("all at once", cut=True)]
    assert agent.usage == Usage(6, 4)


def test_text_of_any_script_arrives_whole(server):
    text = "“Où?” 红楼梦 🙂 नमस्ते\n\nline two"
    assert agent_for(server, "echo").generate(text) == [text]
    assert agent_for(server, "citer").generate(text) == ["It is blue [1]."]


def test_half_a_surrogate_pair_is_replaced_not_fatal(server):
    assert agent_for(server, "echo").generate("half \ud800 pair") == ["half ? pair"]


def test_malformed_events_are_passed_over(server):
    agent = agent_for(server, "odd", "openai")
    assert agent.generate("hi") == ["hi"]
    assert agent.usage == Usage(1, 1)


@pytest.mark.parametrize("model", ["remembers", "remembers-otherwise"])
def test_tokens_from_the_cache_of_the_service_are_counted(server, model):
    agent = agent_for(server, model)
    agent.generate("one two three four")
    assert agent.usage == Usage(prompt_tokens=4, completion_tokens=4, cached_tokens=2)


# Fields that not every model takes


@pytest.mark.parametrize(
    ("model", "field", "other"),
    [
        ("fixed-temperature", "temperature", None),
        ("no-usage", "stream_options", None),
        ("no-extras", "stream_options", None),
        ("new-words", "max_tokens", "max_completion_tokens"),
    ],
)
def test_a_field_that_a_model_refuses_is_left_out_and_then_for_good(server, model, field, other):
    agent = agent_for(server, model)
    assert agent.generate("one") + agent.generate("two") == ["one", "two"]
    assert [field in request.body for request in server.requests] == [True, False, False]
    assert [other in request.body for request in server.requests] == [False, bool(other), bool(other)]


def test_an_older_deployment_gets_the_older_name_of_the_limit(server):
    assert agent_for(server, "old-words", "azure").generate("hi", max_new_tokens=7) == ["hi"]
    assert server.requests[-1].body["max_tokens"] == 7
