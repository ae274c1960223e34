"""The public endpoints, used by a program as a visitor would use the page."""

import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from engine.citation import cited
from tests.e2e.conftest import until
from tests.openai_server import openai_server
from tests.uploads import encrypted

pytestmark = pytest.mark.models
DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def client(app):
    opened = Client(app.url, verbose=False, download_files=False)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def memorised(app):
    """A client that has memorised the lighthouse text, and the corpus's id."""
    opened = Client(app.url, verbose=False, download_files=False)
    yield opened, memorise(opened, DATA / "lighthouse.txt")[-1]["corpus"]
    opened.close()


def memorise(client, *files):
    return steps(client.submit([handle_file(str(file)) for file in files], "", api_name="/memorize"))


def ask(client, question, corpus, *rest):
    return steps(client.submit(question, corpus, *rest, api_name="/ask"))


def steps(job):
    """Everything a job yields; raises what ended it."""
    yielded = list(job)
    job.result()
    return yielded


def test_ready_made_corpora_are_listed_and_open(client):
    listed = {corpus["id"]: corpus for corpus in client.predict(api_name="/corpora")}
    assert listed["harry-potter"]["questions"]
    assert not listed["harry-potter"]["mine"]
    last = steps(client.submit([], "harry-potter", api_name="/memorize"))[-1]
    assert last["state"] == "done"
    listed = {corpus["id"]: corpus for corpus in client.predict(api_name="/corpora")}
    assert listed["harry-potter"]["ready"]


@pytest.mark.parametrize("kind", ["txt", "pdf", "docx"])
def test_an_upload_is_memorised_and_answered_from_evidence(client, kind):
    done = memorise(client, DATA / f"lighthouse.{kind}")[-1]
    assert done["state"] == "done"
    replies = ask(client, "How many steps does the stair of the tower have?", done["corpus"], "local", 0.0, 60)
    last = replies[-1]
    holding = [passage for passage in last["evidence"] if "214 steps" in passage["text"]]
    assert holding, "the passage with the fact is among the evidence"
    assert holding[0]["document"] == f"lighthouse.{kind}"
    assert holding[0]["page"] == (1 if kind == "pdf" else None)
    assert holding[0]["section"] == ("The Island and Its Tower" if kind == "docx" else None)
    pieces = {reply["answer"] for reply in replies if reply["answer"]}
    assert len(pieces) > 1, "the answer arrives in more than one piece"
    assert all(last["answer"].startswith(piece) for piece in pieces)
    assert cited(last["answer"]) <= {passage["number"] for passage in last["evidence"]}
    with_evidence = next(i for i, reply in enumerate(replies) if reply["evidence"])
    assert not replies[with_evidence]["answer"] or len(replies) < 4, "evidence comes before the answer"
    assert last["timings"]["total"] >= last["timings"]["first_token"] > 0


@pytest.mark.parametrize("mode", ["memorag", "rag", "qa", "summarize", "full"])
def test_every_mode_answers(memorised, mode):
    client, corpus = memorised
    last = ask(client, "Who was the first keeper of the light?", corpus, "local", 0.0, 40, mode)[-1]
    assert last["stage"] == "done"
    assert last["answer"].strip()
    assert bool(last["evidence"]) == (mode != "qa")
    assert mode in ("memorag", "summarize") or not last["clues"]


def test_evidence_is_what_an_answer_would_rest_on_without_the_answer(app, memorised):
    client, corpus = memorised
    question = "How many steps does the stair of the tower have?"
    replies = steps(client.submit(question, corpus, api_name="/evidence"))
    assert replies[-1]["stage"] == "done"
    assert "answer" not in replies[-1]
    found = replies[-1]["evidence"]
    assert found == ask(client, question, corpus, "local", 0.0, 10)[-1]["evidence"]
    holding = [passage for passage in found if "214 steps" in passage["text"]]
    assert holding[0]["document"] == "lighthouse.txt"
    assert holding[0]["found_by"]
    assert holding[0]["end"] - holding[0]["start"] >= len("214 steps")
    assert replies[-1]["timings"]["retrieval"] > 0
    plain = steps(client.submit(question, corpus, "rag", api_name="/evidence"))[-1]
    assert plain["evidence"]
    assert not plain["clues"]
    time.sleep(1.0)
    assert seconds_used(psutil.Process(app.process.pid), 2.0) < 0.3, "nothing is being written"


