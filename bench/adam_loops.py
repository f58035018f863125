"""Compiled loops of ``adam``: one pass over the parameters, member by member."""

import numpy as np

from ..methods.derivatives.compiled import compiled, compiled_quotients, compiled_sums
from ..methods.derivatives.vector_math import wide


@compiled_sums
def _norm(row):
    wide()
    total = row.dtype.type(0)
    for j in range(row.shape[0]):
        total += row[j] * row[j]
    return np.sqrt(total)


@compiled_quotients
def _advance(theta, gradient, first, second, factor, rate, eps, new_first, old_second, new_second):
    wide()
    for j in range(theta.shape[0]):
        g = factor * gradient[j]
        m = first[j] + new_first * (g - first[j])
        v = old_second * second[j] + new_second * (g * g)
        first[j] = m
        second[j] = v
        theta[j] -= rate * (m / (np.sqrt(v) + eps))


@compiled
def move(theta, gradient, first, second, rates, norms, clip, scale, eps, b1, b2):
    """Step and return True if all gradients are finite; write their norms to ``norms``."""
    number = theta.dtype.type
    one, longest = number(1), number(clip)
    finite = True
    for k in range(theta.shape[0]):
        norms[k, 0] = _norm(gradient[k])
        finite = finite and np.isfinite(norms[k, 0])
    if not finite:
        return False
    for k in range(theta.shape[0]):
        factor = one if norms[k, 0] <= longest else longest / norms[k, 0]
        rate = rates[k, 0] * number(scale)
        _advance(
            theta[k], gradient[k], first[k], second[k], factor, rate,
            number(eps), number(1 - b1), number(b2), number(1 - b2),
        )  # fmt: skip
    return True
