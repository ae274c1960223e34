"""What this machine can do, decided once, each decision with its reason.

The only file that names cuda, flash_attn, bitsandbytes or minference. An optional package counts as present only when
it really works here: a build for another CUDA version is found all the same and fails when it is used. Knows nothing
about which models are loaded with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import InputError

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "mps"]
# What a person may ask for.
DEVICES = ("auto", *get_args(Device))
# The oldest GPUs that flash attention 2 has code for.
FLASH_CAPABILITY = (8, 0)
FLASH_ATTENTION = "flash_attention_2"
SDPA = "sdpa"
# Vertical-slash attention: (query, key, value [1, heads, n, dim], verticals, slashes [1, heads, count]) -> output.
SparseKernel = Callable[..., "torch.Tensor"]
# Of what is free beside the models, the part that corpora which are held may take, and what they may take anyway.
_HELD_SHARE, _LEAST_HELD = 4, 2**28
# Taken for free memory in bytes where a system does not say.
_ASSUMED_FREE = 2 * 2**30


@dataclass(frozen=True)
class Hardware:
    """How models run here.

    ``dtype`` is a torch dtype name; ``attention`` a transformers attention name; ``prefill_block`` counts tokens fed in
    one forward pass, small enough on a CPU that a stop is noticed well within a second; ``sparse_prefill`` says whether
    long texts may be read with sparse attention, ``small_weights`` whether a CPU writes with copies of the weights in 4
    or 8 bits, ``small_memory`` whether a memory is kept in 8.
    """

    device: Device
    dtype: Literal["bfloat16", "float16", "float32"]
    attention: str
    four_bit: bool
    threads: int
    prefill_block: int
    reasons: tuple[str, ...]
    sparse_prefill: bool = False
    small_weights: bool = False
    small_memory: bool = False

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch knows it."""
        import torch

        return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[self.dtype]

    def quantization_config(self) -> Any | None:  # noqa: ANN401 - a transformers class, imported only when asked for
        """Return the 4-bit NF4 configuration, or None when 4-bit loading is off."""
        if not self.four_bit:
            return None
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=self.torch_dtype,
            bnb_4bit_use_double_quant=True,
        )

    def device_map(self) -> str | None:
        """Return where transformers puts a model's layers: on one device, or on as many GPUs as it needs."""
        import torch

        if self.device == "cuda" and torch.cuda.device_count() > 1:
            return "sequential"
        return None if self.device == "cpu" else self.device

    def sparse_kernel(self) -> SparseKernel | None:
        """Return the kernel of vertical-slash attention (arXiv 2407.02490), or None when sparse prefill is off."""
        return _sparse_kernel() if self.sparse_prefill else None

    def free_bytes(self) -> int:
        """Return how many bytes of the device's memory models may still take, as well as the system can tell."""
        import torch

        if self.device == "cuda":
            unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
            return int(torch.cuda.mem_get_info()[0]) + unused
        if self.device == "mps":
            return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
        return cpu_free_bytes()

    def held_bytes(self) -> int:
        """Return how many bytes corpora may take together that are held for questions; to ask once models are loaded.

        Their texts and indexes lie in main memory, their memories on the device: what has less room decides.
        """
        return max(_LEAST_HELD, min(cpu_free_bytes(), self.free_bytes()) // _HELD_SHARE)

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def detect(
    device: str = "auto",
    threads: int | None = None,
    *,
    load_in_4bit: bool = False,
    enable_flash_attn: bool = True,
    enable_minference: bool = False,
    exact: bool = False,
) -> Hardware:
    """Look at the machine and decide how models run, and set torch's CPU thread count.

    ``enable_minference`` reads long texts on a CUDA GPU with sparse attention, which is faster and not exact. ``exact``
    keeps a CPU from writing with smaller copies of the weights (linear.py), and from keeping a memory in 8 bits.

    Raises:
        InputError: a device that this machine lacks, or 4-bit loading where bitsandbytes does not work.
    """
    import torch

    chosen, why_device = _device(device)
    dtype, why_dtype = _dtype(chosen)
    attention, why_attention = _attention(chosen, dtype, enable_flash_attn)
    reasons = [why_device, why_dtype, why_attention]
    if load_in_4bit:
        require_four_bit(chosen)
        reasons.append("4-bit weights (NF4), as asked for")
    dense = sparse_problem(chosen) if enable_minference else "it was not asked for"
    if enable_minference:
        told = f"exact attention for long texts, because {dense}"
        reasons.append(told if dense else "sparse attention for long texts (MInference): faster, and not exact")
    small = chosen == "cpu" and dtype == "bfloat16" and not load_in_4bit and not exact
    if small:
        reasons.append("4- and 8-bit weights for writing, because this CPU reads them faster")
        reasons.append("an 8-bit memory, in half the space, for models of the Llama family")
    count = threads or _cores()
    torch.set_num_threads(count)
    return Hardware(
        device=chosen,
        dtype=dtype,
        attention=attention,
        four_bit=load_in_4bit,
        threads=count,
        prefill_block=192 if chosen == "cpu" else 2048,
        reasons=(*reasons, f"{count} CPU threads"),
        sparse_prefill=dense is None,
        small_weights=small,
        small_memory=small,
    )


def cpu_free_bytes(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of main memory that this process may still take: of the machine, or of its container."""
    found = [_available(meminfo), _group_room(group, "memory.max", "memory.current", "inactive_file")]
    found.append(_group_room(group / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    return min((room for room in found if room is not None), default=_ASSUMED_FREE)


def _available(meminfo: Path) -> int | None:
    room = _entries(meminfo).get("MemAvailable:")
    return None if room is None else room * 1024


def _group_room(group: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    """Return what a control group leaves free in bytes; cached files do not count as used. None without a limit."""
    try:
        allowed, used = (int((group / name).read_text("utf-8")) for name in (limit, usage))
    except (OSError, ValueError):  # no such group, or the limit is "max"
        return None
    return max(0, allowed - used + _entries(group / "memory.stat").get(reclaimable, 0))


def _entries(file: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    try:
        rows = [line.split() for line in file.read_text("utf-8").splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _cores() -> int:
    """Return how many cores this process may use, which can be fewer than there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _device(device: str) -> tuple[Device, str]:
    import torch

    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda", f"CUDA GPU ({torch.cuda.get_device_name(0)})"
    if device in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps", "Apple GPU (MPS)"
    if device in ("auto", "cpu"):
        return "cpu", "CPU, because no GPU was found" if device == "auto" else "CPU, as asked for"
    raise InputError(f"The device {device!r} is not available on this machine; use 'auto' or 'cpu'.")


def _dtype(device: Device) -> tuple[Literal["bfloat16", "float16", "float32"], str]:
    import torch

    if device == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "bfloat16, which this GPU computes natively"
        return "float16", "float16, because this GPU lacks bfloat16"
    if device == "mps":
        return "float16", "float16, the fast type on Apple GPUs"
    capabilities = torch.cpu.get_capabilities()
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"):
        return "bfloat16", "bfloat16, which this CPU computes natively"
    return "float32", "float32, because this CPU lacks bfloat16 instructions"


def _attention(device: Device, dtype: str, enable_flash_attn: bool) -> tuple[str, str]:
    import torch

    if device != "cuda":
        return SDPA, "PyTorch's own attention (SDPA)"
    if not enable_flash_attn:
        return SDPA, "SDPA attention, because flash attention was switched off"
    if (problem := flash_problem(torch.cuda.get_device_capability(0), dtype)) is not None:
        return SDPA, f"SDPA attention, because {problem}"
    return FLASH_ATTENTION, "flash attention 2, for models whose prefix cannot be shared"


def flash_problem(capability: tuple[int, int], dtype: str) -> str | None:
    """Return why flash attention 2 cannot be used on a GPU of this compute capability with this dtype, or None."""
    if capability < FLASH_CAPABILITY:
        found, wanted = (".".join(map(str, version)) for version in (capability, FLASH_CAPABILITY))
        return f"flash attention needs a GPU of compute capability {wanted} or newer, and this one has {found}"
    if dtype not in ("bfloat16", "float16"):
        return f"flash attention computes in half precision only, and {dtype} is used"
    return _problem("flash_attn", lambda: importlib.import_module("flash_attn"))


def require_four_bit(device: Device) -> None:
    """Raise InputError unless bitsandbytes works on the device, which packing a few numbers there shows."""
    import torch

    def pack() -> None:
        # Without its native library the package is imported all the same, and fails here.
        functional = importlib.import_module("bitsandbytes.functional")
        functional.quantize_4bit(torch.ones(64, device=device), quant_type="nf4")

    problem = "it does not run on Apple GPUs (MPS)" if device == "mps" else _problem("bitsandbytes", pack)
    if problem is not None:
        raise InputError(
            f"load_in_4bit needs the bitsandbytes package, and {problem}; install it, or leave load_in_4bit off."
        )


def sparse_problem(device: Device) -> str | None:
    """Return why long texts cannot be read with sparse attention on this device, or None."""
    return _problem("minference", _sparse_kernel) if device == "cuda" else "MInference needs a CUDA GPU"


def _sparse_kernel() -> SparseKernel:
    """Import the kernel without the rest of its package, which needs parts of transformers that are gone by now."""
    spec = importlib.util.find_spec("minference")
    hollow = ModuleType("minference")
    hollow.__path__ = list((spec and spec.submodule_search_locations) or [])
    whole = sys.modules.get("minference")
    sys.modules["minference"] = whole or hollow
    try:
        module = importlib.import_module("minference.ops.pit_sparse_flash_attention_v2")
    finally:
        if whole is None:
            del sys.modules["minference"]
    kernel: SparseKernel = module.vertical_slash_sparse_attention
    return kernel


def _problem(package: str, use: Callable[[], object]) -> str | None:
    """Use an optional package; return in words why that cannot be done, or None."""
    name = package.replace("_", "-")
    if importlib.util.find_spec(package) is None:
        return f"{name} is not installed"
    try:
        use()
    except Exception as error:  # a build for another CUDA, torch or Python fails in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return f"{name} is installed but does not work here ({reason})"
    return None
