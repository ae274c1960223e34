"""The catalogue of ready-made corpora, and its command line."""

import dataclasses
import hashlib
import json
import logging

import pytest

from demo import corpora
from demo.corpora import FOLDER, catalogue, main, open_entry
from engine.errors import BundleError, Cancelled, InputError
from engine.events import Stop
from engine.settings import Settings

OWN = "The dragon of Ostermoor is called Hildegard. She eats nothing but pickled turnips, and sleeps under the bakery."


@pytest.fixture(scope="module")
def pipeline(engine_models):
    from engine.memorag_lite import MemoRAGLite

    return MemoRAGLite(*engine_models)


@pytest.fixture
def here(tmp_path):
    return Settings(cache_dir=tmp_path / "cache")


@pytest.fixture
def entry(tmp_path, write_entry):
    return write_entry(tmp_path / "catalogue")


class Steps(list):
    """Collects the stages of a run."""

    def __call__(self, progress):
        if progress.stage not in self:
            self.append(progress.stage)


def text_of(pipeline):
    return "\n".join(document.text for document in pipeline.memorized.documents)


# The entry that ships


@pytest.fixture(scope="module")
def shipped():
    return catalogue()["harry-potter"]


def test_the_shipped_texts_are_there_with_their_checksums(shipped):
    assert shipped.files
    assert len(shipped.files) == len(shipped.sums)
    for path, expected in zip(shipped.files, shipped.sums, strict=True):
        assert path.is_relative_to(FOLDER)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == expected


def test_the_shipped_text_has_the_length_of_a_companion(shipped):
    words = sum(len(path.read_text("utf-8").split()) for path in shipped.files)
    assert 8_000 <= words <= 12_000


def test_the_shipped_entry_says_what_it_is(shipped):
    assert (shipped.slug, shipped.language) == ("harry-potter", "en")
    assert shipped.title
    assert shipped.description
    assert shipped.licence


def test_every_example_question_rests_on_sentences_of_the_shipped_text(shipped):
    facts = json.loads((FOLDER / "harry-potter" / "manifest.json").read_text("utf-8"))
    whole = "\n".join(path.read_text("utf-8") for path in shipped.files)
    assert [question["question"] for question in facts["questions"]] == list(shipped.questions)
    assert len(shipped.questions) >= 3
    for question in facts["questions"]:
        assert question["evidence"], question["question"]
        assert [quoted for quoted in question["evidence"] if quoted not in whole] == []


# Reading manifests


def test_an_empty_folder_is_an_empty_catalogue(tmp_path):
    assert catalogue(tmp_path) == {}
    assert catalogue(tmp_path / "nowhere") == {}


def test_entries_are_found_by_slug_in_order(tmp_path, write_entry):
    for slug in ("b", "a"):
        write_entry(tmp_path, slug)
    (tmp_path / "no-manifest").mkdir()
    (tmp_path / "a-file").write_text("x", "utf-8")
    assert list(catalogue(tmp_path)) == ["a", "b"]
    assert catalogue(tmp_path)["a"].files == (tmp_path / "a" / "text.txt",)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"\xff\xfe\xfa",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"{}",
        b'{"slug": "broken"}',
        b'{"slug": "broken", "title": "t", "description": "d", "language": "en", "licence": "l", "documents": ["t"],'
        b' "sha256": {}, "questions": []}',
        b'{"slug": "broken", "title": "t", "description": "d", "language": "en", "licence": "l", "documents": 5,'
        b' "sha256": {}, "questions": []}',
        b'{"slug": "broken", "title": "t", "description": "d", "language": "en", "licence": "l", "documents": [],'
        b' "sha256": {}, "questions": ["q"]}',
    ],
)
def test_a_broken_manifest_is_left_out_and_noted_and_the_others_stay(tmp_path, write_entry, caplog, broken):
    write_entry(tmp_path, "whole")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_bytes(broken)
    with caplog.at_level(logging.ERROR):
        assert list(catalogue(tmp_path)) == ["whole"]
    (record,) = caplog.records
    assert "broken" in record.getMessage()
    assert record.exc_info


# Opening


