"""The loops of ``adam``, compiled: one pass over the parameters, a member at a time."""

import numpy as np

from ..methods.compiled import compiled, compiled_sums


@compiled_sums
def norms(gradient, out):
    """Length of each member's gradient."""
    for k in range(gradient.shape[0]):
        row = gradient[k]
        total = row.dtype.type(0)
        for j in range(row.shape[0]):
            total += row[j] * row[j]
        out[k, 0] = np.sqrt(total)


@compiled
def move(theta, gradient, first, second, shrink, rates, scale, eps, b1, b2):
    """One step, with gradients times ``shrink`` and a rate per member."""
    number = theta.dtype.type
    kept, new, low = number(1 - b1), number(1 - b2), number(eps)
    decay = number(b2)
    for k in range(theta.shape[0]):
        t_, g_, m_, v_ = theta[k], gradient[k], first[k], second[k]
        factor, rate = shrink[k, 0], rates[k, 0] * number(scale)
        for j in range(t_.shape[0]):
            g = factor * g_[j]
            m = m_[j] + kept * (g - m_[j])
            v = decay * v_[j] + new * (g * g)
            m_[j] = m
            v_[j] = v
            t_[j] -= rate * (m / (np.sqrt(v) + low))
