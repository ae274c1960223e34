"""The corpora that ship: their texts, their questions, and bundles that make them answerable at once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from demo import catalogue, opening
from demo.catalogue import SHIPPED, Catalogue, Entry
from engine import storage
from engine.events import Evidence

SLUGS = ("annual-reports", "handbook", "harry-potter", "tea-house")
KINDS = {"local", "global", "aggregation", "summary"}
ENTRIES = Catalogue(SHIPPED / "nothing-added").shipping()
QUESTIONS = [
    pytest.param(slug, number, id=f"{slug}-{number}")
    for slug in SLUGS
    for number in range(len(ENTRIES[slug].questions) if slug in ENTRIES else 0)
]


@pytest.fixture(params=SLUGS)
def entry(request) -> Entry:
    return ENTRIES[request.param]


def texts_of(entry: Entry) -> dict[str, str]:
    return {name: (entry.folder / name).read_text("utf-8") for name in entry.manifest.documents}


def in_one_line(text: str) -> str:
    """Return a text without line breaks: evidence is one sentence, and its passage may be wrapped."""
    return " ".join(text.split())


# What is in the repository


def test_four_corpora_ship_and_none_of_them_is_broken():
    assert sorted(ENTRIES) == list(SLUGS)
    assert not Catalogue(SHIPPED / "nothing-added").broken()
    assert sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) == list(SLUGS)


def test_each_has_a_place_of_its_own_in_the_selector_and_the_first_is_the_readers_companion():
    orders = sorted(entry.manifest.order for entry in ENTRIES.values())
    assert all(before < after for before, after in pairwise(orders)), orders
    assert next(iter(Catalogue(SHIPPED / "nothing-added").entries())) == "harry-potter"
    assert [slug for slug, entry in ENTRIES.items() if entry.manifest.language == "zh"] == ["tea-house"]


def test_an_entry_says_what_it_is_and_where_it_is_from(entry):
    known = entry.manifest
    assert all((known.title, known.description, known.source))
    assert known.language in ("en", "zh")
    assert known.licence == "CC0-1.0", "it was written for this project"
    assert (known.private, known.made_from, entry.origin) == (False, (), "shipped")


def test_the_texts_are_those_that_the_manifest_names_and_no_others_lie_beside_them(entry):
    found = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts_of(entry).items()}
    assert found == entry.manifest.sha256
    held = {path.relative_to(entry.folder).as_posix() for path in entry.folder.rglob("*") if path.is_file()}
    bundle = {f"{catalogue.BUNDLE}/{name}" for name in (storage.MANIFEST, storage.CHUNKS, storage.INDEX)}
    assert held == {catalogue.MANIFEST, *entry.manifest.documents, *bundle}


def test_six_to_ten_questions_are_of_every_kind(entry):
    examples = entry.manifest.questions
    assert 6 <= len(examples) <= 10
    assert {example.kind for example in examples} == KINDS
    assert len(set(entry.questions)) == len(examples)
    assert len(entry.examples) == len(KINDS)


def test_every_quote_stands_in_the_texts_exactly_once(entry):
    whole = "\n".join(texts_of(entry).values())
    for example in entry.manifest.questions:
        assert example.evidence, example.question
        assert {quote: whole.count(quote) for quote in example.evidence} == dict.fromkeys(example.evidence, 1)


def test_questions_that_ask_for_more_than_a_fact_rest_on_several_places(entry):
    for example in entry.manifest.questions:
        assert example.kind == "local" or len(example.evidence) >= 3, example.question


def test_the_companion_has_the_length_of_a_companion():
    (text,) = texts_of(ENTRIES["harry-potter"]).values()
    assert 8_000 <= len(text.split()) <= 12_000


def test_the_annual_reports_are_those_of_eight_years():
    names = [name.rpartition("/")[2] for name in ENTRIES["annual-reports"].manifest.documents]
    years = [int(name.removesuffix(".txt")) for name in names]
    assert years == list(range(years[0], years[0] + 8))


def test_figures_of_the_company_have_to_be_gathered_from_several_years():
    entry = ENTRIES["annual-reports"]
    for example in entry.manifest.questions:
        years = {name for name, text in texts_of(entry).items() if any(quote in text for quote in example.evidence)}
        assert len(years) >= (2 if example.kind in ("aggregation", "global") else 1), example.question


def test_the_bundle_is_small_whole_and_without_the_memory(entry):
    manifest = storage.verify(entry.bundle)
    assert sum(path.stat().st_size for path in entry.bundle.iterdir()) < 500_000
    assert storage.MEMORY not in manifest["files"]
    assert manifest["missing"] == []
    assert manifest["held_bytes"] > 10 * 2**20, "room is made for the memory too"


# With the models


@pytest.fixture(scope="module")
def pipeline(engine_models):
    from engine.memorag_lite import MemoRAGLite

    return MemoRAGLite(*engine_models)


@pytest.fixture(scope="module")
def opened(pipeline, tmp_path_factory) -> Callable[[str], SimpleNamespace]:
    """Open an entry where nothing is cached, once; return its pipeline, its stages, and when it could be asked."""
    known: dict[str, SimpleNamespace] = {}

    def open_once(slug: str) -> SimpleNamespace:
        if slug not in known:
            places = catalogue.places(tmp_path_factory.mktemp("cache"))
            fork, stages, ready = pipeline.fork(), [], []
            began = time.monotonic()

            def on_ready() -> None:
                ready.append((time.monotonic() - began, fork.memorized.missing))

            opening.open_entry(ENTRIES[slug], fork, places, lambda step: stages.append(step.stage), on_ready=on_ready)
            known[slug] = SimpleNamespace(pipeline=fork, stages=set(stages), ready=ready, places=places)
        return known[slug]

    return open_once


@pytest.mark.models
def test_the_bundle_was_made_of_these_texts_with_the_embedded_models(entry, pipeline, tmp_path):
    places = catalogue.places(tmp_path)
    assert opening.condition(entry, places, pipeline.memorizer) == opening.Condition("ready")
    assert [document.text for document in opening.kept_texts(entry)] == list(texts_of(entry).values())


@pytest.mark.models
def test_in_an_empty_cache_it_can_be_asked_at_once_and_its_memory_follows(entry, opened):
    found = opened(entry.slug)
    assert [missing for _, missing in found.ready] == [("memory",), ()]
    assert found.ready[0][0] < 1, "the first question waits for nothing but the file"
    assert "memorising" in found.stages
    assert "embedding" not in found.stages
    brought = storage.read(entry.bundle).index["vectors"].numpy()
    assert np.array_equal(found.pipeline.memorized.dense.index.halves(), brought)
    assert opening.bytes_of(storage.read_manifest(entry.bundle)) == found.pipeline.memorized.nbytes


@pytest.mark.models
def test_the_memory_is_kept_outside_the_repository_and_the_next_opening_has_it(entry, opened, pipeline):
    places, again, ready = opened(entry.slug).places, pipeline.fork(), []
    opening.open_entry(entry, again, places, on_ready=lambda: ready.append(again.memorized.missing))
    assert ready == [()]
    assert (opening.kept_folder(entry, pipeline.memorizer, places) / storage.MEMORY).is_file()
    assert not list(SHIPPED.rglob(storage.MEMORY))


@pytest.fixture(scope="module")
def found(opened) -> dict[tuple[str, int], list[bool]]:
    """Which quotes of which question were found; the questions are asked as they come."""
    return {}


def search(entry: Entry, number: int, opened: Callable[[str], SimpleNamespace]) -> list[bool]:
    """Ask as the page does; return for each quote of a question whether it is in one of the passages."""
    example = entry.manifest.questions[number]
    with closing(opened(entry.slug).pipeline.stream(example.question, max_new_tokens=10)) as events:
        passages = next(event for event in events if isinstance(event, Evidence)).passages
    texts = [in_one_line(passage.text) for passage in passages]
    return [any(in_one_line(quote) in text for text in texts) for quote in example.evidence]


@pytest.mark.models
@pytest.mark.parametrize(("slug", "number"), QUESTIONS)
def test_a_question_finds_what_its_answer_rests_on(slug, number, opened, found):
    entry = ENTRIES[slug]
    held = found[slug, number] = search(entry, number, opened)
    example = entry.manifest.questions[number]
    lost = [quote for quote, is_found in zip(example.evidence, held, strict=True) if not is_found]
    assert any(held), "nothing of it was found"
    assert example.kind != "local" or not lost, lost


@pytest.mark.models
def test_most_of_the_evidence_of_a_corpus_is_found(entry, opened, found):
    for number in range(len(entry.questions)):
        if (entry.slug, number) not in found:  # where this test runs alone
            found[entry.slug, number] = search(entry, number, opened)
    held = [is_found for (slug, _), quotes in found.items() if slug == entry.slug for is_found in quotes]
    assert sum(held) / len(held) >= 0.7
