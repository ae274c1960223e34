"""The command line of the catalogue: what it adds, what it says, and what it refuses in one sentence."""

from __future__ import annotations

import pytest

from demo import corpora
from demo.catalogue import SHIPPED, Catalogue
from demo.corpora import main
from engine.settings import from_environment
from tests.demo import commands, own_corpora
from tests.demo.commands import done, refused
from tests.demo.own_corpora import OTHER, OWN, added, held, opened, text_of
from tests.file_server import FileServer, Served

pipeline, places = own_corpora.pipeline, own_corpora.places
command, loaded, book = commands.command, commands.loaded, commands.book
SHIPPING = Catalogue(SHIPPED / "nothing-added").entries()


# Without models


def test_list_names_every_entry_that_ships(command):
    lines = done(command("list")).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SHIPPING)
    assert lines[0] == "harry-potter: Harry Potter: a reader's companion (en, shipped)"


def test_nothing_to_do_is_refused_with_the_usage(capsys):
    for arguments in ([], ["build", "mine"], ["remove"], ["publish", "mine"], ["ship"], ["dance"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("remove", "war-and-peace"),
        ("verify", "war-and-peace"),
        ("ship", "war-and-peace"),
        ("publish", "war-and-peace", "--repo", "a/b"),
    ],
)
def test_an_unknown_entry_is_refused_with_those_that_there_are(command, places, arguments):
    assert refused(command(*arguments), "'war-and-peace'", *SHIPPING) == ""
    assert not places.root.exists()


@pytest.mark.parametrize("slug", ["..", "../..", "/", "harry-potter/..", "."])
def test_what_is_no_name_is_refused_and_nothing_is_touched(command, places, slug):
    (places.added / "own" / "x").mkdir(parents=True)
    refused(command("remove", slug), repr(slug))
    refused(command("build", slug, __file__), f"{slug!r} cannot be the name of a corpus")
    assert (places.added / "own" / "x").is_dir()
    assert [path.name for path in places.root.iterdir()] == ["added"]


def test_what_is_missing_is_refused_before_anything_is_loaded_or_written(command, places, tmp_path, book):
    (tmp_path / "empty").mkdir()
    refused(command("build", "mine", book, tmp_path / "nowhere.txt"), "nowhere.txt")
    refused(command("build", "mine", tmp_path / "empty"), "There is no TXT, PDF or DOCX file in the folder")
    refused(command("build", "mine", "ftp://example.org/book.txt"), "ftp://")
    refused(command("build", "mine", book, "--questions", tmp_path / "asked.txt"), "'asked.txt' cannot be read")
    refused(command("build", "mine", book, "--title", "two\nlines"), "one line of at most 1,000 characters")
    refused(command("build", "mine", book, "--licence", "a" * 1001), "one line of at most 1,000 characters")
    assert not places.root.parent.exists()


def test_a_file_name_that_no_manifest_can_hold_is_refused_before_it_is_read(command, tmp_path):
    path = str(tmp_path / "caf") + "\udce9.txt"
    with open(path, "w", encoding="utf-8") as stream:  # noqa: PTH123 - such a name is the point
        stream.write(OWN)
    refused(command("build", "mine", path), "rename")


