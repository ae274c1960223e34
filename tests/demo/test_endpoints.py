"""What the public endpoints are built on; the endpoints themselves are used in tests/e2e/test_api.py."""

from types import SimpleNamespace

import pytest
from gradio.utils import get_upload_folder

from demo.api import _uploaded, was_uploaded
from engine.errors import InputError


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


@pytest.mark.parametrize("as_gradio_gives_it", [lambda **facts: facts, lambda **facts: SimpleNamespace(**facts)])
def test_an_uploaded_file_comes_with_its_name_and_a_made_up_path_is_refused(tmp_path, monkeypatch, as_gradio_gives_it):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path, outside = tmp_path / "a" / "up.txt", tmp_path.parent / "outside.txt"
    path.parent.mkdir()
    for file in (path, outside):
        file.write_text("x")
    assert _uploaded(as_gradio_gives_it(path=str(path), orig_name="../My <b>file</b>.txt")) == (
        path,
        "../My <b>file</b>.txt",
    )
    assert _uploaded(as_gradio_gives_it(path=str(path), orig_name=None)) == (path, "up.txt")
    for bad in (str(outside), str(path.parent), str(path) + "x", "", None, f"{path}/../../../outside.txt"):
        with pytest.raises(InputError):
            _uploaded(as_gradio_gives_it(path=bad, orig_name="a.txt"))
