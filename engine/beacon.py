"""Beacon memories: a text condensed, window by window, into the keys and values of beacon tokens.

Activation Beacon (arXiv 2401.03462) as the memory models of MemoRAG use it (arXiv 2409.05591), on stock models of
transformers. The text is read in windows. After every ``ratio``-th token stands a beacon token, which attends to
everything before it. When a window is full its beacons stay, and the keys and values of its text are dropped. Positions
count what is held, not what was read, so the beacons of a full window move together: their keys, which are stored
rotated, are rotated on by the distance. Questions and answers are read the same way, in windows and with beacons.

A memory (``BeaconPrefix``) is frozen and shared; whoever asks has a session with a private tail. Knows nothing about
text, chats or sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine import kv
from engine.beacon_prefix import BeaconConfig, BeaconPrefix
from engine.beacon_weights import BeaconWeights, attach, beacon_rows
from engine.errors import InputError
from engine.events import Stop
from engine.prefix import Prefix

_BEACON = -1  # stands for the beacon among token ids


class Beacons:
    """A loaded beacon model. Calls keep their state to themselves, so threads may share one.

    ``config`` is how new memories are condensed; a memory made with another ratio is continued with its own.
    """

    def __init__(self, net: Any, weights: BeaconWeights, config: BeaconConfig) -> None:  # noqa: ANN401
        self.net, self.weights, self.config = net, weights, config

    @classmethod
    def attach(cls, net: Any, folder: Path, config: BeaconConfig) -> Beacons:  # noqa: ANN401 - a transformers model
        """Add the beacon weights of the checkpoint in ``folder`` to the stock model ``net`` loaded from it.

        Where no beacons are read ``net`` still computes what it did, but never with a sliding window.

        Raises:
            ModelError: the model's family or its beacon weights are not known here, or weights are missing.
        """
        return cls(net, attach(net, folder), config)

    @property
    def empty(self) -> BeaconPrefix:
        """A memory of nothing, to begin from."""
        return BeaconPrefix((), (), self.config, 0)

    def read(
        self,
        ids: list[int],
        prefix: BeaconPrefix | None = None,
        block: int = 2048,
        stop: Stop | None = None,
        on_read: Callable[[int], None] | None = None,
    ) -> BeaconPrefix:
        """Read token ids after ``prefix``, at most ``block`` in one forward pass; return what is held of both.

        ``on_read(done)`` is called after every pass with the number of ids read.

        Raises:
            Cancelled: ``stop`` was set.
        """
        begun = prefix if prefix is not None and prefix.keys else self.empty
        if not ids:
            return begun
        session = self.session(begun, len(ids), block, stop)
        session.read(ids, on_read)
        return session.freeze()

    def session(
        self, prefix: BeaconPrefix, capacity: int, block: int = 2048, stop: Stop | None = None
    ) -> BeaconSession:
        """Begin to continue from ``prefix`` with at most ``capacity`` tokens, those of question and answer together."""
        return BeaconSession(self, prefix, capacity, block, stop)


class BeaconSession:
    """One caller's continuation of a memory, which stays as it is. Made by ``Beacons.session``; for one thread.

    Until a window fills up, the whole prefix is shared. From then on only its beacons of full windows are, and the
    private tail holds the beacons of windows that filled up since, followed by the present window.
    """

    def __init__(self, model: Beacons, prefix: BeaconPrefix, capacity: int, block: int, stop: Stop | None) -> None:
        self._net, self._weights, self._config = model.net, model.weights, prefix.config
        self._tokens, self._end = prefix.tokens, prefix.tokens + capacity
        self._block, self._stop = max(1, block), stop
        self._memory = prefix.first(prefix.tokens - prefix.raw)
        self._shared = prefix.raw  # tokens of the present window that stand in the prefix
        room = self._config.peak(capacity)
        if prefix.raw:  # the tail is used until the window is full, and then made anew
            in_window = min(self._config.window, prefix.raw + capacity)
            room = self._config.entries(in_window) - self._config.entries(prefix.raw)
        self._cache = self._tail(prefix, room)

    def feed(self, ids: list[int]) -> torch.Tensor:
        """Read token ids; return the logits after the last of them, [1, vocabulary] in float32.

        Raises:
            InputError, Cancelled: as ``read``.
        """
        hidden = self.read(ids)
        with torch.inference_mode():
            logits: torch.Tensor = self._net.get_output_embeddings()(hidden)
            return logits.float()

    @torch.inference_mode()
    def read(self, ids: list[int], on_read: Callable[[int], None] | None = None) -> torch.Tensor:
        """Read token ids; return the last layer's state at the last of them, [1, hidden].

        Raises:
            InputError: there are no ids, or more than the session was made for.
            Cancelled: the session's ``stop`` was set.
        """
        if not 0 < len(ids) <= self._end - self._tokens:
            raise InputError(f"{len(ids)} tokens were given, but 1 to {self._end - self._tokens} can be read here.")
        hidden, done = torch.empty(0), 0
        while done < len(ids):
            if self._stop is not None:
                self._stop.check()
            free = self._config.window - self._tokens % self._config.window
            part = ids[done : done + min(self._block, free)]
            hidden = self._pass(part)
            done += len(part)
            if on_read is not None:
                on_read(done)
        return hidden

    def freeze(self) -> BeaconPrefix:
        """Return what is held after at least one token was read, as a memory of its own."""
        held = self._cache.prefix.followed_by(self._cache.freeze())
        return BeaconPrefix(held.keys, held.values, self._config, self._tokens)

    def _tail(self, prefix: Prefix, room: int) -> kv.TailCache:
        config = self._net.config
        joined = config._attn_implementation != kv.SHARED_PREFIX
        return kv.TailCache(prefix, int(config.num_hidden_layers), room, joined)

    def _pass(self, ids: list[int]) -> torch.Tensor:
        """Read ids that fit the present window in one forward pass; return the state at the last, [1, hidden]."""
        ratio, device = self._config.ratio, self._weights.embedding.device
        entries: list[int] = []
        for count, token in enumerate(ids, self._tokens + 1):  # the ratio divides the window, so any count will do
            entries += [token] if count % ratio else [token, _BEACON]
        row = torch.tensor([entries], device=device)
        rows = [i for i, entry in enumerate(entries) if entry == _BEACON]
        beacons = torch.tensor(rows, dtype=torch.int64, device=device)
        embedded = self._net.get_input_embeddings()(row.clamp(min=0))
        embedded[:, beacons] = self._weights.embedding
        begin = self._cache.prefix.length + self._cache.layers[0].used
        with beacon_rows(beacons if rows else None):
            states = self._net.base_model(
                inputs_embeds=embedded,
                attention_mask=row.new_ones(1, self._cache.get_seq_length() + len(entries)),
                position_ids=torch.arange(begin, begin + len(entries), device=device)[None],
                past_key_values=self._cache,
                use_cache=True,
                **self._cache.forward_arguments(),
            ).last_hidden_state
        self._tokens += len(ids)
        if self._tokens % self._config.window == 0:
            self._close_window()
        state: torch.Tensor = states[:, -2 if entries[-1] == _BEACON else -1]
        return state

    def _close_window(self) -> None:
        """Keep the full window's beacons, moved to follow those of earlier windows, and drop the rest of it."""
        config, old = self._config, self._cache
        begin = old.layers[0].used - config.entries(config.window) + config.entries(self._shared)
        if self._shared:
            self._cache = self._tail(self._memory, config.kept + config.peak(self._end - self._tokens))
        # Beacon j stood behind (j + 1) * ratio tokens of its window.
        moves = -config.ratio * torch.arange(1, config.kept + 1, device=self._weights.frequencies.device)
        angles = moves[:, None] * self._weights.frequencies
        beacons = slice(config.ratio, None, config.ratio + 1)
        for index, layer in enumerate(old.layers):
            keys, values = layer.keys[:, :, begin : layer.used], layer.values[:, :, begin : layer.used]
            if self._shared:
                past = slice(self._memory.length, None)
                keys = torch.cat([old.prefix.keys[index][:, :, past], keys], dim=-2)
                values = torch.cat([old.prefix.values[index][:, :, past], values], dim=-2)
            layer.used = begin
            # Copies, both: what is read here and what is written may overlap.
            self._cache.update(rotate(keys[:, :, beacons], angles), values[:, :, beacons].clone(), index)
        self._shared = 0


def rotate(keys: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate keys [1, kv_heads, n, head_dim] on by ``angles`` [n, head_dim / 2] (RoFormer, arXiv 2104.09864).

    Computed in float32. Number i turns with number i + head_dim / 2, as transformers pairs them.
    """
    cos, sin = angles.cos(), angles.sin()
    some, others = keys.float().chunk(2, dim=-1)
    return torch.cat([some * cos - others * sin, others * cos + some * sin], dim=-1).to(keys.dtype)