@pytest.mark.models
def test_a_changed_text_is_refused_before_it_is_memorised(entry, pipeline, here):
    entry.files[0].write_text("Something else.", "utf-8")
    empty, steps = pipeline.fork(), Steps()
    with pytest.raises(InputError) as refused:
        open_entry(entry, empty, here, steps)
    assert entry.title in str(refused.value)
    assert entry.files[0].name in str(refused.value)
    assert (steps, empty.is_memorized) == ([], False)


@pytest.mark.models
def test_an_entry_is_memorised_once_and_then_loaded_from_the_kept_bundle(entry, pipeline, here):
    first, steps = pipeline.fork(), Steps()
    open_entry(entry, first, here, steps)
    assert "embedding" in steps
    entry.files[0].unlink()  # the kept bundle is all that is needed
    second, steps = pipeline.fork(), Steps()
    open_entry(entry, second, here, steps)
    assert set(steps) <= {"indexing words"}, "nothing is memorised again"
    assert text_of(second) == text_of(first)
    assert second.stats == first.stats


@pytest.mark.models
def test_a_kept_bundle_of_another_text_is_not_taken(tmp_path, entry, pipeline, here, write_entry):
    open_entry(entry, pipeline.fork(), here)
    changed = write_entry(tmp_path / "later", entry.slug, OWN)
    opened = pipeline.fork()
    open_entry(changed, opened, here)
    assert text_of(opened) == OWN


@pytest.mark.models
@pytest.mark.parametrize("name", ["index.bin", "memory.bin"])
def test_a_damaged_kept_bundle_is_made_again_and_noted(name, entry, pipeline, here, caplog):
    open_entry(entry, pipeline.fork(), here)
    (kept,) = (here.cache_dir / "corpora").iterdir()
    damaged = kept / name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    opened, steps = pipeline.fork(), Steps()
    with caplog.at_level(logging.WARNING):
        open_entry(entry, opened, here, steps)
    assert "embedding" in steps
    assert opened.is_memorized
    assert entry.slug in caplog.text
    steps = Steps()
    open_entry(entry, pipeline.fork(), here, steps)
    assert set(steps) <= {"indexing words"}, "nothing is memorised again"


@pytest.mark.models
def test_opening_can_be_stopped_and_leaves_nothing_behind(entry, pipeline, here):
    stop, opened = Stop(), pipeline.fork()
    stop.set()
    with pytest.raises(Cancelled):
        open_entry(entry, opened, here, stop=stop)
    assert not opened.is_memorized
    assert list(here.cache_dir.rglob("*.bin")) == []


@pytest.mark.models
def test_a_build_of_ones_own_that_is_damaged_says_how_to_make_it_again(entry, pipeline, here, tmp_path):
    book = tmp_path / "own.txt"
    book.write_text(OWN, "utf-8")
    corpora.build(entry.slug, [book], pipeline.fork(), here)
    (manifest,) = (here.cache_dir / "corpora").rglob("manifest.json")
    manifest.write_text("{", "utf-8")
    with pytest.raises(BundleError) as refused:
        open_entry(entry, pipeline.fork(), here)
    assert f"python -m demo.corpora build {entry.slug}" in str(refused.value)


@pytest.mark.models
def test_a_text_that_is_gone_is_refused_in_words(entry, pipeline, here):
    entry.files[0].unlink()
    with pytest.raises(InputError):
        open_entry(entry, pipeline.fork(), here)


@pytest.mark.models
def test_a_corpus_opens_even_where_its_bundle_cannot_be_kept(entry, pipeline, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "corpora").write_text("no folder", "utf-8")
    opened = pipeline.fork()
    open_entry(entry, opened, Settings(cache_dir=tmp_path / "cache"))
    assert opened.is_memorized


