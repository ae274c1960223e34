"""Settings: flag before variable before default, each checked once; keys never shown."""

from __future__ import annotations

import ast
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.settings import NO_SECRET, VARIABLES, Secret, Settings, default_cache_dir, from_environment

SOURCE = Path(__file__).parents[2] / "engine" / "settings.py"


def test_an_empty_environment_gives_the_defaults():
    settings = from_environment({})
    assert settings == Settings(cache_dir=default_cache_dir())
    assert (settings.host, settings.port, settings.device, settings.threads) == ("127.0.0.1", 7860, "auto", None)


def test_every_variable_is_read():
    given = {
        "MEMORAG_MODEL": "a/model",
        "MEMORAG_RETRIEVER": "a/retriever",
        "MEMORAG_CACHE_DIR": "/some/cache",
        "MEMORAG_DEVICE": "cpu",
        "MEMORAG_WEIGHTS": "exact",
        "MEMORAG_THREADS": "3",
        "MEMORAG_HOST": "0.0.0.0",
        "MEMORAG_PORT": "8080",
        "MEMORAG_MAX_FILE_MB": "50",
        "MEMORAG_VISITOR_MB": "300",
        "MEMORAG_UPLOAD_HOURS": "0.5",
        "MEMORAG_CORPORA": " harry-potter, handbook ,",
        "MEMORAG_CORPORA_REPO": "someone/corpora@v1",
        "HF_TOKEN": "hf_secret",
    }
    assert set(given) == set(VARIABLES)
    assert from_environment(given) == Settings(
        model="a/model",
        retriever="a/retriever",
        cache_dir=Path("/some/cache"),
        device="cpu",
        weights="exact",
        threads=3,
        host="0.0.0.0",
        port=8080,
        max_file_mb=50,
        visitor_mb=300,
        upload_hours=0.5,
        corpora=("harry-potter", "handbook"),
        corpora_repo="someone/corpora@v1",
        hf_token=Secret("hf_secret"),
    )


def test_the_listed_variables_are_the_ones_looked_up():
    constants = [
        node.value for node in ast.walk(ast.parse(SOURCE.read_text("utf-8"))) if isinstance(node, ast.Constant)
    ]
    looked_up = [
        value for value in constants if isinstance(value, str) and re.fullmatch(r"MEMORAG_\w+|HF_TOKEN", value)
    ]
    assert {name: looked_up.count(name) for name in VARIABLES} == dict.fromkeys(VARIABLES, 2), "listed once, read once"


def test_the_process_environment_is_read_when_none_is_given(monkeypatch):
    monkeypatch.setenv("MEMORAG_PORT", "8123")
    assert from_environment().port == 8123


def test_a_flag_wins_over_a_variable_and_none_means_not_given():
    assert from_environment({"MEMORAG_PORT": "8080"}, port=9090, host=None).port == 9090
    assert from_environment({"MEMORAG_PORT": "8080"}, port=None).port == 8080
    assert from_environment({"MEMORAG_PORT": ""}).port == 7860
    assert from_environment({}, port=0).port == 0


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("MEMORAG_PORT", "http", "0 to 65535"),
        ("MEMORAG_PORT", "70000", "0 to 65535"),
        ("MEMORAG_PORT", "80.5", "0 to 65535"),
        ("MEMORAG_THREADS", "0", "1 to 1024"),
        ("MEMORAG_MAX_FILE_MB", "-1", "1 to 2048"),
        ("MEMORAG_VISITOR_MB", "0", "1 to"),
        ("MEMORAG_UPLOAD_HOURS", "nan", "0.01 to"),
        ("MEMORAG_CORPORA_REPO", "corpora", "OWNER/NAME@REVISION"),
        ("MEMORAG_CORPORA_REPO", "https://huggingface.co/datasets/a/b", "OWNER/NAME@REVISION"),
        ("MEMORAG_UPLOAD_HOURS", "soon", "0.01 to"),
        ("MEMORAG_DEVICE", "tpu", "auto, cpu, "),
    ],
)
def test_an_unreadable_value_is_refused_in_words(variable, value, accepted):
    with pytest.raises(InputError) as caught:
        from_environment({variable: value})
    message = str(caught.value)
    assert value in message
    assert accepted in message
    assert variable.removeprefix("MEMORAG_").lower() in message


def test_an_unknown_flag_is_refused():
    with pytest.raises(InputError, match=r"Unknown setting 'prot'; known are .*port"):
        from_environment({}, prot=1)


def test_a_space_is_reached_from_outside_unless_told_otherwise():
    space = from_environment({"SYSTEM": "spaces"})
    assert space.on_spaces
    assert space.host == "0.0.0.0"
    assert not space.is_private_host
    assert not from_environment({"SYSTEM": "spaces", "MEMORAG_HOST": "127.0.0.1"}).is_private_host


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.5", False)],
)
def test_a_private_host_is_this_machine_only(host, private):
    assert from_environment({}, host=host).is_private_host is private


def test_sizes_are_given_in_bytes_too():
    assert from_environment({}, max_file_mb=3).max_file_bytes == 3 * 1024 * 1024
    assert from_environment({}, visitor_mb=5).visitor_bytes == 5 * 1024 * 1024


def test_a_key_never_shows():
    settings = from_environment({"HF_TOKEN": "hf_secret"})
    assert settings.hf_token == "hf_secret"
    for shown in (repr(settings), str(settings), f"{settings!r}", repr([settings.hf_token])):
        assert "hf_secret" not in shown
    assert repr(NO_SECRET) != repr(settings.hf_token), "whether there is one may show"


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        from_environment({}).port = 1


def test_the_cache_folder_follows_the_desktop_convention_and_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_cache_dir() == tmp_path / "cache" / "memorag"
    assert not (tmp_path / "cache").exists()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "memorag"
    assert from_environment({"MEMORAG_CACHE_DIR": "~/mine"}).cache_dir == tmp_path / "mine"
