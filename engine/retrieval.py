"""Dense search: the vectors of texts, and how near each of them is to a query."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from engine.encoder import Encoder
from engine.errors import BundleError, InputError
from engine.events import OnProgress, Stop
from engine.hardware import Hardware
from engine.turns import in_turn

# Vectors that are widened at a time, so that they stay in the processor's cache.
_BLOCK = 4096


class FaissIndex:
    """Exact cosine search over unit vectors, held by faiss in 16 bits a number. They are numbered from 0, without gaps.

    The rounding (2^-11 of a number) is finer than what encoders compute with on most machines, and large corpora need
    half the memory. Any number of threads may search at once, but not while one adds or removes.
    """

    def __init__(self, dimension: int) -> None:
        import faiss

        self._index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def copy(self) -> FaissIndex:
        """Return an index over a copy of the vectors."""
        twin = FaissIndex(self._index.d)
        twin.add(self.halves())
        return twin

    def add(self, vectors: np.ndarray) -> None:
        """Append unit vectors [n, dimension] float32 or float16; they get the next numbers.

        Raises:
            InputError: they have another shape, or are not finite; none is appended.
        """
        blocks = range(0, len(vectors), _BLOCK)
        for begin in blocks:
            self._checked(vectors[begin : begin + _BLOCK])
        for begin in blocks or (0,):
            self._index.add(self._checked(vectors[begin : begin + _BLOCK]))

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove vectors by number. Those that remain keep their order and are numbered anew, without gaps.

        Raises:
            InputError: there is no vector of such a number; nothing is removed.
        """
        wrong = [number for number in numbers if not 0 <= number < len(self)]
        if wrong:
            raise InputError(f"The index has no number {wrong[0]}; it has {len(self)} vectors, numbered from 0.")
        self._index.remove_ids(np.array(numbers, dtype=np.int64))  # type: ignore[arg-type]

    def search(self, queries: np.ndarray, hits: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (scores float32, numbers int64), both [n_queries, min(hits, len(self))], best first.

        Raises:
            InputError: the queries have another shape or are not finite, or ``hits`` is below 1.
        """
        if hits < 1:
            raise InputError(f"hits is {hits}; give 1 or more.")
        wanted, count = self._checked(queries), min(hits, len(self))
        if not count or not len(wanted):
            return np.zeros((len(wanted), 0), np.float32), np.zeros((len(wanted), 0), np.int64)
        return in_turn("cpu", lambda: self._index.search(wanted, count))

    def scores(self, queries: np.ndarray) -> np.ndarray:
        """Return the cosine [n_queries, len(self)] float32 of every vector to unit vectors [n_queries, dimension].

        Raises:
            InputError: the queries have another shape or are not finite.
        """
        import torch

        wanted = torch.from_numpy(self._checked(queries)).T

        def work() -> np.ndarray:
            held, found = torch.from_numpy(self.halves()), torch.empty(len(self), wanted.shape[1])
            for begin in range(0, len(self), _BLOCK):
                found[begin : begin + _BLOCK] = held[begin : begin + _BLOCK].float() @ wanted
            return found.T.contiguous().numpy()

        return in_turn("cpu", work)

    def vectors(self, numbers: np.ndarray | None = None) -> np.ndarray:
        """Return a copy of the vectors of some numbers [m] int64, or of all: [m, dimension] float32."""
        held = self.halves()
        return (held if numbers is None else held[numbers]).astype(np.float32)

    def halves(self) -> np.ndarray:
        """Return all vectors [len(self), dimension] float16 as they are held. They must not be changed or kept."""
        import faiss

        if not len(self):
            return np.zeros((0, self._index.d), np.float16)
        held = faiss.rev_swig_ptr(self._index.codes.data(), self._index.ntotal * self._index.code_size)
        return held.view(np.float16).reshape(-1, self._index.d)

    def save(self, path: str | Path, facts: Mapping[str, str] | None = None) -> None:
        """Save the vectors as safetensors, with ``facts`` about them; the folder is made when missing.

        Raises:
            BundleError: the file cannot be written (a full disk, say); one that was there before is kept.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        target = Path(path)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            save_file({"vectors": self.halves()}, partial, metadata=dict(facts or {}))
            partial.replace(target)
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BundleError(f"The index {target.name!r} could not be written: {reason}.") from error
        finally:
            with suppress(OSError):
                partial.unlink()

    @classmethod
    def load(cls, path: str | Path) -> tuple[FaissIndex, dict[str, str]]:
        """Return an index that ``save`` wrote, and the facts about it.

        Raises:
            BundleError: it cannot be read, or holds something else than finite vectors.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="np") as file:
                facts: dict[str, str] = file.metadata() or {}
                vectors = file.get_tensor("vectors")
            return cls.over(vectors, vectors.shape[-1]), facts
        except (OSError, TypeError, IndexError, SafetensorError) as error:
            raise BundleError(f"The index {Path(path).name!r} cannot be read; memorise the text again.") from error

    @classmethod
    def over(cls, vectors: np.ndarray, dimension: int) -> FaissIndex:
        """Return an index over saved vectors [n, dimension].

        Raises:
            BundleError: they have another shape, or are not finite.
        """
        index = cls(dimension)
        try:
            index.add(vectors)
        except InputError as error:
            raise BundleError(f"The saved index is damaged; memorise the text again. {error}") from error
        return index

    def _checked(self, vectors: np.ndarray) -> np.ndarray:
        if vectors.ndim != 2 or vectors.shape[1] != self._index.d:
            raise InputError(f"The vectors have the shape {vectors.shape}; the index takes [n, {self._index.d}].")
        if not np.isfinite(vectors).all():
            raise InputError("Some of the vectors hold infinity or no number at all; the index takes finite ones.")
        return np.ascontiguousarray(vectors, dtype=np.float32)


class DenseRetriever:
    """An encoder and the index of the texts it has embedded. Built from a name, or over a loaded Encoder.

    Any number of threads may search at once, but not while one adds or removes: change a ``copy`` and use that then.
    """

    def __init__(
        self,
        model_name_or_path: str | Encoder = "auto",
        cache_dir: str | Path | None = None,
        access_token: str | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        """Start with no texts; arguments as ``Encoder``.

        Raises:
            ModelError: the encoder cannot be found, verified or loaded, or is none.
        """
        given = model_name_or_path
        self.encoder = given if isinstance(given, Encoder) else Encoder(given, cache_dir, access_token, hardware)
        self.index = FaissIndex(self.encoder.dimension)

    def __len__(self) -> int:
        return len(self.index)

    def copy(self) -> DenseRetriever:
        """Return a retriever over the same encoder with an index of its own."""
        twin = DenseRetriever(self.encoder)
        twin.index = self.index.copy()
        return twin

    def add(self, texts: Sequence[str], on_progress: OnProgress | None = None, stop: Stop | None = None) -> None:
        """Embed texts and append them to the index; they get the next numbers.

        Raises:
            Cancelled: ``stop`` was set; nothing was added.
        """
        self.index.add(self.encoder.encode(texts, on_progress=on_progress, stop=stop))

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget texts by number. Those that remain keep their order and are numbered anew, without gaps.

        Raises:
            InputError: there is no text of such a number; nothing is removed.
        """
        self.index.remove(numbers)

    def search(self, queries: str | Sequence[str], hits: int = 3) -> tuple[np.ndarray, np.ndarray]:
        """Return (cosines float32, text numbers int64), both [n_queries, min(hits, len(self))], best first.

        Raises:
            InputError: ``hits`` is below 1.
        """
        wanted = [queries] if isinstance(queries, str) else list(queries)
        return self.index.search(self.encoder.encode(wanted, query=True), hits)

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Return the cosine [n_queries, len(self)] float32 of every text to each query."""
        return self.index.scores(self.encoder.encode(queries, query=True))

    def save(self, path: str | Path) -> None:
        """Save the vectors as safetensors, with the encoder's name; the folder is made when missing.

        Raises:
            BundleError: the file cannot be written (a full disk, say); one that was there before is kept.
        """
        self.index.save(path, {"encoder": self.encoder.fingerprint, "name": self.encoder.name})

    def load(self, path: str | Path) -> None:
        """Replace the index by one that ``save`` wrote with the same encoder.

        Raises:
            BundleError: it cannot be read, or was made by another encoder; the index is what it was.
        """
        index, made_by = FaissIndex.load(path)
        if made_by.get("encoder") != self.encoder.fingerprint:
            other = f"{made_by.get('name', 'an unnamed retriever')} ({made_by.get('encoder', 'no fingerprint')})"
            raise BundleError(
                f"The index {Path(path).name!r} was made by {other}, but {self.encoder.name} "
                f"({self.encoder.fingerprint}) is in use; memorise the text again."
            )
        self.restore(index.halves())

    def restore(self, vectors: np.ndarray) -> None:
        """Replace the index by one over saved vectors [n, dimension] float16 or float32 of this very encoder.

        Raises:
            BundleError: they have another shape, or are not finite; the index is what it was.
        """
        self.index = FaissIndex.over(vectors, self.encoder.dimension)
