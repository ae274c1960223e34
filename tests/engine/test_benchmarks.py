"""The benchmarks run end to end on a tiny text with the real models, and say what they measured and nothing else."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from itertools import islice

import numpy as np
import pytest

from engine.chunking import sentences
from engine.documents import Limits
from tests.benchmarks import compare, concurrent, documents, figures, scaling
from tests.benchmarks.documents_cases import Case, Read, Refused
from tests.benchmarks.texts import copies_for, repeated, sections
from tests.benchmarks.workers import Watch, settled_rss, short
from tests.conftest import DATA

TEXT = str(DATA / "lighthouse.txt")
PNG = b"\x89PNG\r\n\x1a\n"
MB = 2**20


def width_of(picture) -> int:
    """The pixels in a row of a PNG file, which its header says."""
    head = picture.read_bytes()[:24]
    assert head.startswith(PNG)
    return int.from_bytes(head[16:20], "big")


def numbers(values):
    """All numbers in nested facts."""
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from numbers(value)
    elif isinstance(values, int | float):
        yield values


@pytest.mark.models
def test_scaling_measures_a_text_that_is_repeated_to_the_length_asked_for(engine_models, tmp_path, capsys):
    found, picture = tmp_path / "scaling.json", tmp_path / "scaling.png"
    options = ["--tokens", "1600", "--runs", "1", "--new-tokens", "4"]
    scaling.main([TEXT, *options, "--json", str(found), "--plot", str(picture)])
    facts = json.loads(found.read_text("utf-8"))
    (row,) = facts["rows"]
    assert (row["side"], row["tokens"], row["copies"]) == ("ours", 1600, 2)
    assert scaling.MEASURES.keys() <= row.keys()
    assert all(math.isfinite(number) for number in numbers(facts))
    assert row["tokens_per_second"] == pytest.approx(1600 / row["memorise"])
    assert 0 < row["first_token"] < row["total"]
    assert row["first_clue"] > 0
    assert row["passages"] > 4
    assert row["distinct_passages"] == 1
    assert 0 < row["peak_loaded"] <= row["peak_memorised"] <= row["peak_asked"]
    assert width_of(picture) == 1800
    printed = capsys.readouterr().out
    assert facts["processor"] in printed
    assert all(title in printed for title in scaling.MEASURES.values())


@pytest.mark.models
def test_concurrent_asks_many_questions_of_one_process_at_once(engine_models, tmp_path, capsys):
    found, picture = tmp_path / "concurrent.json", tmp_path / "concurrent.png"
    options = ["--questions", "2", "1", "--tokens", "600", "--runs", "1", "--new-tokens", "4"]
    concurrent.main([TEXT, *options, "--json", str(found), "--plot", str(picture)])
    facts = json.loads(found.read_text("utf-8"))
    one, two = facts["rows"]
    assert (one["questions"], two["questions"]) == (1, 2)
    assert all(math.isfinite(number) for number in numbers(facts))
    for row in (one, two):
        assert 0 < row["first_median"] <= row["first_worst"] <= row["all_answered"]
        assert row["answers_per_minute"] == pytest.approx(60 * row["questions"] / row["all_answered"])
        assert row["rss_before"] > facts["memory_bytes"] > 0
        assert row["rss_above"] > 0
    # Each question has a tail of its own.
    assert 0 < one["tails"] < two["tails"] < 3 * one["tails"]
    assert facts["large_memory"]["memory_bytes"] > 2 * facts["memory_bytes"]
    assert width_of(picture) == 1800
    printed = capsys.readouterr().out
    assert facts["verdict"] in printed
    assert all(title in printed for title in concurrent.MEASURES.values())


def test_copies_of_a_text_lose_nothing_and_no_part_of_one_is_a_part_of_another(lighthouse):
    whole = repeated(lighthouse, 3)
    assert whole.startswith(lighthouse.rstrip())
    for start, end in sentences(lighthouse):
        assert whole.count(lighthouse[start:end].strip()) >= 3
    parts = list(sections(whole[len(lighthouse) :]))
    assert len(set(parts)) == len(parts) > 2 * len(list(sections(lighthouse))) - 2
    assert repeated(lighthouse, 1) == lighthouse.rstrip()
    assert [copies_for(tokens, 1000) for tokens in (1, 1000, 1001, 4500)] == [1, 1, 2, 5]


def test_no_question_comes_twice_where_many_are_asked_at_once():
    assert len(set(islice(concurrent.questions(), 32))) == 32


def test_memory_that_is_taken_and_given_back_while_a_block_runs_is_seen():
    before = settled_rss()
    with Watch(lambda: 7) as watch:
        seen = threading.Event()
        taken = np.ones(64 * MB, dtype=np.uint8)
        seen.wait(0.1)
        del taken
    assert 60 * MB < watch.rss - before < 128 * MB
    assert watch.counted == 7
    assert settled_rss() - before < 30 * MB


@pytest.mark.parametrize(
    ("larger", "more", "words"),
    [
        (40, 6, "4% of what a copy for each would take: nothing of the size of the memory"),
        (40, -6, "0% of what a copy for each would take: nothing of the size of the memory"),
        (40, 80, "50% of what a copy for each would take: the memory is not copied, but"),
        (40, 165, "that is a copy for each question"),
        (3, 1, "does not show"),
    ],
)
def test_the_verdict_tells_a_memory_that_is_copied(larger, more, words):
    assert words in concurrent.verdict(4, larger * MB, more * MB)


def test_what_each_further_question_adds_is_a_slope():
    rows = [{"questions": count, "rss_above": 30 + 5 * count} for count in (1, 2, 8)]
    assert concurrent.per_question(rows, "rss_above") == 5
    assert concurrent.per_question(rows[:1], "rss_above") == 35


class Measured:
    """What a worker has measured."""

    def __init__(self, figure: float) -> None:
        self.figure = figure

    def median(self, name: str) -> float:
        return self.figure


def test_the_comparison_is_drawn_with_every_target_that_there_is_for_its_gists(tmp_path):
    workers = {"published": Measured(90.0), "extractive": Measured(10.0), "abstractive": Measured(45.0)}
    found = compare.ratios(workers, list(compare.KINDS))
    assert [(row["gists"], row["ratio"], row["target"]) for row in found[:2]] == [
        ("extractive", 9.0, 30),
        ("abstractive", 2.0, 8),
    ]
    assert len(found) == 12
    assert {row["gists"] for row in compare.ratios(workers, ["extractive"])} == {"extractive"}
    facts = {"benchmark": "compare", "caption": "a machine", "runs": 3, "tokens": 6000, "ratios": found}
    axes = figures.ratios(facts).axes[0]
    assert [text.get_text() for text in axes.texts] == ["9.0x", "2.0x"] * 6
    figures.draw(facts, tmp_path / "new" / "ratios.svg")
    assert "<svg" in (tmp_path / "new" / "ratios.svg").read_text("utf-8")


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (23040, "23,040"), (0.13123, "0.131"), (1234.5, "1,234")])
def test_numbers_in_tables_have_three_figures_or_are_whole(value, text):
    assert short(value) == text


QUICK = ["TXT, Shift-JIS", "PDF, AES-256, the right password given", "PDF, endless work", "DOCX, entity bomb"]


def test_documents_of_many_kinds_are_made_and_read_and_come_out_as_they_should(tmp_path, capsys):
    found = tmp_path / "new" / "documents.json"
    assert documents.main(["--json", str(found), "--only", *QUICK]) == 0
    rows = {row["case"].partition(" (")[0]: row for row in json.loads(found.read_text("utf-8"))["rows"]}
    assert rows.keys() == set(QUICK)
    assert [rows[name]["outcome"] for name in QUICK] == ["read", "read", "refused", "refused"]
    assert 1.5 <= rows["PDF, endless work"]["seconds"] < 10
    assert all(5 < row["app_mb"] < 60 and 5 < row["reader_mb"] < 200 for row in rows.values())
    printed = capsys.readouterr().out
    assert all(f"| {name}" in printed for name in QUICK)
    assert "4 cases, 0 not as they should be.\nLeft behind, files and processes: none." in printed


LAMP = Read(lambda: "The lamp.")


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        (LAMP, ""),
        (Read(lambda: "The lamb."), "another text from character 7 on"),
        (Read(lambda: "The lamp.", name="b.txt"), "is called a.txt"),
        (Read(lambda: "The lamp.", {"lamp": (1, None)}), '"lamp" is at (None, None)'),
        (Read(lambda: "The lamp.", notes=1), "0 notes"),
        (Refused("damaged"), "should be refused"),
    ],
)
def test_a_document_that_does_not_come_out_as_it_should_is_told(tmp_path, expected, wrong):
    made = Case("lamp", "a.txt", lambda path: path.write_bytes(b"The lamp."), expected)
    row = documents.examine(made, tmp_path)
    assert (row["wrong"], row["left"], list(tmp_path.iterdir())) == (wrong, [], [])


@pytest.mark.parametrize(
    ("expected", "wrong"),
    [
        (Refused("is empty"), ""),
        (Refused("is full"), 'should say "is full"'),
        (Refused("is empty", "PasswordError"), "should be a PasswordError, is a DocumentError"),
        (LAMP, "should be read"),
    ],
)
def test_a_refusal_that_is_not_as_it_should_be_is_told(tmp_path, expected, wrong):
    assert documents.examine(Case("empty", "a.txt", lambda path: path.touch(), expected), tmp_path)["wrong"] == wrong


def test_what_a_document_leaves_behind_is_told_and_so_is_a_reader_that_fails(tmp_path, monkeypatch, capsys):
    def litter(path):
        path.write_bytes(b"The lamp.")
        path.with_name("b.txt").touch()

    cases = [Case("litter", "a.txt", litter, LAMP), Case("broken", "a.txt", litter, LAMP, limits=Limits(max_bytes="x"))]
    monkeypatch.setattr(documents, "all_cases", lambda: cases)
    assert documents.main(["--json", str(tmp_path / "found.json")]) == 1
    printed = capsys.readouterr().out
    assert "2 cases, 1 not as they should be." in printed
    assert "Left behind, files and processes: uploads/b.txt, uploads/b.txt." in printed


def test_a_process_that_is_left_behind_is_found(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path / "memorag-reading-1")}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment) as process:
        assert [found.pid for found in documents.still_running(tmp_path)] == [process.pid]
    assert not list(documents.still_running(tmp_path))
