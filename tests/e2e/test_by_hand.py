"""Requests written by hand to a running app: refused in a sentence, quickly, and with no error in the log."""

import httpx
import pytest

from tests.e2e.conftest import until

pytestmark = pytest.mark.models


@pytest.fixture(autouse=True)
def no_error_is_logged(app):
    before = len(app.log.read_text())
    yield
    assert "Traceback" not in app.log.read_text()[before:]


def by_hand(app, name, *data):
    """Call an endpoint without the client; returns all that comes back."""
    called = httpx.post(f"{app.url}/gradio_api/call/{name}", json={"data": list(data)}, timeout=30)
    return httpx.get(f"{app.url}/gradio_api/call/{name}/{called.json()['event_id']}", timeout=60).text


@pytest.mark.parametrize("path", ["/etc/passwd", "app.py", "../app.py", "x" * 5000])
def test_a_made_up_path_reads_no_file_of_the_server(app, path):
    said = by_hand(app, "memorize", [{"path": path}], "", "", "", "")
    assert "was not uploaded here" in said
    assert "root:" not in said


def test_a_file_that_is_given_by_an_address_is_not_fetched(app):
    file = {"path": "https://example.org/a.txt", "meta": {"_type": "gradio.FileData"}}
    assert "upload the file itself" in by_hand(app, "memorize", [file], "", "", "", "")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("memorize", (5, "", "", "", "")),
        ("memorize", ([], None, "", "", "")),
        ("memorize", ([], "harry-potter", ["x"], "", "")),
        ("memorize", ([], "", "", 5, "")),
        ("memorize", ([], "", "", "A word.", ["x"])),
        ("connect", (["openai"], "m", "k", "")),
        ("connect", ("openai", "m", 5, "")),
        ("ask", (None, "harry-potter", "local", 0, 20, "rag", False, [])),
        ("ask", ("Who?", "harry-potter", "local", 0, 20, "rag", False, 5)),
        ("evidence", (None, "harry-potter", "rag", [])),
    ],
)
def test_what_is_of_the_wrong_type_gets_one_clear_sentence(app, name, data):
    said = by_hand(app, name, *data)
    assert "event: error" in said
    assert "; give " in said


def test_requests_that_would_only_fill_the_memory_are_refused(app):
    part = {"f": ("a.bin", b"y" * 1000)}
    assert httpx.post(f"{app.url}/gradio_api/component_server", files=part, timeout=30).status_code == 404
    long = b'{"data": ["' + b"x" * 9 * 2**20 + b'"]}'
    assert httpx.post(f"{app.url}/gradio_api/run/corpora", content=long, timeout=30).status_code == 413


def test_another_sites_script_sees_nothing_of_the_visitor(app):
    with httpx.Client(base_url=app.url, timeout=30) as visitor:
        assert visitor.get("/").headers["cache-control"] == "private, no-store"
        (path,) = visitor.post("/gradio_api/upload", files={"files": ("mine.txt", b"A word or two.")}).json()
        file = {"path": path, "orig_name": "mine.txt", "meta": {"_type": "gradio.FileData"}}
        visitor.post("/gradio_api/call/memorize", json={"data": [[file], "", "", "", ""]})

        def titles(**headers):
            answer = visitor.post("/gradio_api/run/corpora", json={"data": []}, headers=headers)
            return [corpus["title"] for corpus in answer.json()["data"][0]]

        until(lambda: "mine.txt" in titles(), 30)
        assert "mine.txt" not in titles(**{"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"})
        assert "mine.txt" not in titles(origin="https://evil.example")
        assert "mine.txt" in titles(origin=app.url)
        visitor.post("/gradio_api/run/delete", json={"data": []})
        assert "mine.txt" not in titles()
