"""Hardware: what this machine can do, and why; what it lacks is refused."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.errors import InputError
from engine.hardware import (
    DEVICES,
    FLASH_ATTENTION,
    SDPA,
    cpu_free_bytes,
    detect,
    flash_problem,
    require_four_bit,
    sparse_problem,
)
from engine.model import Model

ROOT = Path(__file__).parents[2]
AMPERE, TURING = (8, 0), (7, 5)
# How an optional package fails that was built for another CUDA, another torch, or another Python.
FAILURES = {
    "ImportError": "libcudart.so.11.0: cannot open shared object file: No such file or directory",
    "OSError": "undefined symbol: _ZN3c104cuda9SetDeviceEi\nand more",
    "RuntimeError": "CUDA error: no kernel image is available",
    "AssertionError": "",
}


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Puts a package of one file on the path, and takes it away again."""

    def write(name: str, code: str) -> Path:
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setitem(sys.modules, name, None)  # noted, so that what the test imports is taken away
        monkeypatch.delitem(sys.modules, name)
        return tmp_path

    return write


def test_the_cpu_can_always_be_asked_for():
    found = detect("cpu")
    assert found.device == "cpu"
    assert found.attention == SDPA
    assert found.dtype in ("bfloat16", "float32")
    assert found.quantization_config() is None
    assert found.threads == os.cpu_count()


def test_every_decision_has_its_reason():
    found = detect("cpu", threads=2)
    assert len(found.reasons) == 4 + found.small_weights + found.small_memory
    assert str(found) == "; ".join(found.reasons)
    assert found.dtype in str(found)
    assert "2 CPU threads" in str(found)


@pytest.mark.parametrize("count", [1, 2])
def test_the_thread_count_is_set(count):
    assert detect("cpu", threads=count).threads == count
    assert torch.get_num_threads() == count


@pytest.mark.parametrize("device", sorted({*DEVICES, "tpu", ""} - {"auto", "cpu"}))
def test_a_device_that_is_not_there_is_refused(device):
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if present.get(device):
        assert detect(device).device == device
        return
    with pytest.raises(InputError, match=f"{device!r} is not available on this machine; use 'auto' or 'cpu'"):
        detect(device)


def test_auto_says_why_it_chose():
    found = detect()
    if found.device == "cpu":
        assert "because no GPU was found" in found.reasons[0]
    assert found.device in DEVICES


def test_four_bits_without_their_package_are_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match="needs the bitsandbytes package, and bitsandbytes is not installed; install it"
    ):
        detect("cpu", load_in_4bit=True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "raise RuntimeError('no native library\\nand more')",
            r"installed but does not work here \(no native library\)",
        ),
        ("__path__ = []", r"installed but does not work here \(No module named 'bitsandbytes.functional'"),
    ],
)
def test_four_bits_are_refused_where_their_package_does_not_work(package, code, said):
    """In a process of its own: the real package cannot be imported twice."""
    folder = package("bitsandbytes", code)
    script = (
        "import sys\nsys.path.insert(0, sys.argv[1])\n"
        "from engine.hardware import detect\ndetect('cpu', load_in_4bit=True)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("engine.errors.InputError: load_in_4bit needs the bitsandbytes package, and ")
    assert re.search(said, last), last


def test_four_bits_are_refused_on_apple_gpus():
    with pytest.raises(InputError, match=r"does not run on Apple GPUs \(MPS\)"):
        require_four_bit("mps")


def test_a_model_is_loaded_in_four_bits_only_when_asked_for_and_answers(tiny_model_dir, tiny_model):
    import bitsandbytes

    found = detect("cpu", threads=2, load_in_4bit=True)
    assert found.four_bit
    assert "4-bit weights (NF4), as asked for" in found.reasons
    model = Model(str(tiny_model_dir), hardware=replace(found, dtype="float32"))
    packed = [part for part in model.net.modules() if isinstance(part, bitsandbytes.nn.Linear4bit)]
    assert len(packed) == 3 * 7, "all matrices of three layers"
    assert {part.weight.dtype for part in packed} == {torch.uint8}
    stock = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert model.net.get_memory_footprint() < 0.6 * stock.get_memory_footprint()
    assert model.parameters == tiny_model.parameters
    weight, whole = packed[0].weight, stock.model.layers[0].self_attn.q_proj.weight
    unpacked = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
    assert 0.01 < (unpacked - whole).norm() / whole.norm() < 0.15, "close to the whole weights, and not equal"
    assert model.generate("Who keeps the light?", max_new_tokens=8) != [""]
    assert not [part for part in tiny_model.net.modules() if isinstance(part, bitsandbytes.nn.Linear4bit)]


def test_four_bits_have_a_configuration():
    config = replace(detect("cpu"), four_bit=True, dtype="bfloat16").quantization_config()
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_compute_dtype is torch.bfloat16


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_a_dtype_is_named_as_torch_names_it(name):
    assert replace(detect("cpu"), dtype=name).torch_dtype is getattr(torch, name)


def test_flash_attention_is_never_chosen_without_a_gpu():
    assert detect("cpu", enable_flash_attn=True).attention != FLASH_ATTENTION


@pytest.mark.parametrize("failure", FAILURES)
def test_flash_attention_that_is_installed_but_broken_is_not_used(package, failure):
    package("flash_attn", f"raise {failure}({FAILURES[failure]!r})")
    reason = FAILURES[failure].partition("\n")[0] or failure
    assert flash_problem(AMPERE, "bfloat16") == f"flash-attn is installed but does not work here ({reason})"


def test_flash_attention_that_works_is_used(package):
    package("flash_attn", "")
    assert flash_problem(AMPERE, "bfloat16") is None
    assert flash_problem((12, 0), "float16") is None


def test_flash_attention_needs_its_package_a_recent_gpu_and_half_precision(package, monkeypatch):
    package("flash_attn", "")
    assert "8.0 or newer, and this one has 7.5" in flash_problem(TURING, "float16")
    assert "half precision only, and float32 is used" in flash_problem(AMPERE, "float32")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert flash_problem(AMPERE, "bfloat16") == "flash-attn is not installed"


@pytest.fixture
def minference(tmp_path, monkeypatch):
    """Writes a package laid out as MInference is: all of it needs what is gone, its kernel needs its native part."""

    def write(init: str = "raise NameError('gone')", native: str = "convert = min", kernel: str = KERNEL) -> None:
        (tmp_path / "minference" / "ops").mkdir(parents=True)
        (tmp_path / "minference" / "__init__.py").write_text(init)
        (tmp_path / "minference" / "cuda.py").write_text(native)
        (tmp_path / "minference" / "ops" / "pit_sparse_flash_attention_v2.py").write_text(kernel)
        monkeypatch.syspath_prepend(str(tmp_path))

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "minference"]:
        del sys.modules[name]


