"""Mistakes known from the original MemoRAG that no other test would notice, and the public API as its users know it."""

from __future__ import annotations

import copy
import hashlib
import inspect
import io
import json
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import engine
from engine import Agent, MemoRAG, MemoRAGLite, Memory, Model, storage
from engine.__main__ import main
from engine.decoding import Decoder
from engine.errors import BundleError
from engine.events import Answer
from engine.pipeline import Options
from engine.prefix import EMPTY
from tests.openai_server import agent_for, openai_server
from tests.pipelines import OTHER, QUESTION, SHORT

ROOT = Path(__file__).parents[2]
PIPELINES = [MemoRAG, MemoRAGLite]


@dataclass(frozen=True)
class Watched(Decoder):
    """A decoder that notes how many rows it continued, and after how many remembered tokens."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    def steps(self, rows, sampling, prefix=EMPTY, stop=None):
        self.seen.append((len(rows), prefix.tokens))
        return super().steps(rows, sampling, prefix, stop)


def with_decoder(model: Model, decoder: Decoder) -> Model:
    twin = copy.copy(model)
    twin.decoder = decoder
    return twin


def silent(model: Model) -> Model:
    """The same model, which ends every answer before its first word."""
    return with_decoder(model, replace(model.decoder, end_ids=frozenset(range(len(model.tokenizer)))))


@pytest.fixture
def server():
    with openai_server({"big": "It was Isolde Marrick."}) as running:
        yield running


# The public API


def parameters(function: object) -> dict[str, object]:
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.name != "self"}


def test_the_arguments_and_their_order_are_those_that_users_know():
    assert {"MemoRAG", "MemoRAGLite", "Memory", "Model", "Agent", "DenseRetriever", "FaissIndex"} <= set(engine.__all__)
    shared = {"ret_hit": 3, "retrieval_chunk_size": 512, "cache_dir": None, "access_token": None}
    quick = {"load_in_4bit": False, "enable_flash_attn": True}
    full, lite = parameters(MemoRAG.__init__), parameters(MemoRAGLite.__init__)
    known = {"gen_model_name_or_path": None, "customized_gen_model": None, **shared, "beacon_ratio": 4, **quick}
    assert list(full)[:2] == ["mem_model_name_or_path", "ret_model_name_or_path"]
    assert list(full.items())[2 : 2 + len(known)] == list(known.items())
    assert list(lite)[:2] == ["gen_model_name_or_path", "ret_model_name_or_path"]
    known = {"customized_gen_model": None, **shared, **quick}
    assert list(lite.items())[2 : 2 + len(known)] == list(known.items())
    asked = {"task_type": "memorag", "prompt_template": None, "max_new_tokens": 256, "reset_each_call": False}
    asked |= {"use_memory_answer": False}
    for kind, first in ((MemoRAG, ["context", "query"]), (MemoRAGLite, ["query", "context"])):
        assert list(parameters(kind.__call__).items())[:7] == [*((name, None) for name in first), *asked.items()]
        assert list(parameters(kind.stream).items())[:2] == [(name, None) for name in first]
        assert list(parameters(kind.__call__))[2:] == list(Options.__annotations__), "the same for a stream"
        assert list(parameters(kind.memorize))[:4] == ["context", "save_dir", "print_stats", "on_progress"]
        assert list(parameters(kind.load))[:2] == ["save_dir", "print_stats"]
    assert list(parameters(Agent.__init__))[:4] == ["model", "source", "api_dict", "temperature"]


@pytest.mark.models
@pytest.mark.parametrize("kind", PIPELINES)
@pytest.mark.parametrize("task", ["memorag", "qa", "rag", "summarize"])
def test_every_task_takes_every_argument_and_forgets_when_told_to(kind, task, tiny_model, encoder):
    pipeline = kind(tiny_model, encoder)
    first = (SHORT, QUESTION) if kind is MemoRAG else (QUESTION, SHORT)
    for _ in range(2):
        text = pipeline(*first, task, "{evidence} {question} Answer:", 8, True, True)
        assert isinstance(text, str)
        assert not pipeline.is_memorized


@pytest.mark.models
def test_a_separate_generator_named_by_its_folder_writes_the_answer(tiny_model, encoder, tiny_folder_of, hardware32):
    folder = str(tiny_folder_of("qwen3"))
    pipeline = MemoRAG(tiny_model, encoder, gen_model_name_or_path=folder, hardware=hardware32)
    alone = MemoRAG(tiny_model, encoder)
    written = pipeline(SHORT, QUESTION, max_new_tokens=12)
    assert pipeline.generator.name == Path(folder).name
    assert pipeline.model is tiny_model
    assert written == MemoRAG(tiny_model, encoder, None, pipeline.generator)(SHORT, QUESTION, max_new_tokens=12)
    assert written != alone(SHORT, QUESTION, max_new_tokens=12)
    assert pipeline(task_type="qa", query=QUESTION, max_new_tokens=12) == alone(
        task_type="qa", query=QUESTION, max_new_tokens=12
    ), "from the memory alone, whoever the generator is"


# Pipeline


@pytest.mark.models
@pytest.mark.parametrize("kind", PIPELINES)
def test_clues_are_recalled_as_one_batch_and_the_answer_is_written_without_the_memory(kind, tiny_model, encoder):
    watched = Watched(**{f.name: getattr(tiny_model.decoder, f.name) for f in fields(Decoder)})
    pipeline = kind(with_decoder(tiny_model, watched), encoder)
    pipeline.memorize(SHORT)
    held, seen = pipeline.memorized.memory.tokens, {}
    for task, options in {"memorag": {}, "rag": {}, "qa": {}, "memorag ": {"use_memory_answer": True}}.items():
        watched.seen.clear()
        pipeline(query=QUESTION, task_type=task.strip(), max_new_tokens=8, **options)
        seen[task] = list(watched.seen)
    assert held > 0
    assert seen == {
        "memorag": [(2, held), (1, 0)],
        "rag": [(1, 0)],
        "qa": [(1, held)],
        "memorag ": [(3, held), (1, 0)],
    }


@pytest.mark.models
@pytest.mark.parametrize("kind", PIPELINES)
def test_a_summary_is_written_where_the_memory_says_nothing(kind, server, tiny_model, encoder):
    pipeline = kind(silent(tiny_model), encoder, customized_gen_model=agent_for(server, "big"))
    pipeline.memorize(SHORT)
    answer = next(e for e in pipeline.stream(None, task_type="summarize") if isinstance(e, Answer))
    assert [passage.text for passage in answer.evidence] == [SHORT]
    assert answer.text.startswith("It was Isolde Marrick.")


@pytest.mark.models
@pytest.mark.parametrize(
    "lines",
    [
        ["燈塔建於一八七四年。", "第一位守塔人名叫馬格努斯。", "登上燈室要爬兩百一十四級臺階。"],
        ["灯台は千八百七十四年に建てられた。", "最初の灯台守はマグヌスだった。", "扉は黄色に塗られている。"],
        ["ประภาคารสร้างขึ้นบนเกาะ", "ผู้ดูแลคนแรกชื่อแม็กนัส", "ประตูทาสีเหลือง"],
    ],
    ids=["zh-tw", "ja", "th"],
)
def test_clues_without_spaces_find_passages(lines, encoder):
    with openai_server({"big": "\n".join(lines)}) as server:
        pipeline = MemoRAGLite(agent_for(server, "big"), encoder, gist_mode="extractive", retrieval_chunk_size=16)
        pipeline.memorize("\n\n".join(lines))
        for task, query in (("memorag", "1874?"), ("summarize", None)):
            answer = next(e for e in pipeline.stream(query, task_type=task) if isinstance(e, Answer))
            assert [clue.text for clue in answer.clues] == lines, task
            found_by = {name for passage in answer.evidence for name in passage.found_by}
            assert found_by & set(lines), task
            assert task == "summarize" or set(lines) <= found_by, "a summary's places name the nearest point each"


@pytest.mark.models
@pytest.mark.parametrize("ret_hit", [1, 4])
def test_a_clue_brings_in_as_many_passages_as_ret_hit_says(ret_hit, server, encoder):
    options = {"gist_mode": "extractive", "retrieval_chunk_size": 16}
    pipeline = MemoRAGLite(agent_for(server, "big"), encoder, ret_hit=ret_hit, **options)
    pipeline.memorize("\n\n".join(f"The mill number {n} has {n + 30} paddles of oak." for n in range(12)))
    answer = next(e for e in pipeline.stream(QUESTION) if isinstance(e, Answer))
    (clue,) = answer.clues
    assert len(answer.evidence) == 12
    assert sum(clue.text in passage.found_by for passage in answer.evidence) == ret_hit


@pytest.mark.models
def test_loading_replaces_what_was_held_and_tells_its_figures(tiny_model, encoder, tmp_path, capsys):
    pipeline = MemoRAGLite(tiny_model, encoder)
    pipeline.memorize(OTHER, save_dir=tmp_path / "mill", print_stats=True)
    told = capsys.readouterr().out
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "Language",
        "Context length",
        "Memory size",
        "Number of chunks",
    ]
    pipeline.memorize([SHORT, SHORT.upper()])
    pipeline.load(tmp_path / "mill", print_stats=True)
    assert capsys.readouterr().out == told
    answer = next(e for e in pipeline.stream(QUESTION, task_type="rag", max_new_tokens=4) if isinstance(e, Answer))
    assert [passage.text for passage in answer.evidence] == [OTHER]


# The memory


def test_logits_are_computed_for_the_last_token_only(tiny_model, monkeypatch):
    rows: list[int] = []
    forward = tiny_model.decoder.forward
    counting = replace(forward, head=lambda x: rows.append(len(x)) or forward.head(x))
    monkeypatch.setattr(tiny_model, "decoder", replace(tiny_model.decoder, forward=counting))
    memory = Memory(tiny_model)
    memory.memorize(SHORT * 8)
    memory.clues(QUESTION, 4)
    tiny_model.generate([QUESTION, SHORT], 4)
    assert memory.tokens > tiny_model.decoder.block
    assert max(rows) <= 3, "one for each clue prompt"


def test_a_full_disk_leaves_the_memory_that_was_saved_before(tiny_model, tmp_path):
    memory = Memory(tiny_model)
    memory.memorize(OTHER)
    memory.save(tmp_path / "memory.bin")
    before = (tmp_path / "memory.bin").read_bytes()
    memory.memorize(SHORT * 8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(BundleError, match=r"'memory.bin' could not be written"):
            memory.save(tmp_path / "memory.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"memory.bin": before}


def test_text_is_kept_where_the_systems_own_encoding_is_ascii(tmp_path):
    code = r"""
