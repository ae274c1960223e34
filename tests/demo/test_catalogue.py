"""The catalogue: what there is, what takes the place of what, and manifests that are none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging

import pytest

from demo.catalogue import SHIPPED, Catalogue, Example, Manifest, is_slug, parse, sum_of

SUM = hashlib.sha256(b"").hexdigest()
WHOLE = {
    "slug": "tide-mill",
    "title": "The tide mill",
    "description": "A small text.",
    "language": "en",
    "licence": "CC0-1.0",
    "documents": ["mill.txt"],
    "sha256": {"mill.txt": SUM},
}


def written(folder, slug="tide-mill", **facts):
    """Write the manifest of an entry, and return its path."""
    path = folder / slug / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name("new")
    partial.write_text(json.dumps(WHOLE | {"slug": slug} | facts), "utf-8")
    return partial.replace(path)


def example(question, kind=""):
    return {"question": question, "kind": kind}


@pytest.fixture
def here(tmp_path):
    """A catalogue of its own: what ships in one folder, what was added in another."""
    return Catalogue(tmp_path / "added", tmp_path / "shipped")


# What there is


def test_an_empty_folder_is_an_empty_catalogue(here, tmp_path):
    assert here.entries() == {}
    (tmp_path / "shipped").mkdir()
    assert (here.entries(), here.known(), here.broken()) == ({}, [], [])


def test_entries_come_in_their_order_and_then_by_name(here, tmp_path):
    for slug, order in (("c", 100), ("b", 100), ("a", 100), ("z", 1)):
        written(tmp_path / "shipped", slug, order=order)
    (tmp_path / "shipped" / "no-manifest").mkdir()
    (tmp_path / "shipped" / "a-file").write_text("x", "utf-8")
    assert list(here.entries()) == ["z", "a", "b", "c"]
    assert here.entries()["a"].files == (tmp_path / "shipped" / "a" / "mill.txt",)
    assert here.broken() == []


def test_what_was_added_takes_the_place_of_what_ships_until_it_goes(here, tmp_path):
    written(tmp_path / "shipped", title="The mill that ships")
    mine = written(tmp_path / "added", title="My mill", documents=["my.txt"], sha256={"my.txt": SUM})
    entry = here.entries()["tide-mill"]
    assert (entry.title, entry.origin, entry.folder) == ("My mill", "built", mine.parent)
    assert entry.files == (), "its texts are in its bundle"
    assert here.shipping()["tide-mill"].title == "The mill that ships"
    assert [known.origin for known in here.known()] == ["shipped", "built"]
    mine.unlink()
    assert here.entries()["tide-mill"].title == "The mill that ships"


def test_an_entry_of_a_repository_was_pulled(here, tmp_path):
    sources = [
        {"kind": "files", "places": ["/books/mill.txt"]},
        {"kind": "repository", "places": ["a/b@c/tide-mill"]},
    ]
    written(tmp_path / "added", "one", made_from=sources[:1])
    written(tmp_path / "added", "two", made_from=sources)
    assert {slug: entry.origin for slug, entry in here.entries().items()} == {"one": "built", "two": "pulled"}


def test_a_private_entry_is_offered_only_where_nobody_else_is(here, tmp_path):
    written(tmp_path / "shipped", title="The mill that ships")
    written(tmp_path / "added", title="My mill", private=True)
    written(tmp_path / "added", "diary", private=True)
    assert [entry.title for entry in here.entries().values()] == ["The tide mill", "My mill"]
    public = Catalogue(here.added, here.shipped, with_private=False)
    assert [entry.title for entry in public.entries().values()] == ["The mill that ships"]
    assert len(public.known()) == 3


def test_only_some_may_be_offered(here, tmp_path):
    for slug in ("a", "b", "c"):
        written(tmp_path / "shipped", slug)
    some = Catalogue(here.added, here.shipped, ("c", "a", "unknown"))
    assert list(some.entries()) == ["a", "c"]
    assert [entry.slug for entry in some.known()] == ["a", "b", "c"]


def test_what_comes_changes_and_goes_is_seen_and_the_rest_is_not_read_again(here, tmp_path):
    path = written(tmp_path / "added")
    first = here.entries()["tide-mill"]
    assert here.entries()["tide-mill"] is first
    written(tmp_path / "added", "lamp")
    assert set(here.entries()) == {"lamp", "tide-mill"}
    assert here.entries()["tide-mill"] is first
    written(tmp_path / "added", title="The mill, again")
    second = here.entries()["tide-mill"]
    assert (second.title, second.version == first.version) == ("The mill, again", False)
    assert second.version == sum_of(path)
    path.unlink()
    assert set(here.entries()) == {"lamp"}


def test_what_an_interrupted_exchange_left_is_no_entry(here, tmp_path, caplog):
    written(tmp_path / "added")
    written(tmp_path / "added", "lamp").parent.rename(tmp_path / "added" / ".lamp.0123abcd.old")
    assert list(here.entries()) == ["tide-mill"]
    assert here.broken() == []
    assert not caplog.records


# Manifests that are none


def as_bytes(**facts):
    return json.dumps(WHOLE | {"slug": "broken"} | facts).encode()


BROKEN = {
    "empty": b"",
    "cut off": b"{",
    "no text": b"\xff\xfe\xfa",
    "a list": b"[]",
    "null": b"null",
    "a number": b"5",
    "a string": b'"text"',
    "an empty object": b"{}",
    "only a slug": b'{"slug": "broken"}',
    "very deep": b"[" * 100_000,
    "documents without sums": as_bytes(sha256={}),
    "sums of other documents": as_bytes(sha256={"other.txt": SUM}),
    "a sum that is none": as_bytes(sha256={"mill.txt": SUM.upper()}),
    "documents that are no list": as_bytes(documents=5),
    "no documents": as_bytes(documents=[], sha256={}),
    "questions that are none": as_bytes(questions=["q"]),
    "a question of two lines": as_bytes(questions=[example("Who?\nWhere?")]),
    "no title": as_bytes(title=""),
    "a title with a control character": as_bytes(title="a\x1b[2J"),
    "an endless title": as_bytes(title="a" * 1001),
    "the name of another": as_bytes(slug="other"),
    "a source of an unknown kind": as_bytes(made_from=[{"kind": "ftp", "places": ["x"]}]),
    "larger than any manifest": as_bytes() + b" " * 2**24,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("root", ["added", "shipped"])
def test_a_broken_manifest_is_left_out_and_noted_once_and_the_others_stay(here, tmp_path, caplog, broken, root):
    written(tmp_path / root, "whole")
    path = written(tmp_path / root, "broken")
    path.write_bytes(broken)
    with caplog.at_level(logging.DEBUG):
        assert list(here.entries()) == list(here.entries()) == ["whole"]
        assert here.broken() == [path.parent]
    assert caplog.messages == ["The corpus manifest of broken cannot be read."]
    written(tmp_path / root, "broken")
    assert list(here.entries()) == ["broken", "whole"]
    assert here.broken() == []


def test_a_manifest_that_is_a_folder_is_left_out(here, tmp_path):
    (tmp_path / "shipped" / "broken" / "manifest.json").mkdir(parents=True)
    assert here.entries() == {}
    assert here.broken() == [tmp_path / "shipped" / "broken"]


def test_a_broken_entry_that_was_added_leaves_what_ships_in_its_place(here, tmp_path):
    written(tmp_path / "shipped")
    written(tmp_path / "added").write_bytes(b"{")
    assert here.entries()["tide-mill"].origin == "shipped"
    assert here.broken() == [tmp_path / "added" / "tide-mill"]


# Entries


@pytest.mark.parametrize("slug", ["a", "7", "harry-potter", "a-1-b", "a" * 60])
def test_lower_case_words_with_hyphens_are_names(slug):
    assert is_slug(slug)


@pytest.mark.parametrize(
    "slug", ["", "-", "a-", "-a", "a--b", "A", "ä", "a b", "a_b", "a.b", ".", "..", "a/b", "../a", "a\n", "a" * 61, "٣"]
)
def test_anything_else_is_no_name(slug):
    assert not is_slug(slug)
    with pytest.raises(ValueError, match="slug"):
        parse(as_bytes(slug=slug))


def test_the_sum_of_all_texts_depends_on_each_and_on_their_order():
    def texts_sum(*names, **sums):
        facts = WHOLE | {"documents": names, "sha256": {name: sums.get(name, SUM) for name in names}}
        return Manifest.model_validate(facts).texts_sum

    other = hashlib.sha256(b"other").hexdigest()
    assert texts_sum("a", "b", a=other) == hashlib.sha256((other + SUM).encode()).hexdigest()
    assert len({texts_sum("a"), texts_sum("a", "b"), texts_sum("a", "b", a=other), texts_sum("b", "a", a=other)}) == 4


def test_an_entry_cannot_be_changed(here, tmp_path):
    written(tmp_path / "shipped")
    entry = here.entries()["tide-mill"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.version = "other"
    with pytest.raises(ValueError, match="frozen"):
        entry.manifest.title = "other"


def test_documents_are_cited_by_the_last_part_of_their_names(here, tmp_path):
    written(tmp_path / "shipped", documents=["text/a mill.txt", "b.pdf"], sha256={"text/a mill.txt": SUM, "b.pdf": SUM})
    assert here.entries()["tide-mill"].names == ("a mill.txt", "b.pdf")


@pytest.mark.parametrize(("title", "short"), [("Harry Potter: a companion", "Harry Potter"), ("Mills", "Mills")])
def test_a_short_title_ends_before_the_colon(here, tmp_path, title, short):
    written(tmp_path / "shipped", title=title)
    assert here.entries()["tide-mill"].short_title == short


def test_one_question_of_each_kind_is_an_example_and_every_one_without(here, tmp_path):
    asked = [example("A?", "local"), example("B?", "local"), example("C?", "global"), example("D?"), example("E?")]
    written(tmp_path / "shipped", questions=asked)
    entry = here.entries()["tide-mill"]
    assert entry.manifest.questions[0] == Example(question="A?", kind="local")
    assert entry.questions == ("A?", "B?", "C?", "D?", "E?")
    assert entry.examples == ("A?", "C?", "D?", "E?")


def test_the_examples_of_harry_potter_are_one_of_each_kind():
    entry = Catalogue(SHIPPED / "nothing-added").entries()["harry-potter"]
    kinds = {example.question: example.kind for example in entry.manifest.questions}
    assert [kinds[question] for question in entry.examples] == ["local", "global", "aggregation", "summary"]
