"""What is held of a text by a beacon model: how much, in which order, and how it is saved.

Of every full window only the beacons, of the unfinished window its tokens and beacons; ``beacon`` says how they come
about. So window, ratio and the number of tokens tell what each key is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from engine.errors import BundleError, InputError, ModelError
from engine.prefix import Prefix

# Fields of a checkpoint's configuration: what this file computes, and what a checkpoint without the field means.
_FIELDS: dict[str, tuple[object, object]] = {
    "beacon_pos": ("interleave", None),
    "beacon_attn": ("full-coverage", None),
    "beacon_sink_size": (0, 0),
    "beacon_attend_prev": (True, True),
    "beacon_parallel_window": (1, 1),
}
_STATE = "beacons"


@dataclass(frozen=True)
class BeaconConfig:
    """``window`` tokens of text become ``window // ratio`` beacons. The ratio divides the window."""

    window: int
    ratio: int

    @property
    def kept(self) -> int:
        """Beacons that stay of a full window."""
        return self.window // self.ratio

    def entries(self, tokens: int) -> int:
        """Keys held for the first ``tokens`` tokens of a window: the tokens and their beacons."""
        return tokens + tokens // self.ratio

    def length(self, tokens: int) -> int:
        """Keys held after ``tokens`` tokens were read."""
        return tokens // self.window * self.kept + self.entries(tokens % self.window)

    def peak(self, tokens: int) -> int:
        """Most keys held at once, and so positions needed, while ``tokens`` tokens are read."""
        if tokens < self.window:
            return self.entries(tokens)
        last_full = (tokens // self.window - 1) * self.kept + self.entries(self.window)
        return max(last_full, self.length(tokens))


def config_of(config: Any, ratio: int) -> BeaconConfig | None:  # noqa: ANN401 - any transformers configuration
    """Return how the model of ``config`` condenses with ``ratio``, or None when it is no beacon model.

    MemoRAG's checkpoints were trained with the ratios 2, 4 and 8; any that divides the window can be computed.

    Raises:
        InputError: the ratio does not divide the window.
        ModelError: the checkpoint condenses in a way that is not known here.
    """
    window = getattr(config, "beacon_window", None)
    if window is None:
        return None
    expected = {"beacon_stride": (window, None), **_FIELDS}
    for name, (accepted, absent) in expected.items():
        found = getattr(config, name, absent)
        if found != accepted:
            raise ModelError(
                f"This beacon model has {name} {found!r}, but only {accepted!r} is supported; use another memory model."
            )
    if ratio < 1 or window % ratio:
        raise InputError(
            f"The beacon ratio {ratio} does not divide the model's window of {window} tokens; use 2, 4 or 8."
        )
    return BeaconConfig(int(window), int(ratio))


@dataclass(frozen=True)
class BeaconPrefix(Prefix):
    """What is held of ``covered`` tokens that were read: beacons of full windows, then all of the unfinished window.

    Keys and values per layer are [1, kv_heads, config.length(covered), head_dim], keys rotated by their position.
    """

    config: BeaconConfig
    covered: int

    @property
    def tokens(self) -> int:
        """Number of tokens that were read; ``length`` keys are held of them."""
        return self.covered

    @property
    def memory(self) -> int:
        """Number of keys at the beginning that are beacons of full windows."""
        return self.tokens // self.config.window * self.config.kept

    @property
    def raw(self) -> int:
        """Number of tokens in the unfinished window."""
        return self.tokens % self.config.window

    def peak(self, tokens: int) -> int:
        """Most positions needed while ``tokens`` more tokens are read or written."""
        return self.memory + self.config.peak(self.raw + tokens)

    def first(self, length: int) -> BeaconPrefix:
        """Return what was held after at most ``length`` tokens, as views: all of it, or as many full windows as fit.

        ``tokens`` of the result says how many tokens it covers.
        """
        if length >= self.tokens:
            return self
        windows = max(0, length) // self.config.window
        held = super().first(windows * self.config.kept)
        return BeaconPrefix(held.keys, held.values, self.config, windows * self.config.window)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name, for saving; one holds window, ratio and tokens as int64 [3]."""
        state = torch.tensor([self.config.window, self.config.ratio, self.tokens])
        return super().tensors() | {_STATE: state}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> BeaconPrefix:
        """Rebuild a prefix from what ``tensors`` returned.

        Raises:
            BundleError: there is no state, or the keys are not as many as it says.
        """
        state = tensors[_STATE].tolist() if _STATE in tensors else []
        plain = Prefix.from_tensors({name: tensor for name, tensor in tensors.items() if name != _STATE})
        whole = len(state) == 3 and all(isinstance(number, int) and number > 0 for number in state)
        if not whole or state[0] % state[1] or BeaconConfig(*state[:2]).length(state[2]) != plain.length:
            raise BundleError(
                f"The beacon memory holds {plain.length} keys, which does not fit its window, ratio and tokens "
                f"{state}; memorise the text again."
            )
        return cls(plain.keys, plain.values, BeaconConfig(*state[:2]), state[2])