KERNEL = "from ..cuda import convert\ndef vertical_slash_sparse_attention(*tensors): return convert"


def test_sparse_prefill_is_used_only_when_asked_for_and_never_without_a_gpu(minference):
    minference()
    assert not detect("cpu").sparse_prefill
    found = detect("cpu", enable_minference=True)
    assert not found.sparse_prefill
    assert found.sparse_kernel() is None
    assert "exact attention for long texts, because MInference needs a CUDA GPU" in found.reasons


@pytest.mark.parametrize("init", ["raise NameError('gone')", ""])
def test_sparse_prefill_takes_the_kernel_and_nothing_else_of_its_package(minference, init):
    minference(init)
    assert sparse_problem("cuda") is None
    found = replace(detect("cpu"), sparse_prefill=True)
    assert found.sparse_kernel()() is min
    assert found.sparse_kernel() is found.sparse_kernel()
    assert "minference" not in sys.modules, "whoever imports the whole package gets the whole package"


@pytest.mark.parametrize("failure", FAILURES)
def test_sparse_prefill_that_is_installed_but_broken_is_not_used(minference, failure):
    minference(native=f"raise {failure}({FAILURES[failure]!r})")
    reason = FAILURES[failure].partition("\n")[0] or failure
    assert sparse_problem("cuda") == f"minference is installed but does not work here ({reason})"
    assert "minference" not in sys.modules


def test_sparse_prefill_without_its_package_or_kernel_is_not_used(minference, monkeypatch):
    minference(kernel="")
    assert "has no attribute 'vertical_slash_sparse_attention'" in sparse_problem("cuda")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert sparse_problem("cuda") == "minference is not installed"


def test_blocks_on_a_cpu_are_small_enough_to_be_stopped_soon():
    assert 64 <= detect("cpu").prefill_block <= 256


# Free memory


@pytest.fixture
def system(tmp_path):
    """Writes what a Linux system says about memory, and reads what is free."""

    def free(**files: str) -> int:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return cpu_free_bytes(tmp_path / "meminfo", tmp_path)

    return free


MEMINFO = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\nHugePages_Total:       0\n"


def test_free_memory_is_what_the_system_says_is_available(system):
    assert system(meminfo=MEMINFO) == 8000 * 1024
    assert system(memory_dot_max="max\n", memory_dot_current="5\n") == 8000 * 1024, "a container without a limit"


def test_free_memory_is_what_a_container_leaves(system):
    limits = {"memory_dot_max": "5000000\n", "memory_dot_current": "4000000\n"}
    assert system(meminfo=MEMINFO, **limits) == 1_000_000
    assert system(memory_dot_stat="anon 7\ninactive_file 300000\n") == 1_300_000, "cached files can be dropped"
    assert system(memory_dot_max="3000000\n") == 0, "over its limit"


def test_free_memory_is_what_an_older_container_leaves(system):
    group = {"memory__memory_dot_limit_in_bytes": "5000000", "memory__memory_dot_usage_in_bytes": "4000000"}
    assert system(meminfo=MEMINFO, **group) == 1_000_000
    assert system(memory__memory_dot_stat="total_inactive_file 50\n") == 1_000_050


def test_free_memory_is_assumed_where_a_system_says_nothing(system):
    assert system() == 2 * 2**30


def test_corpora_may_take_a_part_of_what_is_free_and_a_little_in_any_case(monkeypatch):
    here = detect("cpu")
    assert 0 < here.held_bytes() < 0.3 * psutil.virtual_memory().available
    for free, held in ((8 * 2**30, 2 * 2**30), (0, 2**28)):
        monkeypatch.setattr("engine.hardware.cpu_free_bytes", lambda free=free: free)
        assert here.held_bytes() == held


def test_free_memory_of_this_machine_is_what_others_measure():
    found = detect("cpu").free_bytes()
    assert 0 < found < 1.1 * psutil.virtual_memory().available
