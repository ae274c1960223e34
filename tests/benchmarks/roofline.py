"""How near reading and writing come to what this machine can do, by peaks that are measured in the same run.

Reading is bounded by matrix products (floating-point operations a second), writing one sequence by how fast the weights
come from memory: every token needs all of them. A machine that is shared changes its speed within seconds, so each
round measures a peak directly before what is compared with it, and the shares are medians of the rounds' shares.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from engine.decoding import Decoder
from engine.forward import Forward
from engine.linear import FewRowsLinear
from engine.model import Model
from engine.sampling import Sampling
from engine.turns import in_turn

# Tokens that are read, and written after a short prompt, to measure the speed.
READ, PROMPT, WRITTEN = 1024, 64, 48


def roofline(model: Model, endless: Decoder, text: str, runs: int) -> dict[str, float]:
    """Compare the model's speed without a memory with the machine's peaks; ``endless`` writes without an end."""
    ids = model.token_ids(text)[:READ]
    model.read(ids)
    writing_speed(endless, ids[:PROMPT])
    flops, weights = work_of(model)
    reading = [(matrix_peak(model.hardware.torch_dtype), reading_speed(model, ids)) for _ in range(runs)]
    writing = [(read_peak(), writing_speed(endless, ids[:PROMPT])) for _ in range(runs)]
    return {
        "matrix peak (GFLOP/s)": statistics.median(peak for peak, _ in reading) / 1e9,
        "prefill (tokens/s)": statistics.median(speed for _, speed in reading),
        "prefill (GFLOP per token, attention not counted)": flops / 1e9,
        "prefill (share of the peak)": statistics.median(speed * flops / peak for peak, speed in reading),
        "memory bandwidth (GB/s)": statistics.median(peak for peak, _ in writing) / 1e9,
        "decoding, batch of 1 (tokens/s)": statistics.median(speed for _, speed in writing),
        "decoding (MB of weights read per token)": weights / 1e6,
        "decoding (share of the bandwidth)": statistics.median(speed * weights / peak for peak, speed in writing),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def reading_speed(model: Model, ids: list[int]) -> float:
    """Return tokens a second."""
    return len(ids) / timed(lambda: model.read(ids))[0]


def writing_speed(decoder: Decoder, ids: list[int]) -> float:
    """Return tokens a second of one sequence, the first not counted: it is reading."""
    steps = decoder.steps([ids], Sampling(WRITTEN))
    next(steps)
    seconds, rest = timed(lambda: list(steps))
    return len(rest) / seconds


def work_of(model: Model) -> tuple[int, int]:
    """Return the FLOP of the linear layers for a token that is read (the output layer is skipped), and the bytes of
    weights for a token that is written."""
    head, layers = model.net.get_output_embeddings(), products(model)
    flops = sum(2 * layer.in_features * layer.out_features for layer in layers[:-1])
    weights = [layer.small_bytes if isinstance(layer, FewRowsLinear) else layer.weight.nbytes for layer in layers]
    assert layers[-1].out_features == head.out_features
    return flops, sum(weights)


def products(model: Model) -> list[Any]:
    """Return the linear layers that a token goes through, the output layer last."""
    forward = model.decoder.forward
    if not isinstance(forward, Forward):
        head = model.net.get_output_embeddings()
        kinds = (torch.nn.Linear, FewRowsLinear)
        return [part for part in model.net.modules() if isinstance(part, kinds) and part is not head] + [head]
    inner = (part for layer in forward.layers for part in (layer.qkv, layer.out, layer.gate_up, layer.down))
    return [part.__self__ for part in (*inner, forward.head)]


def matrix_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """Return the FLOP/s of the best of some large matrix products."""

    def best() -> float:
        a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
        return min(timed(lambda: a @ b)[0] for _ in range(8))

    return 2 * size**3 / in_turn("cpu", best)  # where models compute: see engine/turns.py


def read_peak(size: int = 2**28) -> float:
    """Return the bytes/s of the best of some passes over more memory than any cache holds."""

    def best() -> float:
        numbers = torch.ones(size // 4)
        return min(timed(numbers.sum)[0] for _ in range(8))

    return size / in_turn("cpu", best)
