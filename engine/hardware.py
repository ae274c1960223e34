"""What this machine can do, decided once, each decision with its reason.

The only file that names cuda, flash_attn or bitsandbytes. It knows nothing about which models are loaded with it.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import InputError

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "mps"]
# What a person may ask for.
DEVICES = ("auto", *get_args(Device))
FLASH_ATTENTION = "flash_attention_2"
SDPA = "sdpa"


@dataclass(frozen=True)
class Hardware:
    """How models run here.

    ``dtype`` is a torch dtype name; ``attention`` a transformers attention name; ``prefill_block`` counts tokens fed in
    one forward pass, small enough on a CPU that a stop is noticed well within a second.
    """

    device: Device
    dtype: Literal["bfloat16", "float16", "float32"]
    attention: str
    four_bit: bool
    threads: int
    prefill_block: int
    reasons: tuple[str, ...]

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

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def detect(
    device: str = "auto",
    threads: int | None = None,
    *,
    load_in_4bit: bool = False,
    enable_flash_attn: bool = True,
) -> Hardware:
    """Look at the machine and decide how models run, and set torch's CPU thread count.

    Raises:
        InputError: a device that this machine lacks, or 4-bit loading without bitsandbytes.
    """
    import torch

    chosen, why_device = _device(device)
    dtype, why_dtype = _dtype(chosen)
    attention, why_attention = _attention(chosen, enable_flash_attn)
    if load_in_4bit and importlib.util.find_spec("bitsandbytes") is None:
        raise InputError("load_in_4bit needs the bitsandbytes package; install it or leave load_in_4bit off.")
    count = threads or _cores()
    torch.set_num_threads(count)
    return Hardware(
        device=chosen,
        dtype=dtype,
        attention=attention,
        four_bit=load_in_4bit,
        threads=count,
        prefill_block=192 if chosen == "cpu" else 2048,
        reasons=(why_device, why_dtype, why_attention, f"{count} CPU threads"),
    )


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


def _attention(device: Device, enable_flash_attn: bool) -> tuple[str, str]:
    if device != "cuda":
        return SDPA, "PyTorch's own attention (SDPA)"
    if not enable_flash_attn:
        return SDPA, "SDPA attention, because flash attention was switched off"
    if importlib.util.find_spec("flash_attn") is None:
        return SDPA, "SDPA attention, because flash-attn is not installed"
    return FLASH_ATTENTION, "flash attention 2, for models whose prefix cannot be shared"
