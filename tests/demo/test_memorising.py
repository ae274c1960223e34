"""Memorising as a visitor watches it, from files that came to what can be asked."""

import shutil
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from demo import memorising, panels, session, text
from demo.jobs import Snapshot
from demo.uploads import SPARE_BYTES
from engine.errors import BundleError, DocumentError, InputError, NotMemorizedError, PasswordError
from engine.events import Progress
from tests.demo.lighthouse import DATA, GOOD, KINDS
from tests.uploads import encrypted

LIGHTHOUSE = (DATA / "lighthouse.txt").read_text("utf-8")


@pytest.mark.models
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_and_memorised_with_every_stage_in_order(library, kind):
    steps = library.steps[kind]
    states = [step.state for step in steps]
    assert states[-1] == "done"
    # A job may end between two looks at it; then its end is told twice.
    assert set(states[: states.index("done")]) <= {"waiting", "running"}
    assert set(states[states.index("done") :]) == {"done"}
    order = ["waiting", "reading", "splitting", "indexing words", "choosing gists", "memorising", "embedding"]
    seen = [order.index(step.stage) for step in steps]
    assert seen == sorted(seen)
    assert steps[-1].stage == "embedding"
    assert (steps[-1].ready, steps[-1].missing) == (True, ())


@pytest.mark.models
@pytest.mark.parametrize("kind", KINDS)
def test_memorising_says_how_far_it_is(library, kind):
    for step in library.steps[kind]:
        assert 0 <= step.share <= 1
        assert step.eta is None or step.eta >= 0
        assert step.title == f"lighthouse.{kind}"
        assert step.title in step.status
    last = library.steps[kind][-1]
    assert 0 < last.seconds < 60
    assert last.corpus in library.service.titles("reader")
    tokens = library.service.pipeline(last.corpus, "reader").stats["context_tokens"]
    expected = text.MEMORISED.format(title=last.title, tokens=f"{tokens:,}", seconds=f"{last.seconds:.1f} s")
    assert last.status == expected


@pytest.mark.models
def test_several_files_make_one_corpus(service, visitors, send):
    told = "The {name} text says that the miller keeps nine geese."
    files = [(name, told.format(name=name)) for name in ("geese.txt", "mill.txt", "sluice.TXT")]
    *_, last = memorising.memorize(service, visitors.get("collector"), send(service, "collector", *files))
    held = service.pipeline(last.corpus, "collector").memorized
    assert [document.name for document in held.documents] == ["geese.txt", "mill.txt", "sluice.TXT"]
    assert last.title == "geese.txt + 2"
    assert service.delete("collector") == 1


@pytest.mark.models
def test_memorising_can_be_stopped_and_the_same_file_memorised_again(service, visitors, send):
    visitor, steps = visitors.get("stopper"), []
    ids = send(service, "stopper", ("long.txt", LIGHTHOUSE * 2))
    corpus, job = service.memorize("stopper", ids)
    while not job.wait(0.02):
        steps.append(memorising.look(service, "stopper", corpus, job))
        if steps[-1].stage == "choosing gists":
            service.stop_memorising("stopper")
    last = memorising.look(service, "stopper", corpus, job)
    assert (last.state, last.status) == ("stopped", text.MEMORISING_STOPPED)
    assert len(service.titles("stopper")) == 1
    *_, last = memorising.memorize(service, visitor, ids)
    assert last.state == "done"
    assert service.delete("stopper") == 1


@pytest.mark.models
def test_memorising_goes_on_when_the_page_is_closed(service, visitors, send, until):
    told = ("a.txt", "The sluice keeper of Tarn Hollow whistles to his otters.")
    steps = memorising.memorize(service, visitors.get("leaver"), send(service, "leaver", told))
    corpus = next(steps).corpus
    steps.close()
    until(lambda: service.is_open(corpus), 30)
    assert service.delete("leaver") == 1


@pytest.mark.models
def test_a_question_about_a_corpus_that_is_being_memorised_waits_for_it(service, visitors, send):
    corpus, _ = service.memorize("asker", send(service, "asker", DATA / "lighthouse.txt"))
    question = replace(GOOD, query="Who found the logbooks?", corpus=corpus, mode="rag", max_new_tokens=10)
    replies = list(session.ask(service, visitors.get("asker"), question))
    assert replies[0].stage == "models"
    assert "lighthouse.txt" in replies[0].status
    assert replies[-1].final is not None
    assert service.delete("asker") == 1


