"""Compiled loops of training: Adam, and many steps of one network on a quadratic loss."""

import numpy as np

from ..methods.derivatives import jet_kernels, value_kernels
from ..methods.derivatives.compiled import (
    compiled,
    compiled_into,
    compiled_part,
    compiled_quotients,
    compiled_sums,
)
from ..methods.derivatives.products import dot
from ..methods.derivatives.vector_math import wide


@compiled_sums
def _norm(row):
    wide()
    total = row.dtype.type(0)
    for j in range(row.shape[0]):
        total += row[j] * row[j]
    return np.sqrt(total)


@compiled_quotients
def _advance(
    theta, gradient, first, second, factor, kept, rate, eps, new_first, old_second, new_second
):
    wide()
    for j in range(theta.shape[0]):
        g = factor * gradient[j]
        m = first[j] + new_first * (g - first[j])
        v = old_second * second[j] + new_second * (g * g)
        first[j] = m
        second[j] = v
        theta[j] = kept * theta[j] - rate * (m / (np.sqrt(v) + eps))


@compiled_into
def move(theta, gradient, first, second, rates, norms, clip, scale, decay, eps, b1, b2):
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
        rate, kept = rates[k, 0] * number(scale), one - rates[k, 0] * number(decay)
        _advance(
            theta[k], gradient[k], first[k], second[k], factor, kept, rate,
            number(eps), number(1 - b1), number(b2), number(1 - b2),
        )  # fmt: skip
    return True


@compiled_part
def _finish(theta, average, gradient, adam, scales, clip, ema, point):
    """Make Adam's step, move the running average and note the norm; return whether it is finite."""
    wide()
    first, second, rate, b1, b2 = adam
    scale, decay, eps = scales
    norm = np.empty((1, 1), theta.dtype)
    moved = move(theta, gradient, first, second, rate, norm, clip, scale, decay, eps, b1, b2)
    point[1] = norm[0, 0]
    if moved and ema:
        share = theta.dtype.type(1 - ema)
        for j in range(theta.shape[1]):
            average[0, j] += share * (theta[0, j] - average[0, j])
    return moved


@compiled_part
def _energy_cotangents(score, first, second, square, linear, sliced, bend):
    """Turn s, v·s and v·∇s·v into their cotangents; return the loss without its constant."""
    number = score.dtype.type
    points, m = score.shape[0], first.shape[0]
    half, loss, whole = number(0.5), number(0), number(points)
    sliced, bend = number(sliced), number(bend)
    for i in range(points):
        for j in range(score.shape[1]):
            # A conditional network's noise level has a derivative that nothing asks for.
            if j < linear.shape[1]:
                a, b, s = square[i], linear[i, j], score[i, j]
                loss += (half * a * s + b) * s
                score[i, j] = (a * s + b) / whole
            else:
                score[i, j] = 0
    share = number(1) / number(max(1, m))
    for q in range(m):
        for i in range(points):
            along = first[q, i]
            loss += share * (half * sliced * along * along + bend * second[q, i])
            first[q, i] = share * sliced * along / whole
            second[q, i] = share * bend / whole
    return loss / whole


@compiled_part
def _score_cotangents(rows, v, square, linear, sliced, bend):
    """Turn the rows [s | ∇s·v₁ … ∇s·v_M] into their cotangents; return as for energies."""
    number = rows.dtype.type
    points, m = linear.shape[0], v.shape[0]
    half, loss, whole = number(0.5), number(0), number(points)
    sliced, bend = number(sliced), number(bend)
    share = number(1) / number(max(1, m))
    for i in range(points):
        score = rows[i].copy()
        for j in range(score.shape[0]):
            a, b, s = square[i], linear[i, j], score[j]
            loss += (half * a * s + b) * s
            rows[i, j] = (a * s + b) / whole
        for q in range(m):
            row, direction = rows[(1 + q) * points + i], v[q, i]
            along = dot(direction, score)
            loss += share * (half * sliced * along * along + bend * dot(direction, row))
            for j in range(score.shape[0]):
                rows[i, j] += share * sliced * along * direction[j] / whole
                row[j] = share * bend * direction[j] / whole
    return loss / whole


@compiled
def train_energy(network, weights, adam, terms, schedule, clip, ema, path):
    """Train an energy for some steps; return how many were made before one was not finite.

    Args:
        network: Kind of the activation, sizes, units in use and offsets as for ``jet_kernels``, and
            the memory of one member.
        weights: Parameters and their running average, each (1, size).
        adam: Both running means, (1, size), the rate, (1, 1), and both decay rates.
        terms: Of each of T steps the points (T, 1, B, inputs), directions (T, 1, M, B, inputs), a
            (T, B), b (T, B, d) and the mean of c, (T,); then e and f of ``QuadraticLoss``.
        schedule: ``adam.scales`` of each step, (T, 3).
        clip: Longest gradient.
        ema: Share of the running average that stays; 0 for none.
        path: Receives loss and norm of the gradient of each step, (T, 2).
    """
    kind, sizes, used, at, work = network
    theta, average = weights
    x, v, square, linear, constant, sliced, bend = terms
    _, m, points, _, dim = sizes
    energy, gradient = np.empty((1, 0), theta.dtype), np.zeros_like(theta)
    score = np.empty((1, points, dim), theta.dtype)
    along, curved = np.empty((1, m, points), theta.dtype), np.empty((1, m, points), theta.dtype)
    for t in range(x.shape[0]):
        jet_kernels.evaluate(
            kind, sizes, used, theta, at, work, x[t], v[t], energy, score, along, curved
        )
        path[t, 0] = constant[t] + _energy_cotangents(
            score[0], along[0], curved[0], square[t], linear[t], sliced, bend
        )
        jet_kernels.pull(sizes, theta, at, work, energy, score, along, curved, gradient)
        if not _finish(theta, average, gradient, adam, schedule[t], clip, ema, path[t]):
            return t
    return x.shape[0]


@compiled
def train_score(network, weights, adam, terms, schedule, clip, ema, path):
    """Train a score network as ``train_energy`` does an energy."""
    kind, sizes, used, at, work = network
    theta, average = weights
    x, v, square, linear, constant, sliced, bend = terms
    _, m, points, _, _ = sizes
    gradient = np.zeros_like(theta)
    rows = np.empty((1, (1 + m) * points, linear.shape[2]), theta.dtype)
    for t in range(x.shape[0]):
        value_kernels.evaluate(kind, sizes, used, theta, at, work, x[t], v[t], rows)
        path[t, 0] = constant[t] + _score_cotangents(
            rows[0], v[t, 0], square[t], linear[t], sliced, bend
        )
        value_kernels.pull(sizes, theta, at, work, rows, gradient)
        if not _finish(theta, average, gradient, adam, schedule[t], clip, ema, path[t]):
            return t
    return x.shape[0]
