"""Beacon memories on stock models compute what the method says, wherever windows end."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from engine import beacon
from engine.beacon import Beacons
from engine.beacon_weights import BeaconProjection
from engine.errors import Cancelled, InputError
from engine.events import Stop
from tests.beacon_checkpoint import (
    CLOSE,
    KINDS,
    QUESTION,
    TEXT,
    WINDOW,
    change,
    copies,
    distance,
    greedy,
    load_beacons,
    load_net,
    make_checkpoint,
    same,
)
from tests.beacon_reference import Reference


def unlike_reference(beacons: Beacons, folder: Path, context: int, question: int = 9, steps: int = 30) -> float:
    """Ask and answer with both; return the largest difference of any logit. The tokens must be the same as well."""
    reference = Reference(folder, beacons.config.ratio)
    reference.feed(TEXT[:context])
    prefix = beacons.read(TEXT[:context], block=5)
    assert prefix.length == beacons.config.length(context)
    ids = (QUESTION * 3)[:question]
    expected, expected_tokens = reference.greedy(ids, steps)
    logits, tokens = greedy(beacons, prefix, ids, steps)
    return distance(logits, expected) if tokens == expected_tokens else math.inf


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Makes the checkpoint of a kind on first use and returns its folder. Nobody writes to it."""
    made: dict[str, Path] = {}

    def folder_of(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_checkpoint(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return folder_of


@pytest.fixture(scope="module")
def folder(folder_of):
    return folder_of("qwen2-qkv")


@pytest.fixture(scope="module")
def beacons(folder):
    return load_beacons(folder)


# Parity with the reference


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "joined"])
@pytest.mark.parametrize("ratio", [2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_asking_and_answering_equals_the_reference(folder_of, kind, ratio, shared):
    # The question ends where a window ends, and the answer crosses another end.
    assert unlike_reference(load_beacons(folder_of(kind), ratio, shared), folder_of(kind), 55) < CLOSE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same(folder, beacons, dtype):
    half = load_beacons(folder, dtype=dtype)
    expected, logits = (b.session(b.read(TEXT[:150]), 40).feed(TEXT[150:190]) for b in (beacons, half))
    assert half.read(TEXT[:20]).keys[0].dtype == dtype
    assert logits.dtype == torch.float32
    assert distance(logits, expected) < 0.05 * expected.abs().max()


@pytest.mark.parametrize(
    ("context", "question", "steps"),
    [
        (48, 9, 30),  # a window ends with the memory
        (42, 9, 5),  # inside the question, and nowhere else
        (50, 9, 12),  # inside the answer only
        (34, 6, 4),  # nowhere
        (7, 20, 20),  # no window was full when the question began
        (1, 1, 16),  # before the first beacon
        (63, 1, 18),  # with the question's only token
        (47, 27, 40),  # several times
        (96, 3, 3),  # several full windows and nothing more
    ],
)
def test_windows_may_end_anywhere(beacons, folder, context, question, steps):
    assert unlike_reference(beacons, folder, context, question, steps) < CLOSE


def test_without_moving_the_keys_parity_fails(beacons, folder, monkeypatch):
    monkeypatch.setattr(beacon, "rotate", lambda keys, angles: keys.clone())
    assert unlike_reference(beacons, folder, 55) > 1e-2


def test_without_the_beacons_own_projections_parity_fails(folder, monkeypatch):
    monkeypatch.setattr(BeaconProjection, "forward", lambda self, hidden: self.base(hidden))
    assert unlike_reference(load_beacons(folder), folder, 55) > 1e-2


def test_beacons_with_the_weights_of_a_word_are_that_word(tmp_path):
    """Then one window is plain text with that word after every fourth token, for the untouched model."""
    folder = make_checkpoint(tmp_path, "llama-qkv")
    net = load_net(folder)
    base = net.state_dict()

    def as_base(tensors):
        tensors["model.beacon_embed_tokens.weight"] = base["model.embed_tokens.weight"][[13]].clone()
        for name in set(tensors) - {"model.beacon_embed_tokens.weight"}:
            tensors[name] = base[name.replace("beacon_", "")].clone()

    change(folder, as_base)
    ids = TEXT[: WINDOW - 1]
    written = [word for i, token in enumerate(ids, 1) for word in ([token, 13] if i % 4 == 0 else [token])]
    with torch.inference_mode():
        expected = net(input_ids=torch.tensor([written])).logits[:, -1]
    beacons = load_beacons(folder)
    logits = beacons.session(beacons.read(ids[:6]), 9).feed(ids[6:])
    assert distance(logits, expected) < CLOSE


# Reading


@pytest.mark.parametrize("context", [48, 55])
def test_the_number_of_tokens_read_at_a_time_changes_nothing(beacons, context):
    by_block = [beacons.read(TEXT[:context], block=block) for block in (1, 7, 1000)]
    for prefix in by_block[1:]:
        assert prefix.tokens == context
        pairs = zip(copies(by_block[0]), copies(prefix), strict=True)
        assert max(distance(one, other) for one, other in pairs) < 1e-5


@pytest.mark.parametrize("cut", [0, 20, 48, 55])
def test_a_text_may_be_read_in_parts(beacons, cut):
    whole = beacons.read(TEXT[:55], block=5)
    begun = beacons.read(TEXT[:cut], block=5)
    before = copies(begun)
    parts = beacons.read(TEXT[cut:55], begun, block=5)
    assert (parts.tokens, parts.config) == (whole.tokens, whole.config)
    assert max(distance(a, b) for a, b in zip(copies(whole), copies(parts), strict=True)) < 1e-5
    assert same(before, copies(begun))


def test_progress_is_reported_and_a_stop_is_noticed_after_every_pass(beacons):
    done, stop = [], Stop()
    beacons.read(TEXT[:40], block=7, on_read=done.append)
    assert done == [7, 14, 16, 23, 30, 32, 39, 40], "a pass ends where a window ends"
    seen = []
    with pytest.raises(Cancelled):
        beacons.read(TEXT[:40], block=7, stop=stop, on_read=lambda n: (seen.append(n), stop.set()))
    assert seen == [7]
    with pytest.raises(Cancelled):
        beacons.session(beacons.empty, 4, stop=stop).feed([1])


def test_no_position_beyond_the_announced_peak_is_used(beacons, monkeypatch):
    forward, used = beacons.net.base_model.forward, []

    def watching(*args, position_ids, **kwargs):
        used.append(int(position_ids.max()) + 1)
        return forward(*args, position_ids=position_ids, **kwargs)

    monkeypatch.setattr(beacons.net.base_model, "forward", watching)
    for context in (3, 15, 16, 17, 31, 32, 90):
        prefix = beacons.read(TEXT[:context])
        assert max(used) == beacons.config.peak(context)
        for more in (1, 5, 40):
            used.clear()
            beacons.session(prefix, more).feed(TEXT[:more])
            assert prefix.length < max(used) <= prefix.peak(more)
        used.clear()


# Asking


def test_asking_never_changes_the_memory(beacons):
    prefix = beacons.read(TEXT[:55])
    before, first = copies(prefix), greedy(beacons, prefix, QUESTION, 30)
    other = greedy(beacons, prefix, QUESTION[::-1], 30)
    again = greedy(beacons, prefix, QUESTION, 30)
    assert same(before, copies(prefix))
    assert torch.equal(first[0], again[0])
    assert first[1] != other[1]


def test_two_threads_may_ask_at_once(beacons):
    prefix = beacons.read(TEXT[:55])
    questions = [QUESTION, QUESTION[::-1], QUESTION[2:]] * 4
    alone = [greedy(beacons, prefix, question, 20)[1] for question in questions]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda question: greedy(beacons, prefix, question, 20)[1], questions))
    assert together == alone


