"""How the next token is chosen from a model's logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.errors import InputError

# Keeps sampling inside the most likely 95 % of the mass (nucleus sampling, arXiv 1904.09751).
TOP_P = 0.95
# Below this temperature only the likeliest token has any chance left, and dividing by it would overflow.
_COLDEST = 1e-3


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Temperature 0 takes the likeliest; ``repetition_penalty`` looks at the output only, never at the prompt.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not self.max_new_tokens >= 1:
            raise InputError(f"max_new_tokens is {self.max_new_tokens}; give 1 or more.")
        if not 0.0 <= self.temperature <= 2.0:
            raise InputError(f"The temperature is {self.temperature}; give 0 (most certain) to 2 (most varied).")
        if not 1.0 <= self.repetition_penalty <= 2.0:
            raise InputError(f"The repetition penalty is {self.repetition_penalty}; give 1 (off) to 2.")


class Chooser:
    """Picks next tokens from logits, by the rules of ``Sampling``; holds the random state and what was made so far."""

    def __init__(self, sampling: Sampling, rows: int, device: torch.device) -> None:
        self._sampling = sampling
        self._made = torch.empty(rows, 0, dtype=torch.long, device=device)
        self._random = torch.Generator(device=device)
        self._random.manual_seed(sampling.seed) if sampling.seed is not None else self._random.seed()

    def next(self, logits: torch.Tensor) -> torch.Tensor:
        """Return one token id per row from float32 logits [rows, vocabulary]."""
        if self._sampling.repetition_penalty > 1.0 and self._made.shape[1]:
            seen = logits.gather(1, self._made)
            penalty = self._sampling.repetition_penalty
            logits = logits.scatter(1, self._made, torch.where(seen > 0, seen / penalty, seen * penalty))
        chosen = logits.argmax(-1) if self._sampling.temperature < _COLDEST else self._sample(logits)
        self._made = torch.cat([self._made, chosen[:, None]], dim=1)
        return chosen

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some rows only."""
        self._made = self._made[rows]

    def _sample(self, logits: torch.Tensor) -> torch.Tensor:
        ordered, order = torch.softmax(logits / self._sampling.temperature, dim=-1).sort(dim=-1, descending=True)
        # A token stays while the mass before it is below TOP_P, so the likeliest always stays.
        ordered[ordered.cumsum(-1) - ordered >= TOP_P] = 0
        picked = torch.multinomial(ordered, 1, generator=self._random)
        return order.gather(1, picked)[:, 0]