# Refusals: the sentence is said, and nothing else is lost


def refusal(service, send, *files, password=""):
    """What is said when the page memorises files of which one cannot be read, and the names of those that wait then."""
    corpus, job = service.memorize("v", send(service, "v", *files), password)
    assert job.wait(20)
    assert corpus not in service.titles("v")
    error = job.snapshot().error
    waiting = [upload.name for upload in service.uploads.waiting("v")]
    service.delete("v")
    return error, waiting


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.txt", b""),
        ("blank.txt", b" \n\t \n"),
        ("fake.pdf", b"This is no PDF."),
        ("cut.pdf", (DATA / "lighthouse.pdf").read_bytes()[:300]),
        ("fake.docx", b"PK\x03\x04 and no more"),
        ("binary.txt", bytes(range(256)) * 20),
        ("<img src=x onerror=alert(1)>.txt", b""),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_deleted_and_the_others_wait(idle_service, send, name, data):
    error, waiting = refusal(idle_service, send, DATA / "lighthouse.txt", (name, data), ("other.txt", "A word."))
    sentence = session.sentence(error)
    assert isinstance(error, DocumentError)
    assert name in sentence
    assert "\n" not in sentence
    assert str(idle_service.settings.cache_dir) not in sentence
    assert waiting == ["lighthouse.txt", "other.txt"]


def test_of_a_program_nothing_is_left_behind(idle_service, visitors, send):
    ids = send(idle_service, "v", DATA / "lighthouse.txt", ("blank.txt", " "))
    with pytest.raises(DocumentError, match=r"blank\.txt"):
        list(memorising.memorize(idle_service, visitors.get("v"), ids))
    assert idle_service.uploads.of("v") == []


LOCKED = ("letters.pdf", encrypted((DATA / "lighthouse.pdf").read_bytes(), "sesame-0815", "owner"))


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_file_that_asks_for_a_password_waits_for_it(idle_service, send, password):
    error, waiting = refusal(idle_service, send, ("a.txt", "A word."), LOCKED, password=password)
    assert isinstance(error, PasswordError)
    assert "letters.pdf" in str(error)
    assert waiting == ["a.txt", "letters.pdf"]


@pytest.mark.models
def test_the_password_opens_the_file_once_and_is_kept_nowhere(service, visitors, send, caplog):
    ids = send(service, "v", LOCKED)
    *_, last = memorising.memorize(service, visitors.get("v"), ids, "sesame-0815")
    assert last.state == "done"
    kept = [path.read_bytes() for path in service.shelf.path.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"sesame" in data for data in kept)
    assert "sesame" not in caplog.text
    assert service.delete("v") == 1


@pytest.mark.models
def test_notes_about_a_file_are_told_with_the_result_and_kept(service, visitors, send, monkeypatch):
    note = '"a.txt" has <b>something</b> to note.'
    real = memorising_read()
    monkeypatch.setattr("demo.reading.read_apart", lambda *given: replace(real(*given), notes=(note,)))
    *_, last = memorising.memorize(service, visitors.get("v"), send(service, "v", ("a.txt", "A word or two.")))
    assert last.notes == (note,)
    assert last.status.endswith(note)
    assert service.shelf.get("v", last.corpus).notes == (note,)
    assert memorising.ready_line(service, "v", last.corpus).endswith(note)
    assert "&lt;b&gt;something" in panels.memory(service, "v", last.corpus)
    assert service.delete("v") == 1


def memorising_read():
    from demo import reading

    return reading.read_apart


def test_a_reader_that_is_stopped_gives_the_files_back(idle_service, send, monkeypatch, until):
    began = threading.Event()

    def endless(path, name, limits, password, on_progress, stop):
        while True:
            on_progress(Progress("reading", 1, 4, 3.0))
            began.set()
            stop.check()

    monkeypatch.setattr("demo.reading.read_apart", endless)
    ids = send(idle_service, "v", ("a.txt", "x" * 50), ("b.txt", "x" * 50))
    corpus, job = idle_service.memorize("v", ids)
    assert began.wait(5)
    step = memorising.look(idle_service, "v", corpus, job)
    assert (step.stage, step.state, step.title) == ("reading", "running", "a.txt + 1")
    assert 0.1 <= step.share <= 0.13
    assert text.STAGES["reading"] in step.status
    idle_service.stop_memorising("v")
    assert job.wait(5)
    assert [upload.id for upload in idle_service.uploads.waiting("v")] == ids