def test_a_question_that_leans_on_earlier_ones_is_understood(memorised):
    client, corpus = memorised
    turns = [["Who was the first keeper of the light?", "The first keeper was Isolde Marrick. [1]"]]
    job = client.submit("How long did she stay?", corpus, max_new_tokens=20, history=turns, api_name="/ask")
    last = steps(job)[-1]
    assert "Marrick" in last["understood"]
    found = steps(client.submit("How long did she stay?", corpus, history=turns, api_name="/evidence"))[-1]
    assert found["understood"] == last["understood"]
    assert found["evidence"] == last["evidence"]


def test_a_plain_text_is_memorised_without_a_file(app, client):
    left = set(app.temp.glob("tmp*"))
    words = "The ferry Ardent leaves Skell at 7:40. Its captain is Mara Quill."
    done = steps(client.submit(text=words, title="Ferry", api_name="/memorize"))[-1]
    assert done["title"] == "Ferry.txt"
    found = steps(client.submit("Who is the captain?", done["corpus"], "rag", api_name="/evidence"))[-1]
    assert found["evidence"][0]["text"] == words
    assert found["evidence"][0]["document"] == "Ferry.txt"
    assert set(app.temp.glob("tmp*")) <= left
    with pytest.raises(AppError, match="Ferry"):
        steps(client.submit(text="  ", title="Ferry", api_name="/memorize"))


def test_a_program_opens_a_protected_file_with_its_password(client, tmp_path):
    locked = tmp_path / "letters.pdf"
    locked.write_bytes(encrypted((DATA / "lighthouse.pdf").read_bytes(), "sesame-0815", "owner"))
    with pytest.raises(AppError, match="password"):
        memorise(client, locked)
    job = client.submit([handle_file(str(locked))], "", "sesame-0815", api_name="/memorize")
    assert steps(job)[-1]["state"] == "done"


def test_a_visitor_cannot_ask_or_list_anothers_corpus(memorised, client):
    _, corpus = memorised
    with pytest.raises(AppError, match="memorise it again") as refused:
        ask(client, "Who was the first keeper?", corpus)
    with pytest.raises(AppError) as unknown:
        ask(client, "Who was the first keeper?", "mine-never-existed")
    assert str(refused.value) == str(unknown.value)
    assert corpus not in {listed["id"] for listed in client.predict(api_name="/corpora")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", "harry-potter"), "question is empty"),
        (("   ", "harry-potter"), "question is empty"),
        (("x" * 5000, "harry-potter"), "5000 characters"),
        (("Who?", ""), "Choose a corpus"),
        (("Who?", "hobbit"), "no corpus 'hobbit'"),
        (("Who?", "harry-potter", "local", 3.5), "Temperature is 3.5"),
        (("Who?", "harry-potter", "local", -1), "Temperature is -1"),
        (("Who?", "harry-potter", "local", 0, 5), "is 5; give a number from 10 to 1024"),
        (("Who?", "harry-potter", "local", 0, 5000), "is 5000; give a number from 10 to 1024"),
        (("Who?", "harry-potter", "local", 0, 50, "magic"), "no mode 'magic'"),
        (("Who?", "harry-potter", "gpt-9"), "no generator 'gpt-9'"),
        (("Who?", "harry-potter", "openai"), "key"),
    ],
)
def test_bad_questions_get_one_clear_sentence(client, arguments, words):
    with pytest.raises(AppError) as refused:
        ask(client, *arguments)
    assert words in str(refused.value)
    assert "Traceback" not in str(refused.value)


def bad_files(folder):
    empty, blank, fake = folder / "empty.txt", folder / "blank.txt", folder / "fake.pdf"
    binary, other = folder / "binary.txt", folder / "notes.xlsx"
    empty.write_bytes(b"")
    blank.write_text("  \n\t ")
    fake.write_text("this is no PDF at all " * 20)
    binary.write_bytes(bytes(range(256)) * 20)
    other.write_bytes(b"PK\x03\x04 not for here")
    return {"empty": empty, "blank": blank, "fake": fake, "binary": binary, "other": other}


@pytest.mark.parametrize("kind", ["empty", "blank", "fake", "binary", "other"])
def test_bad_files_are_refused_by_name_and_the_page_stays_usable(app, client, tmp_path, kind):
    file = bad_files(tmp_path)[kind]
    with pytest.raises(AppError) as refused:
        memorise(client, file)
    assert file.name in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert client.predict(api_name="/corpora")
    assert not list(app.temp.rglob(file.name)), "nothing is left where others might fetch it"
    assert not any(file.stat().st_size == kept.stat().st_size for kept in app.visitors_files() if kept.suffix == "")