import locale, sys
from pathlib import Path
from engine import storage
assert locale.getpreferredencoding(False) != "UTF-8"
storage.write(Path(sys.argv[1]), {"language": "zh-cn"}, {"documents": ["\u706f\u5854"]}, {}, None)
assert storage.read(Path(sys.argv[1])).chunks == {"documents": ["\u706f\u5854"]}
"""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path / "bundle")]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | plain, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_damaged_bundle_is_refused_with_both_values_named(tmp_path):
    storage.write(tmp_path / "one", {}, {"documents": [SHORT]}, {"vectors": torch.ones(2, 3)}, None)
    path = tmp_path / "one" / storage.CHUNKS
    whole = path.read_bytes()
    for damaged, measure in (
        (whole[:-1], lambda data: f"{len(data)} bytes"),
        (whole.replace(b"214", b"215"), checksum),
    ):
        path.write_bytes(damaged)
        with pytest.raises(BundleError, match=f"has {measure(damaged)}, but {measure(whole)} when it was saved"):
            storage.read(tmp_path / "one")


def checksum(data: bytes) -> str:
    return f"the checksum {hashlib.sha256(data).hexdigest()}"


# The retriever


@pytest.mark.models
def test_a_long_question_is_read_to_its_end(encoder):
    long = "What did the keeper of the light write into the book of the station on that day? " * 10
    assert 150 < len(encoder.token_spans([long])[0]) < encoder.max_tokens - 10
    same, other = encoder.encode([long, f"{long} Saffron yellow paint?"], query=True)
    assert float(same @ other) < 0.999


@pytest.mark.models
def test_no_more_texts_are_embedded_at_once_than_the_caller_says(encoder):
    sizes: list[int] = []
    handle = encoder._net.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0]["input_ids"])))
    try:
        found = encoder.encode([SHORT, OTHER, QUESTION, SHORT, OTHER], batch=2)
    finally:
        handle.remove()
    assert sizes == [2, 2, 1]
    np.testing.assert_allclose(found[0], found[3], atol=1e-2)


# The command line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.models
def test_a_terminal_shows_a_bar_and_a_full_memory_is_asked_as_such(tiny_model_dir, tmp_path, monkeypatch, capsys):
    (tmp_path / "light.txt").write_text(SHORT, "utf-8")
    folder, models = str(tmp_path / "bundle"), ["--model", str(tiny_model_dir), "--device", "cpu", "--json"]
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["memorize", str(tmp_path / "light.txt"), "--save", folder, "--full", *models]) == 0
    shown = terminal.getvalue()
    assert {"embedding", "memorising"} <= set(re.findall(r"(\w+)[: ]+100% \|[^| ]+\|", shown))
    assert "0 s left" in shown
    assert json.loads(capsys.readouterr().out)["documents"] == ["light.txt"]
    assert main(["info", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "memorag"
    assert main(["ask", folder, QUESTION, "--max-new-tokens", "4", *models]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"][0]["text"] == SHORT