@pytest.mark.models
@pytest.mark.parametrize(("limit", "words"), [("disk", "server's disk"), ("visitor", "of 1.0 MB already")])
def test_a_text_for_which_there_is_no_room_is_refused_before_the_long_work(service, send, monkeypatch, limit, words):
    ids = send(service, "v", ("a.txt", "A word or two. " * 1000))
    if limit == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=SPARE_BYTES + 10_000))
    else:
        monkeypatch.setattr(service, "settings", replace(service.settings, visitor_mb=1))
    _, job = service.memorize("v", ids)
    assert job.wait(20)
    assert words in session.sentence(job.snapshot().error)
    assert [upload.id for upload in service.uploads.waiting("v")] == ids
    service.delete("v")


def test_stopping_when_nothing_is_memorised_does_nothing(idle_service):
    idle_service.stop_memorising("idle")
    assert idle_service.running("idle") is None


# What is said meanwhile


@pytest.mark.parametrize("missing", list(text.GOING_ON))
@pytest.mark.models
def test_what_goes_on_is_told_with_what_is_missing_the_share_and_the_time(service, send, monkeypatch, missing):
    corpus, job = service.memorize("v", send(service, "v", ("a.txt", "A word or two.")))
    assert job.wait(30)
    at = Snapshot("running", Progress("embedding", 12, 100, 2400.0), None, 95.0, is_ready=True)
    monkeypatch.setattr(job, "snapshot", lambda: at)
    monkeypatch.setattr(memorising, "missing_of", lambda *_: missing)
    step = memorising.look(service, "v", corpus, job)
    assert text.GOING_ON[missing].format(title="a.txt") in step.status
    assert "12 %, about 40 min left - 2 min so far" in step.status
    assert (step.ready, step.missing, step.share) == (True, missing, 0.12)
    assert service.delete("v") == 1


# Opening a ready-made corpus


@pytest.mark.models
def test_an_open_corpus_is_done_at_once(service, visitors):
    (step,) = memorising.open_corpus(service, visitors.get("v"), "tide-mill")
    assert (step.corpus, step.title, step.state, step.share) == ("tide-mill", "The tide-mill", "done", 1.0)
    tokens = service.pipeline("tide-mill", "v").stats["context_tokens"]
    assert step.status == text.READY.format(title="The tide-mill", tokens=f"{tokens:,}")


@pytest.mark.parametrize(
    ("corpus", "sentence"),
    [
        ("", text.NO_FILES),
        ("war-and-peace", text.UNKNOWN_CORPUS.format(corpus="war-and-peace", known="tide-mill")),
        ("mine-x", text.EXPIRED),
    ],
)
def test_a_corpus_that_is_not_there_cannot_be_opened(idle_service, visitors, corpus, sentence):
    with pytest.raises((InputError, NotMemorizedError)) as refused:
        list(memorising.open_corpus(idle_service, visitors.get("v"), corpus))
    assert str(refused.value) == sentence


@pytest.mark.models
def test_a_corpus_whose_text_was_changed_says_so_when_it_is_asked(
    cache_with_models, tmp_path, write_entry, visitors, until, service
):
    from demo.service import Service

    entry = write_entry(tmp_path / "catalogue")
    entry.files[0].write_text("Something else.", "utf-8")
    broken = Service(replace(service.settings, cache_dir=cache_with_models()), folder=tmp_path / "catalogue")
    broken.start()
    until(lambda: broken.models.is_loaded, 60)
    for steps in (
        session.ask(broken, visitors.get("v"), GOOD),
        memorising.open_corpus(broken, visitors.get("v"), "tide-mill"),
    ):
        with pytest.raises(BundleError, match="Press Rebuild") as refused:
            list(steps)
        assert entry.title in str(refused.value)
    broken.close()
