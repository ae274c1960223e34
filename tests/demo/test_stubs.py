"""Gradio as the app imports it: whole, but without writing type stubs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNTED = """
import ast
parsed = []
parse = ast.parse
ast.parse = lambda *given, **named: parsed.append(1) or parse(*given, **named)
if {quiet}:
    from demo.stubs import write_no_stubs
    write_no_stubs()
    write_no_stubs()
import gradio as gr
with gr.Blocks() as page:
    box = gr.Textbox("hello")
    box.change(lambda words: words, box, box)
print(len(parsed), len(page.fns))
"""


@pytest.mark.parametrize("quiet", [True, False])
def test_gradio_is_whole_and_makes_no_stubs_where_it_is_told_so(quiet):
    code = COUNTED.format(quiet=quiet)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    parsed, functions = map(int, done.stdout.split())
    assert functions == 1
    if quiet:
        assert parsed < 10
    else:
        assert parsed > 50, "so this version does make them, and there is something to be spared"
