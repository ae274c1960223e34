"""What the public endpoints are built on; the endpoints themselves are used in tests/e2e/test_api.py."""

from types import SimpleNamespace

import pytest
from gradio.utils import get_upload_folder

from demo.api import session_of, was_uploaded


@pytest.mark.parametrize(
    "request_without_session", [None, SimpleNamespace(session_hash=None), SimpleNamespace(session_hash="")]
)
def test_callers_without_a_session_are_strangers_to_each_other(request_without_session):
    first, second = session_of(request_without_session), session_of(request_without_session)
    assert first != second
    assert len(first) > 16


def test_a_session_is_the_same_visitor_at_every_call():
    assert session_of(SimpleNamespace(session_hash="abc")) == session_of(SimpleNamespace(session_hash="abc")) == "abc"


def test_only_files_in_the_upload_folder_count_as_uploaded(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    folder = tmp_path / "uploads"
    assert get_upload_folder() == str(folder)
    (tmp_path / "secret.txt").write_text("x")
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "mine.txt").write_text("x")
    (folder / "a" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert was_uploaded(folder / "a" / "mine.txt")
    assert not was_uploaded(tmp_path / "secret.txt")
    assert not was_uploaded(folder / "a" / ".." / ".." / "secret.txt")
    assert not was_uploaded(folder / "a" / "link.txt")
