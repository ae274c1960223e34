"""Reading a long text with sparse attention: which keys each head looks at, found from the text's last queries.

The vertical-slash pattern of MInference (arXiv 2407.02490): in a long text most of a head's attention falls on a few
tokens that everybody looks at (verticals) and on a few distances back (slashes), and the last queries tell which. They
are chosen anew for every head and text with the same budget, so no table that was measured on one model is needed. The
output is close to exact attention and not equal to it. Knows the kernel only as a function it is given.
"""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from engine.hardware import SparseKernel

# Shorter texts are read as fast with exact attention.
MIN_TOKENS = 16 * 1024
# Sizes of a head that the kernel computes correctly with every attention library it may choose by itself.
HEAD_DIMS = frozenset({16, 32, 64, 128})
# The paper's budget where a head's own best pattern is not known.
VERTICALS, SLASHES = 1000, 6096
# Queries that the choice is made from.
LAST_QUERIES = 64
# Always looked at: the first tokens, on which heads rest (arXiv 2309.17453), and the nearest ones.
_ALWAYS = 30


def can_read_sparsely(tokens: int, head_dim: int) -> bool:
    """Whether a text of so many tokens is worth sparse attention, and the kernel takes heads of this size."""
    return tokens >= MIN_TOKENS and head_dim in HEAD_DIMS


def sparse_prefill_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    kernel: SparseKernel,
    verticals: int = VERTICALS,
    slashes: int = SLASHES,
) -> torch.Tensor:
    """Causal attention of one text, read at once without a past, over what each head looks at.

    Args:
        query: [1, heads, n, dim], in half precision for the real kernel.
        key: [1, kv_heads, n, dim]; heads that share keys are told apart by their queries.
        value: [1, kv_heads, n, dim].
        scaling: what scores are multiplied with.
        kernel: takes query, key, value [1, 1, n, dim], ascending verticals and descending slashes [1, 1, count] in
            int32, returns [1, 1, n, dim]; it scales scores by dim ** -0.5.
        verticals: number of tokens that all later ones look at, for each head.
        slashes: number of distances at which tokens are looked at, for each head.

    Returns:
        [1, n, heads, dim], as every transformers attention.
    """
    _, heads, n, dim = query.shape
    groups = heads // key.shape[1]
    output = query.new_empty(1, n, heads, dim)
    # Head by head: the kernel's lists of blocks for all heads at once would take gigabytes.
    for head in range(heads):
        asked = query[:, head : head + 1]
        keys, values = (t[:, head // groups, None] for t in (key, value))
        vertical, slash = choose(asked[0, 0, -LAST_QUERIES:], keys[0, 0], scaling, verticals, slashes)
        scaled = asked * (scaling * dim**0.5)
        output[:, :, head] = kernel(scaled, keys, values, vertical[None, None], slash[None, None])[:, 0]
    return output


def choose(
    query: torch.Tensor, key: torch.Tensor, scaling: float, verticals: int, slashes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what one head looks at: tokens in ascending and distances in descending order, both int32.

    Args:
        query: [m, dim], the last of the text.
        key: [n, dim], all of it.
        scaling: what scores are multiplied with.
        verticals: how many tokens, at most n of them.
        slashes: how many distances, at most n of them. Distance 0 is always chosen: the kernel relies on it to see
            nothing that comes later.
    """
    m, n = query.shape[0], key.shape[0]
    scores = query.float() @ key.float().T * scaling  # [m, n]
    later = torch.ones(m, n, dtype=torch.bool, device=key.device).triu(n - m + 1)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1)
    by_token = weights.sum(0)
    by_distance = distance_sums(weights)
    by_token[:_ALWAYS] = torch.inf
    by_distance[:_ALWAYS] = torch.inf
    tokens = by_token.topk(min(verticals, n)).indices.sort().values
    distances = by_distance.topk(min(slashes, n)).indices.sort(descending=True).values
    return tokens.int(), distances.int()


def distance_sums(weights: torch.Tensor) -> torch.Tensor:
    """Sum the weights [m, n] of the last m queries of n tokens by their distance back: [n], distance 0 first."""
    m, n = weights.shape
    # Row r holds distance d in column n - m + r - d. Reversed, that is column d + (m - 1) - r: reading each row one
    # step earlier than the one before lines the distances up.
    reversed_rows = pad(weights.flip(1), (0, m - 1)).contiguous()
    return reversed_rows.as_strided((m, n), (n + m - 2, 1), m - 1).sum(0)
