"""Compiled outputs and scores of perceptrons for samplers: tile by tile, without gradients."""

from .compiled import compiled, compiled_part, compiled_quotients
from .layer_kernels import matrix
from .products import block, times, times_transposed
from .vector_math import curve, wide


def length(depth: int, points: int, width: int) -> int:
    """Size of the memory that all tiles share."""
    return (depth + 2) * points * width


@compiled_quotients
def _value(kind, bias, h):
    """Replace a by h."""
    wide()
    for i in range(h.shape[0]):
        h_ = h[i]
        for j in range(h_.shape[0]):
            h_[j], _, _, _ = curve(kind, h_[j] + bias[j])


@compiled
def outputs(kind, depth, tile, width, theta, at, work, x, out):
    """Write the outputs of networks at points x, (K, B, d), to ``out``, (K, B, outputs).

    Args:
        kind: Kind of the activation.
        depth: Hidden layers D.
        tile: Points per tile.
        width: Units W of a layer.
        theta: Parameters, (K, size).
        at: Offset of each weight and bias in them.
        work: Memory for one tile of one member, (``length``,).
        x: Points.
        out: Receives the result.
    """
    for k in range(theta.shape[0]):
        own, columns = theta[k], out.shape[2]
        bias = own[at[2 * depth + 1] : at[2 * depth + 1] + columns]
        for start in range(0, x.shape[1], tile):
            stop = min(start + tile, x.shape[1])
            points = stop - start
            below = x[k, start:stop]
            product = block(work, 0, points, width)
            other = block(work, tile * width, points, width)
            for i in range(depth):
                times(below, matrix(own, at, 2 * i, below.shape[1], width), product)
                _value(kind, own[at[2 * i + 1] : at[2 * i + 1] + width], product)
                below = product
                product, other = other, product
            times(below, matrix(own, at, 2 * depth, width, columns), out[k, start:stop])
            for i in range(start, stop):
                for j in range(columns):
                    out[k, i, j] += bias[j]


@compiled_quotients
def _inner(kind, bias, h, slope):
    """Replace a by h, and compute φ'."""
    wide()
    for i in range(h.shape[0]):
        h_, s_ = h[i], slope[i]
        for j in range(h_.shape[0]):
            h_[j], s_[j], _, _ = curve(kind, h_[j] + bias[j])


@compiled_quotients
def _last(kind, bias, top, h):
    """Replace a by φ'n."""
    wide()
    for i in range(h.shape[0]):
        h_ = h[i]
        for j in range(h_.shape[0]):
            _, slope, _, _ = curve(kind, h_[j] + bias[j])
            h_[j] = -top[j] * slope


@compiled_part
def _bend(n, slope):
    wide()
    for i in range(n.shape[0]):
        n_, s_ = n[i], slope[i]
        for j in range(n_.shape[0]):
            n_[j] *= s_[j]


@compiled
def scores(kind, depth, tile, width, theta, at, work, x, out):
    """Write the scores of energies at points x, (K, B, d), to ``out``, of the same shape.

    The arguments are those of ``outputs``.
    """
    for k in range(theta.shape[0]):
        own = theta[k]
        top = own[at[2 * depth] : at[2 * depth] + width]
        for start in range(0, x.shape[1], tile):
            stop = min(start + tile, x.shape[1])
            points = stop - start
            below = x[k, start:stop]
            product = block(work, 0, points, width)
            other = block(work, tile * width, points, width)
            for i in range(depth):
                times(below, matrix(own, at, 2 * i, below.shape[1], width), product)
                bias = own[at[2 * i + 1] : at[2 * i + 1] + width]
                if i < depth - 1:
                    slope = block(work, (2 + i) * tile * width, points, width)
                    _inner(kind, bias, product, slope)
                else:
                    _last(kind, bias, top, product)
                below = product
                product, other = other, product
            for i in range(depth - 1, 0, -1):
                times_transposed(below, matrix(own, at, 2 * i, width, width), product)
                _bend(product, block(work, (1 + i) * tile * width, points, width))
                below = product
                product, other = other, product
            first = matrix(own, at, 0, x.shape[2], width)
            times_transposed(below, first, out[k, start:stop])