def test_sessions_may_take_turns(beacons):
    prefix = beacons.read(TEXT[:55])
    alone = [torch.cat([beacons.session(prefix, 1).feed([token])]) for token in (1, 2)]
    some, other = beacons.session(prefix, 2), beacons.session(prefix, 2)
    assert torch.equal(some.feed([1]), alone[0])
    assert torch.equal(other.feed([2]), alone[1])
    assert distance(some.feed([3]), beacons.session(prefix, 2).feed([1, 3])) < CLOSE


def test_a_memory_is_shared_and_not_copied(beacons):
    prefix = beacons.read(TEXT[: 11 * WINDOW + 5])
    session = beacons.session(prefix, 60)
    session.feed(TEXT[:10])
    assert session._cache.prefix is prefix
    assert all(layer.capacity <= beacons.config.entries(WINDOW) for layer in session._cache.layers)
    session.feed(TEXT[:40])
    shared = zip(session._cache.prefix.keys, prefix.keys, strict=True)
    assert all(mine.data_ptr() == theirs.data_ptr() for mine, theirs in shared)
    assert session._cache.prefix.length == 11 * WINDOW // 4


def test_a_session_reads_what_it_was_made_for(beacons):
    session = beacons.session(beacons.empty, 20)
    session.feed(TEXT[:18])
    for ids in ([], TEXT[:3]):
        with pytest.raises(InputError, match="1 to 2 can be read"):
            session.feed(ids)
    session.feed(TEXT[:2])


def test_reading_nothing_changes_nothing(beacons):
    prefix = beacons.read(TEXT[:20])
    assert beacons.read([], prefix) is prefix
    assert beacons.read([]) == beacons.empty