def test_a_file_over_the_limit_is_refused_while_it_is_sent(app, tmp_path):
    big = tmp_path / "big.txt"
    big.write_bytes(b"a word or two. " * 200_000)
    with big.open("rb") as stream:
        answer = httpx.post(f"{app.url}/gradio_api/upload", files={"files": stream}, timeout=60)
    assert answer.status_code == 413
    assert not list(app.temp.rglob("big.txt"))


def test_stopping_an_answer_frees_the_processor_within_a_second(app, client):
    server = psutil.Process(app.process.pid)
    job = client.submit("Tell the whole story in great detail.", "harry-potter", "local", 1.0, 1024, api_name="/ask")
    until(lambda: job.outputs() and job.outputs()[-1]["answer"], 60)
    assert seconds_used(server, 1.0) > 0.1, "it is at work"
    job.cancel()
    time.sleep(1.0)
    assert seconds_used(server, 2.0) < 0.3, "it is at rest"


def seconds_used(process, span):
    """Processor seconds that a process uses in the next ``span`` seconds."""
    before = process.cpu_times()
    time.sleep(span)
    after = process.cpu_times()
    return (after.user + after.system) - (before.user + before.system)


def test_two_visitors_ask_at_once_and_get_their_own_answers(memorised, client):
    first, corpus = memorised
    answers = {}

    def question(name, who, where, words):
        answers[name] = ask(who, words, where, "local", 0.0, 30)[-1]

    asked = [
        threading.Thread(target=question, args=("light", first, corpus, "What colour is the door?")),
        threading.Thread(target=question, args=("potter", client, "harry-potter", "Who is Dobby?")),
    ]
    [thread.start() for thread in asked]
    [thread.join(120) for thread in asked]
    assert {passage["document"] for passage in answers["light"]["evidence"]} == {"lighthouse.txt"}
    assert {passage["document"] for passage in answers["potter"]["evidence"]} == {"harry_potter_companion.txt"}


def test_a_generator_behind_an_api_answers_with_the_visitors_key(app, client):
    key = "sk-visitor-secret-0123456789"
    with openai_server({"citer": "Dobby is a house-elf [1] who is set free [99]."}) as server:
        connected = client.predict("compatible", "citer", key, server.base_url, api_name="/connect")
        assert key not in connected
        last = ask(client, "Who is Dobby?", "harry-potter", "compatible", 0.7, 99)[-1]
        assert last["answer"] == "Dobby is a house-elf who is set free. [1]"
        request = server.requests[-1]
        assert key in request.headers["authorization"]
        assert request.body["temperature"] == 0.7
        assert request.body["max_tokens"] == 99
        prompt = request.body["messages"][-1]["content"]
        assert last["evidence"][0]["text"][:40] in prompt
        assert not [clue for clue in last["clues"] if clue["text"] in prompt]
    assert key not in app.log.read_text()


def test_a_wrong_key_is_said_in_words(client):
    with openai_server() as server:
        client.predict("compatible", "wrong-key", "sk-wrong", server.base_url, api_name="/connect")
        with pytest.raises(AppError, match="key") as refused:
            ask(client, "Who is Dobby?", "harry-potter", "compatible")
    assert "sk-wrong" not in str(refused.value)


def test_endpoints_are_typed_and_documented(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    names = {name: [facts["parameter_name"] for facts in told["parameters"]] for name, told in described.items()}
    assert names == {
        "/corpora": [],
        "/memorize": ["files", "corpus", "password", "text", "title"],
        "/ask": ["question", "corpus", "generator", "temperature", "max_new_tokens", "mode", "compare", "history"],
        "/evidence": ["question", "corpus", "mode", "history"],
        "/connect": ["generator", "model", "api_key", "address"],
    }
    for told in described.values():
        assert "Returns: " in told["description"]
        assert all(facts["python_type"]["description"] for facts in told["parameters"])


def test_nothing_of_documents_or_questions_is_logged(app, memorised):
    client, corpus = memorised
    ask(client, "Is the concertina mentioned anywhere?", corpus, "local", 0.0, 20)
    written = app.log.read_text()
    assert "concertina" not in written
    assert "lighthouse" not in written
    assert "Traceback" not in written
