"""Means of clean points given noisy ones, compiled."""

import numpy as np

from .compiled import compiled
from .products import dot
from .vector_math import _exp, wide


@compiled
def _weigh(noisy, clean, rate, weight):
    """Write exp(-rate |noisy - clean|²) of one noisy point, (d,), to ``weight``."""
    wide()
    for j in range(len(weight)):
        offset = noisy[0] - clean[0, j]
        weight[j] = offset * offset
    for c in range(1, len(noisy)):
        for j in range(len(weight)):
            offset = noisy[c] - clean[c, j]
            weight[j] += offset * offset
    for j in range(len(weight)):
        weight[j] = _exp(-rate * weight[j])


@compiled
def clean_means(clean, noisy, rate, out):
    """Mean of ``clean`` (d + 1, m) with weights exp(-rate |noisy - clean|²), for each of ``noisy``.

    The last row of ``clean`` are ones; ``noisy`` and ``out`` are (n, d); ``rate`` is 1/2σ², (n,).
    Each noisy point is within a few σ of a clean one, the one that it was made of.
    """
    dim = noisy.shape[1]
    weight = np.empty(clean.shape[1], clean.dtype)
    for i in range(len(noisy)):
        _weigh(noisy[i], clean, rate[i], weight)
        total = dot(weight, clean[dim])
        for c in range(dim):
            out[i, c] = dot(weight, clean[c]) / total