# The command line


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command line in a cache folder of its own; return (status, stdout, stderr)."""
    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(tmp_path / "cache"))

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def one_sentence(error):
    return error.count("\n") == 1 and error.endswith(".\n") and "Traceback" not in error


def test_list_names_every_entry(command):
    status, out, err = command("list")
    assert (status, err) == (0, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == list(catalogue())


def test_nothing_to_do_is_refused_with_the_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("build", "war-and-peace", __file__), ("remove", "war-and-peace")])
def test_an_unknown_entry_is_refused_in_one_sentence(command, arguments):
    status, out, err = command(*arguments)
    assert (status, out) == (1, "")
    assert one_sentence(err)
    assert "war-and-peace" in err
    assert "harry-potter" in err


@pytest.mark.parametrize("slug", ["..", "../..", "/", "harry-potter/..", "."])
def test_remove_never_leaves_its_folder(command, tmp_path, slug):
    (tmp_path / "cache" / "corpora" / "own" / "x").mkdir(parents=True)
    assert command("remove", slug)[0] == 1
    assert (tmp_path / "cache" / "corpora" / "own" / "x").is_dir()


def test_a_missing_file_is_refused_in_one_sentence_before_the_models_are_loaded(command, tmp_path):
    status, out, err = command("build", "harry-potter", tmp_path / "nowhere.txt")
    assert (status, out) == (1, "")
    assert one_sentence(err)
    assert "nowhere.txt" in err
    assert not (tmp_path / "cache").exists()


def test_a_folder_is_no_file(command, tmp_path):
    status, _, err = command("build", "harry-potter", tmp_path)
    assert status == 1
    assert one_sentence(err)


def test_a_bad_setting_is_refused_in_one_sentence(command, monkeypatch):
    monkeypatch.setenv("MEMORAG_THREADS", "many")
    status, _, err = command("list")
    assert status == 1
    assert one_sentence(err)


def test_removing_what_was_never_built_changes_nothing(command):
    status, out, err = command("remove", "harry-potter")
    assert (status, err) == (0, "")
    assert out


@pytest.mark.models
def test_build_list_open_and_remove(monkeypatch, tmp_path, command, cache_with_models, pipeline):
    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(cache_with_models()))
    here = corpora.from_environment()
    book = tmp_path / "own book.txt"
    book.write_text(OWN, "utf-8")
    status, out, err = command("build", "harry-potter", book)
    assert status == 0, err
    assert "harry-potter" in out
    assert "embedding" in err
    assert "own" in command("list")[1]

    entry, opened, steps = catalogue()["harry-potter"], pipeline.fork(), Steps()
    open_entry(entry, opened, here, steps)
    assert text_of(opened) == OWN
    assert "embedding" not in steps
    assert [path.name for path in FOLDER.rglob("*.bin")] == []  # nothing is built inside the repository

    before = command("remove", "harry-potter")
    again = command("remove", "harry-potter")
    assert before[0] == again[0] == 0
    assert before[1] != again[1]
    assert "own" not in command("list")[1]
    shown, stop = [], Stop()

    def until_the_text_is_known(progress):
        shown.append(progress)
        stop.set()

    with pytest.raises(Cancelled):  # the shipped text is long: that it is read again is enough
        open_entry(entry, pipeline.fork(), here, until_the_text_is_known, stop)
    assert shown


@pytest.mark.models
def test_a_file_that_cannot_be_read_is_refused_and_keeps_the_build_before(
    command, tmp_path, cache_with_models, monkeypatch
):
    monkeypatch.setenv("MEMORAG_CACHE_DIR", str(cache_with_models()))
    book, bad = tmp_path / "own.txt", tmp_path / "bad.pdf"
    book.write_text(OWN, "utf-8")
    bad.write_bytes(b"no PDF at all")
    assert command("build", "harry-potter", book)[0] == 0
    status, _, err = command("build", "harry-potter", bad)
    assert status == 1
    assert "bad.pdf" in err
    assert "Traceback" not in err
    assert "own" in command("list")[1]


@pytest.mark.models
def test_after_a_build_is_removed_the_shipped_text_is_opened(entry, pipeline, here, tmp_path):
    book = tmp_path / "own.txt"
    book.write_text(OWN, "utf-8")
    corpora.build(entry.slug, [book], pipeline.fork(), here)
    mine, shipped = pipeline.fork(), pipeline.fork()
    open_entry(entry, mine, here)
    assert text_of(mine) == OWN
    assert corpora.remove(entry.slug, here) is True
    assert corpora.remove(entry.slug, here) is False
    open_entry(entry, shipped, here)
    assert text_of(shipped) == entry.files[0].read_text("utf-8")


def test_an_entry_cannot_be_changed(entry):
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.slug = "other"


def test_the_examples_are_of_every_kind_that_the_manifest_has():
    entry = catalogue()["harry-potter"]
    kinds = [entry.kinds[entry.questions.index(question)] for question in entry.examples]
    assert kinds == ["local", "global", "aggregation", "summary"]
