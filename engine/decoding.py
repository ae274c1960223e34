"""Token ids in, token ids out: reading and writing with a causal language model.

A plain loop over forward passes, so that it can be stopped between any two of them, can start from a shared KV prefix,
and yields tokens without a second thread. Knows nothing about text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine import kv
from engine.beacon import Beacons
from engine.beacon_prefix import BeaconPrefix
from engine.events import Stop
from engine.hardware import SparseKernel
from engine.sampling import Chooser, Sampling
from engine.sparse import can_read_sparsely

OnRead = Callable[[int], None]


@dataclass(frozen=True)
class Decoder:
    """A loaded transformers model and how it is run. Calls keep their state to themselves, so threads may share one.

    ``block`` is the number of tokens of one forward pass; ``end_ids`` end a row; ``shares_prefix`` says whether the
    model's attention is ``kv.SHARED_PREFIX``; ``beacons`` condense what is read, and only that; ``sparse_kernel`` reads
    long texts.
    """

    net: Any
    block: int
    pad_id: int
    end_ids: frozenset[int]
    shares_prefix: bool
    beacons: Beacons | None = None
    sparse_kernel: SparseKernel | None = None

    def read(
        self, ids: list[int], prefix: kv.Prefix = kv.EMPTY, stop: Stop | None = None, on_read: OnRead | None = None
    ) -> kv.Prefix:
        """Read token ids after ``prefix``; return the keys and values of both. ``on_read(done)`` follows every block.

        Raises:
            Cancelled: ``stop`` was set.
        """
        if not ids:
            return prefix
        if self.beacons is not None:
            known = prefix if isinstance(prefix, BeaconPrefix) else None
            return self.beacons.read(ids, known, self.block, stop, on_read)
        cache = self.cache(prefix, len(ids))
        tokens = torch.tensor([ids], device=self.net.device)
        if self._reads_sparsely(len(ids), prefix):
            self._read_at_once(tokens, cache, stop, on_read)
        else:
            self.prefill(tokens, torch.ones_like(tokens), cache, stop, on_read)
        return prefix.followed_by(cache.freeze())

    @torch.inference_mode()
    def steps(
        self, rows: Sequence[list[int]], sampling: Sampling, prefix: kv.Prefix = kv.EMPTY, stop: Stop | None = None
    ) -> Iterator[list[int | None]]:
        """Continue rows of token ids after ``prefix``; yield per step a new id per row, None for one that has ended."""
        if self.beacons is not None and isinstance(prefix, BeaconPrefix):
            yield from self._beacon_steps(self.beacons, rows, sampling, prefix, stop)
            return
        longest = max(len(row) for row in rows)
        device = self.net.device
        ids = torch.tensor([[self.pad_id] * (longest - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        cache = self.cache(prefix, longest + sampling.max_new_tokens)
        logits = self.prefill(ids, mask, cache, stop)
        chooser = Chooser(sampling, len(rows), logits.device)
        ended = [False] * len(rows)
        for _ in range(sampling.max_new_tokens):
            chosen = chooser.next(logits)
            tokens = chosen.tolist()
            ended = [done or token in self.end_ids for done, token in zip(ended, tokens, strict=True)]
            if all(ended):
                return
            yield [None if done else token for done, token in zip(ended, tokens, strict=True)]
            if stop is not None:
                stop.check()
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            positions = mask.sum(-1, keepdim=True) - 1 + prefix.length
            logits = self._forward(chosen[:, None], mask, positions, cache)

    def _beacon_steps(
        self,
        beacons: Beacons,
        rows: Sequence[list[int]],
        sampling: Sampling,
        prefix: BeaconPrefix,
        stop: Stop | None,
    ) -> Iterator[list[int | None]]:
        """Continue one row after a beacon memory. Windows end at other places in other rows: no batches."""
        (row,) = rows
        session = beacons.session(prefix, len(row) + sampling.max_new_tokens, self.block, stop)
        logits = session.feed(row)
        chooser = Chooser(sampling, 1, logits.device)
        for step in range(sampling.max_new_tokens):
            token = int(chooser.next(logits))
            if token in self.end_ids:
                return
            yield [token]
            if step + 1 < sampling.max_new_tokens:
                logits = session.feed([token])

    def _reads_sparsely(self, tokens: int, prefix: kv.Prefix) -> bool:
        config = self.net.config.get_text_config()
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        usable = self.sparse_kernel is not None and self.shares_prefix and not prefix.keys
        return usable and can_read_sparsely(tokens, head_dim)

    @torch.inference_mode()
    def _read_at_once(
        self, tokens: torch.Tensor, cache: kv.TailCache, stop: Stop | None, on_read: OnRead | None
    ) -> None:
        """Read [1, n] tokens in one pass: what each head looks at is chosen by the last ones."""
        if stop is not None:
            stop.check()
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        self._forward(tokens, torch.ones_like(tokens), positions, cache, sparse_kernel=self.sparse_kernel)
        if on_read is not None:
            on_read(tokens.shape[1])

    def cache(self, prefix: kv.Prefix, capacity: int) -> kv.TailCache:
        """Return a private tail of ``capacity`` tokens after ``prefix``."""
        layers = int(self.net.config.get_text_config().num_hidden_layers)
        return kv.TailCache(prefix, layers, capacity, joined=not self.shares_prefix)

    @torch.inference_mode()
    def prefill(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        cache: kv.TailCache,
        stop: Stop | None = None,
        on_read: OnRead | None = None,
    ) -> torch.Tensor:
        """Feed [batch, n] token ids block by block; return the last logits [batch, vocabulary] in float32.

        ``mask`` is 0 at the padding on the left. Logits are computed for the last position of a block only.
        """
        block, length = max(1, self.block // ids.shape[0]), ids.shape[1]
        positions = (mask.cumsum(-1) - 1).clamp(min=0) + cache.prefix.length
        logits = torch.empty(0)
        for start in range(0, length, block):
            if stop is not None:
                stop.check()
            end = min(start + block, length)
            logits = self._forward(ids[:, start:end], mask[:, :end], positions[:, start:end], cache)
            if on_read is not None:
                on_read(end)
        return logits

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: kv.TailCache, **more: object
    ) -> torch.Tensor:
        if cache.joined and cache.prefix.keys:
            past = mask.new_ones(mask.shape[0], cache.prefix.length)
            mask = torch.cat([past, mask], dim=1)
        output = self.net(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **cache.forward_arguments(),
            **more,
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits
