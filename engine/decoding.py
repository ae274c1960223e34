"""Token ids in, token ids out: reading and writing with a causal language model.

Plain loops over forward passes, so that they can be stopped between any two of them and can start from a shared KV
prefix. On a CPU each pass waits for its turn on the thread that computes (turns.py). Knows nothing about text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from engine.beacon import Beacons
from engine.beacon_prefix import BeaconPrefix
from engine.events import Stop
from engine.hardware import SparseKernel
from engine.prefix import EMPTY, Prefix
from engine.sampling import Chooser, Sampling
from engine.sparse import can_read_sparsely
from engine.turns import in_turn

OnRead = Callable[[int], None]
Found = TypeVar("Found")
# What a forward pass makes of ``tail``: attention.Tail or kv.TailCache.
Tail = Any


class _End:
    """Stands for the end of an iterator."""


_END = _End()


@dataclass(frozen=True)
class Decoder:
    """A loaded transformers model and how it is run. Calls keep their state to themselves, so threads may share one.

    ``forward`` feeds token ids (Forward or StockForward); ``block`` is the number of tokens of one pass; ``end_ids``
    end a row; ``shares_prefix`` says whether a prefix is read as it is; ``beacons`` condense what is read, and only
    that; ``sparse_kernel`` reads long texts; ``small_memory`` keeps what is read in 8 bits.
    """

    net: Any
    forward: Any
    block: int
    pad_id: int
    end_ids: frozenset[int]
    shares_prefix: bool
    beacons: Beacons | None = None
    sparse_kernel: SparseKernel | None = None
    small_memory: bool = False

    def read(
        self, ids: list[int], prefix: Prefix = EMPTY, stop: Stop | None = None, on_read: OnRead | None = None
    ) -> Prefix:
        """Read token ids after ``prefix``; return the keys and values of both. ``on_read(done)`` follows every block.

        Raises:
            Cancelled: ``stop`` was set.
        """
        if not ids:
            return prefix
        if self.beacons is not None:
            known = prefix if isinstance(prefix, BeaconPrefix) else None
            return self.beacons.read(ids, known, self.block, stop, on_read)
        found = prefix
        for step in self._in_turns(self._reading(ids, prefix, stop), is_reading=True):
            if isinstance(step, Prefix):
                found = step
            elif on_read is not None:
                on_read(step)
        return found

    def steps(
        self, rows: Sequence[list[int]], sampling: Sampling, prefix: Prefix = EMPTY, stop: Stop | None = None
    ) -> Iterator[list[int | None]]:
        """Continue rows of token ids after ``prefix``; yield per step a new id per row, None for one that has ended.

        Rows that have ended leave the batch.
        """
        if self.beacons is not None and isinstance(prefix, BeaconPrefix):
            yield from self._beacon_steps(self.beacons, rows, sampling, prefix, stop)
            return
        left = sampling.max_new_tokens
        for step in self._in_turns(self._writing(rows, sampling, prefix, stop)):
            if isinstance(step, int):
                continue
            yield step
            left -= 1
            if not left:  # rather than wait for a turn to be told so
                return

    def likelihoods(self, rows: Sequence[list[int]], count: int, stop: Stop | None = None) -> Iterator[float]:
        """Yield log p(last ``count`` tokens of a row | those before), the mean a token in nats, row by row.

        Work ends when the iterator is closed.

        Raises:
            Cancelled: ``stop`` was set.
        """
        for found in self._in_turns(self._comparing(rows, count, stop)):
            yield from found

    @torch.inference_mode()
    def _comparing(self, rows: Sequence[list[int]], count: int, stop: Stop | None) -> Iterator[list[float]]:
        """Yield what ``likelihoods`` yields for as many rows as a pass takes."""
        begin = 0
        while begin < len(rows):
            if stop is not None:
                stop.check()
            end, longest = begin + 1, len(rows[begin])
            while end < len(rows) and max(longest, len(rows[end])) * (end + 1 - begin) <= self.block:
                longest, end = max(longest, len(rows[end])), end + 1
            ids, mask = self._padded(rows[begin:end])
            tail = self.forward.tail(EMPTY, end - begin, longest)
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            yield self.forward.likelihood(ids, mask, positions, tail, count).tolist()
            begin = end

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids and mask [batch, longest]; the mask is 0 at the padding, which stands on the left."""
        longest, device = max(map(len, rows)), self.net.device
        ids = torch.tensor([[self.pad_id] * (longest - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
        return ids, mask

    def _in_turns(self, work: Iterator[Found], is_reading: bool = False) -> Iterator[Found]:
        """Do work whose steps are passes, each when its turn has come. All that computes has to be inside."""
        device, step = self.net.device.type, partial(next, work, _END)
        while not isinstance(found := in_turn(device, step, is_reading), _End):
            yield found

    @torch.inference_mode()
    def _reading(self, ids: list[int], prefix: Prefix, stop: Stop | None) -> Iterator[int | Prefix]:
        """Yield the number of tokens read, and last the keys and values."""
        cache = self.forward.tail(prefix, 1, len(ids), self.net.dtype)
        tokens = torch.tensor([ids], device=self.net.device)
        mask = torch.ones_like(tokens)
        if self._reads_sparsely(len(ids), prefix):  # in one pass: what each head looks at is chosen by the last tokens
            if stop is not None:
                stop.check()
            positions = torch.arange(len(ids), device=self.net.device)[None]
            self.forward(tokens, mask, positions, cache, sparse_kernel=self.sparse_kernel)
            yield len(ids)
        else:
            for step in self._feeding(tokens, mask, cache, stop):
                if isinstance(step, int):
                    yield step
        found = cache.freeze()
        yield prefix.followed_by(found.small() if self.small_memory else found)

    @torch.inference_mode()
    def _writing(
        self, rows: Sequence[list[int]], sampling: Sampling, prefix: Prefix, stop: Stop | None
    ) -> Iterator[int | list[int | None]]:
        """Yield the number of tokens read of the rows, and then steps, until every row has ended."""
        ids, mask = self._padded(rows)
        positions = mask.sum(-1, keepdim=True) - 1 + prefix.length
        cache = self.forward.tail(prefix, len(rows), ids.shape[1] + sampling.max_new_tokens)
        logits = torch.empty(0)
        for read in self._feeding(ids, mask, cache, stop):
            if isinstance(read, int):
                yield read
            else:
                logits = read
        chooser = Chooser(sampling, len(rows), logits.device)
        going = list(range(len(rows)))
        while True:
            chosen = chooser.next(logits)
            tokens = chosen.tolist()
            lasting = [i for i, token in enumerate(tokens) if token not in self.end_ids]
            if not lasting:
                return
            step: list[int | None] = [None] * len(rows)
            for i in lasting:
                step[going[i]] = tokens[i]
            yield step
            if stop is not None:
                stop.check()
            if len(lasting) < len(going):
                rest = torch.tensor(lasting)  # layers may be on several devices: all take an index on the CPU
                going, mask, positions, chosen = [going[i] for i in lasting], mask[rest], positions[rest], chosen[rest]
                cache.keep(rest)
                chooser.keep(rest)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = positions + 1
            logits = self.forward(chosen[:, None], mask, positions, cache)

    @torch.inference_mode()
    def _feeding(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: Tail, stop: Stop | None
    ) -> Iterator[int | torch.Tensor]:
        """Feed [batch, n] token ids; yield the number fed after each block, and last the logits.

        These are float32 [batch, vocabulary], and computed for the last position of a block only. ``mask`` is 0 at the
        padding on the left.
        """
        length = ids.shape[1]
        if len(ids) > 1 and ids.numel() > self.block and (tails := cache.rows(mask)):
            # Long rows one after the other: no padding is computed, and no block is shared by many.
            found = []
            for row, tail in enumerate(tails):
                part = ids[row : row + 1, length - tail.capacity :]
                for step in self._feeding(part, torch.ones_like(part), tail, stop):
                    if isinstance(step, int):
                        yield step
                    else:
                        found.append(step)
            yield torch.cat(found)
            return
        block = max(1, self.block // ids.shape[0])
        positions = (mask.cumsum(-1) - 1).clamp(min=0) + cache.prefix.length
        logits = torch.empty(0)
        for start in range(0, length, block):
            if stop is not None:
                stop.check()
            end = min(start + block, length)
            logits = self.forward(ids[:, start:end], mask[:, :end], positions[:, start:end], cache)
            yield end
        yield logits

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

    def _reads_sparsely(self, tokens: int, prefix: Prefix) -> bool:
        config = self.net.config.get_text_config()
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        usable = self.sparse_kernel is not None and self.shares_prefix and not prefix.keys
        return usable and can_read_sparsely(tokens, head_dim)