@pytest.mark.parametrize(
    ("name", "value"),
    [("MEMORAG_THREADS", "many"), ("MEMORAG_CORPORA_REPO", "http://a/b"), ("MEMORAG_DEVICE", "abacus")],
)
def test_a_bad_setting_is_refused(command, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    refused(command("list"), value)


def test_removing_what_was_never_built_changes_nothing(command, places):
    said = done(command("remove", "harry-potter"))
    assert said == "harry-potter ships with the project; nothing was built or pulled in its place.\n"
    assert not places.root.exists()


def test_a_manifest_that_cannot_be_read_is_named_and_can_be_removed(command, places):
    (places.added / "mine").mkdir(parents=True)
    (places.added / "mine" / "manifest.json").write_text("{", "utf-8")
    said = done(command("list")).splitlines()
    assert said[-1] == "mine: its manifest cannot be read; build or pull it again, or remove it"
    assert done(command("remove", "mine")) == "Removed mine.\n"
    assert "mine" not in done(command("list"))


# Building


@pytest.mark.models
def test_one_command_adds_a_corpus_with_models_loaded_for_it(monkeypatch, capsys, cache_with_models, book, pipeline):
    from transformers.utils.logging import enable_progress_bar

    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(cache_with_models()))
    monkeypatch.setenv("MEMORAG_THREADS", "2")
    enable_progress_bar()
    status = main(["build", "harry-potter", str(book)])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, ""), "bars of libraries are for nobody"
    assert captured.out == (
        "Built harry-potter: 1 document(s), 28 tokens, for this computer alone: give --shared to offer it to all "
        "visitors.\n"
    )
    where = corpora.places(from_environment().cache_dir)
    into, steps, missing = opened(added(where, "harry-potter"), pipeline, where)
    assert (text_of(into), steps.read_the_text, missing) == (OWN, False, [()])


@pytest.mark.models
def test_files_folders_and_addresses_become_one_corpus(command, loaded, places, pipeline, tmp_path, book):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "1.txt").write_text(OTHER, "utf-8")
    (tmp_path / "books" / "cover.png").write_bytes(b"no text")
    (tmp_path / "asked.txt").write_text("Who is Hildegard?\nWho built the clock?\n", "utf-8")
    said = ("--title", "Dragons", "--description", " All of them. ", "--licence", "CC0-1.0", "--shared")
    with FileServer({"/mill.txt": Served(b"The mill of Ardle stood by the river.")}) as server:
        address = f"{server.url}/mill.txt"
        asked = ("--questions", tmp_path / "asked.txt")
        told = done(command("build", "dragons", book, tmp_path / "books", address, *said, *asked))
    assert told.splitlines()[0] == "Left out of 'books': 1 of other kinds than TXT, PDF and DOCX."
    assert told.splitlines()[1].startswith("Built dragons: 3 document(s), ")
    assert told.endswith(" tokens, for all visitors.\n")
    entry = added(places, "dragons")
    known = entry.manifest
    assert (entry.title, known.description, known.licence, known.private) == (
        "Dragons",
        "All of them.",
        "CC0-1.0",
        False,
    )
    assert entry.names == ("own book.txt", "1.txt", "mill.txt")
    assert entry.questions == ("Who is Hildegard?", "Who built the clock?")
    assert [(source.kind, source.places) for source in known.made_from] == [
        ("files", (str(book),)),
        ("folder", (str(tmp_path / "books"),)),
        ("http", (address,)),
    ]
    assert text_of(opened(entry, pipeline, places)[0]) == f"{OWN}\n{OTHER}\nThe mill of Ardle stood by the river."
    assert "dragons: Dragons (en, built)" in done(command("list"))


@pytest.mark.models
def test_ones_own_novels_are_private_until_they_are_removed(command, loaded, places, book):
    ships = held(SHIPPED)
    done(command("build", "harry-potter", book))
    assert done(command("list")).splitlines()[0] == "harry-potter: Harry Potter (en, built, private)"
    assert added(places, "harry-potter").questions == SHIPPING["harry-potter"].questions
    before, again = done(command("remove", "harry-potter")), done(command("remove", "harry-potter"))
    assert before == "Removed harry-potter. The text that ships with the project is back.\n"
    assert "nothing was built" in again
    assert done(command("list")).splitlines()[0].endswith("(en, shipped)")
    assert held(SHIPPED) == ships, "nothing was written where it could reach the repository"


@pytest.mark.models
def test_a_file_that_cannot_be_read_keeps_what_was_built_before(command, loaded, places, tmp_path, book):
    done(command("build", "mine", book))
    before = held(places.added)
    (tmp_path / "bad.pdf").write_bytes(b"no PDF at all")
    refused(command("build", "mine", book, tmp_path / "bad.pdf"), "bad.pdf")
    assert held(places.added) == before
