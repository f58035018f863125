"""The element-by-element steps of ``energy_jets``, compiled: one pass over cached memory each.

Loops run member by member and row by row, so that a member's numbers do not depend on who stands
beside it. The arrays are those of a layer there: ``pushed`` holds [ä₁…ä_M | a | ȧ₁…ȧ_M] before
the bias, ``rows`` [ḧ₁…ḧ_M | h | ḣ₁…ḣ_M | u], ``bars`` [ā | ǡ₁…ǡ_M | φ'n], ``down`` the adjoints
of [h | ḣ₁…ḣ_M], each of shape (K, rows, B, W); the others have shape (K, B, W).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .compiled import compiled, compiled_sums


@intrinsic
def _power_of_two(context: Any, shifted: Any) -> Any:  # noqa: ARG001 (numba's signature)
    """2ⁿ where n stands in the lowest bits of a float, as it does after adding 1.5·2^mantissa."""
    size, mantissa, bias = (64, 52, 1023) if shifted == types.float64 else (32, 23, 127)
    number = ir.DoubleType() if size == 64 else ir.FloatType()

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        whole = ir.IntType(size)
        bits = builder.shl(builder.bitcast(arguments[0], whole), ir.Constant(whole, mantissa))
        return builder.bitcast(builder.add(bits, ir.Constant(whole, bias << mantissa)), number)

    return shifted(shifted), build


def _exponential(
    number: type[np.floating[Any]], degree: int, mantissa: int, bound: float, high_bits: int
) -> Callable[..., Any]:
    """e^x = 2ⁿ e^r with |r| ≤ log(2)/2 and a polynomial, so that loops over it use the vector unit.

    The polynomial is Taylor's; what it leaves out is below a tenth of the last place. Beyond
    ``bound`` the argument is cut off, where the result would overflow. NaN stays NaN.
    """
    high = number(round(math.log(2) * 2**high_bits) / 2**high_bits)
    low = number(math.log(2) - float(high))
    per_log2, magic = number(1 / math.log(2)), number(1.5 * 2**mantissa)
    most, least = number(bound), number(-bound)
    first, *others = (number(1 / math.factorial(i)) for i in range(degree, -1, -1))
    rest = tuple(others)

    def exp(x):
        x = most if x > most else x
        x = least if x < least else x
        shifted = x * per_log2 + magic
        n = shifted - magic
        r = x - n * high - n * low
        p = first
        for c in rest:
            p = p * r + c
        return p * _power_of_two(shifted)

    return exp


def _logarithm(number: type[np.floating[Any]], terms: int) -> Callable[..., Any]:
    """log(1 + x) for 0 ≤ x ≤ 1 as 2 artanh(x/(2 + x)), exact to the last places for small x too."""
    two = number(2)
    first, *others = (number(2 / (2 * i + 1)) for i in range(terms - 1, -1, -1))
    rest = tuple(others)

    def log1p(x):
        z = x / (two + x)
        square = z * z
        p = first
        for c in rest:
            p = p * square + c
        return p * z

    return log1p


_EXP = {
    types.float32: _exponential(np.float32, 7, 23, 87.0, 10),
    types.float64: _exponential(np.float64, 13, 52, 708.0, 32),
}
_LOG1P = {types.float32: _logarithm(np.float32, 8), types.float64: _logarithm(np.float64, 17)}


def _exp(x: Any) -> Any:
    raise NotImplementedError


def _log1p(x: Any) -> Any:
    raise NotImplementedError


def _curve(kind: Any, a: Any) -> Any:
    raise NotImplementedError


@overload(_exp, inline="always")
def _exp_of(x):
    return _EXP[x]


@overload(_log1p, inline="always")
def _log1p_of(x):
    return _LOG1P[x]


@overload(_curve, inline="always")
def _curve_of(kind, a):
    """φ, φ', φ'' and φ''' of the activation; those that are not used cost nothing."""
    number = np.float64 if a == types.float64 else np.float32
    zero, one, three = number(0), number(1), number(3)

    def swish(kind, a):  # noqa: ARG001
        e = _exp(-a)
        s = one / (one + e)
        t = e * s
        value = a * s
        first = s + value * t
        second = t * (first + first - value)
        return value, first, second, second * (three * t - one) - t * first

    def softplus(kind, a):  # noqa: ARG001
        e = _exp(-abs(a))
        near = one / (one + e)
        far = e * near
        s = far if a < zero else near
        t = near if a < zero else far
        return (zero if a < zero else a) + _log1p(e), s, s * t, s * t * (t - s)

    return swish if kind == types.Tuple(()) else softplus


# Their types, not their values, choose what is compiled.
KINDS: dict[str, tuple[int, ...]] = {"swish": (), "softplus": (0,)}


@compiled
def activate(kind, pushed, theta, bias_at, rows, slope, second, third):
    """From a to h, φ', φ'' and φ'''."""
    members, points, width = slope.shape
    m = rows.shape[1] // 2 - 1
    # Without directions the third derivatives go to one row again and again.
    at, last = pushed.shape[1] - m - 1, third.shape[1] - 1
    for k in range(members):
        bias = theta[k, bias_at : bias_at + width]
        for i in range(points):
            a, h = pushed[k, at, i], rows[k, m, i]
            s_, c_, d_ = slope[k, i], second[k, i], third[k, min(i, last)]
            for j in range(width):
                h[j], s_[j], c_[j], d_[j] = _curve(kind, a[j] + bias[j])


@compiled
def push(pushed, rows, slope, second):
    """ḣ = φ'ȧ and ḧ = φ''ȧ² + φ'ä of every direction."""
    members, points, width = slope.shape
    m = rows.shape[1] // 2 - 1
    at = pushed.shape[1] - m - 1
    for k in range(members):
        for q in range(m):
            for i in range(points):
                s_, c_, da = slope[k, i], second[k, i], pushed[k, at + 1 + q, i]
                dh, ddh = rows[k, m + 1 + q, i], rows[k, q, i]
                if at:
                    dda = pushed[k, q, i]
                    for j in range(width):
                        dh[j] = s_[j] * da[j]
                        ddh[j] = c_[j] * da[j] * da[j] + s_[j] * dda[j]
                else:
                    for j in range(width):
                        dh[j] = s_[j] * da[j]
                        ddh[j] = c_[j] * da[j] * da[j]


@compiled_sums
def outputs(theta, top_at, bias_at, rows, out):
    """E = -f, and minus the derivatives of f, from [ḧ₁…ḧ_M | h | ḣ₁…ḣ_M] and the last weights."""
    members, _, _, width = rows.shape
    m = rows.shape[1] // 2 - 1
    for k in range(members):
        top = theta[k, top_at : top_at + width]
        for q in range(out.shape[1]):
            for i in range(out.shape[2]):
                h = rows[k, q, i]
                total = top.dtype.type(0)
                for j in range(width):
                    total += h[j] * top[j]
                out[k, q, i] = total + theta[k, bias_at] if q == m else -total


@compiled_sums
def score(theta, weight_at, bars, out):
    """∂f/∂x from φ'n of the first layer and the first weights."""
    width = bars.shape[3]
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            through = bars[k, -1, i]
            for q in range(out.shape[2]):
                weight = theta[k, weight_at + q * width : weight_at + (q + 1) * width]
                total = weight.dtype.type(0)
                for j in range(width):
                    total += through[j] * weight[j]
                out[k, i, q] = total


@compiled
def through(n, slope, second, bent, third, bars, deep):
    """φ'n, φ''n and φ'''n; n may be one row for all points."""
    members, points, width = slope.shape
    last = n.shape[1] - 1
    for k in range(members):
        for i in range(points):
            n_, s_, out = n[k, min(i, last)], slope[k, i], bars[k, -1, i]
            c_, e_ = second[k, i], bent[k, i]
            for j in range(width):
                out[j] = n_[j] * s_[j]
            if deep:
                d_ = third[k, i]
                for j in range(width):
                    e_[j] = n_[j] * c_[j]
                    d_[j] = n_[j] * d_[j]
            else:
                for j in range(width):
                    c_[j] = n_[j] * c_[j]


@compiled
def along(tangent, slope, bent, rows, bars):
    """The row u, and what it adds to ā, from the derivative of a along the score's cotangent."""
    members, points, width = slope.shape
    for k in range(members):
        for i in range(points):
            t_, s_, e_ = tangent[k, i], slope[k, i], bent[k, i]
            u, a_bar = rows[k, -1, i], bars[k, 0, i]
            for j in range(width):
                u[j] = t_[j] * s_[j]
                a_bar[j] = t_[j] * e_[j]


@compiled
def bend_along(rows, weights):
    """Add Σ weights·ḧ to u."""
    members, _, _, width = rows.shape
    for k in range(members):
        for q in range(weights.shape[1]):
            for i in range(weights.shape[2]):
                c, u, ddh = weights[k, q, i], rows[k, -1, i], rows[k, q, i]
                for j in range(width):
                    u[j] += c * ddh[j]


@compiled
def outermost(theta, top_at, gradient, bias_at, rows, down, energy, first, with_energy, with_first):
    """Gradients of the last weights, and the adjoints of the last h and ḣ that are not zero."""
    members, _, points, width = rows.shape
    m = rows.shape[1] // 2 - 1
    for k in range(members):
        top, top_bar = theta[k, top_at : top_at + width], gradient[k, top_at : top_at + width]
        top_bar[:] = 0
        gradient[k, bias_at] = 0
        for i in range(points):
            u = rows[k, -1, i]
            for j in range(width):
                top_bar[j] -= u[j]
        if with_energy:
            down[k, 0] = 0
            for i in range(energy.shape[1]):
                c, h, h_bar = energy[k, i], rows[k, m, i], down[k, 0, i]
                gradient[k, bias_at] += c
                for j in range(width):
                    top_bar[j] += c * h[j]
                    h_bar[j] = c * top[j]
        if with_first:
            for q in range(m):
                down[k, 1 + q] = 0
                for i in range(first.shape[2]):
                    c, dh, dh_bar = first[k, q, i], rows[k, m + 1 + q, i], down[k, 1 + q, i]
                    for j in range(width):
                        top_bar[j] -= c * dh[j]
                        dh_bar[j] = -c * top[j]


@compiled
def adjoint(
    pushed, down, slope, second, bent, third, bars, weights, gradient, bias_at,
    with_h, with_dh, with_weights,
):  # fmt: skip
    """Adjoints of a and of each ȧ, given those of h and ḣ; and the gradient of the bias."""
    members, points, width = slope.shape
    m = down.shape[1] - 1
    at = pushed.shape[1] - m - 1
    for k in range(members):
        bias_bar = gradient[k, bias_at : bias_at + width]
        bias_bar[:] = 0
        for i in range(points):
            s_, c_, e_ = slope[k, i], second[k, i], bent[k, i]
            a_bar, h_bar = bars[k, 0, i], down[k, 0, i]
            if with_h:
                for j in range(width):
                    a_bar[j] += h_bar[j] * s_[j]
            for q in range(m):
                da, da_bar, dh_bar = pushed[k, at + 1 + q, i], bars[k, 1 + q, i], down[k, 1 + q, i]
                if with_dh:
                    for j in range(width):
                        da_bar[j] = dh_bar[j] * s_[j]
                        a_bar[j] += dh_bar[j] * da[j] * c_[j]
                else:
                    da_bar[:] = 0
                if with_weights and i < weights.shape[2]:
                    w, d_ = weights[k, q, i], third[k, i]
                    for j in range(width):
                        bend = w * da[j]
                        da_bar[j] += (bend + bend) * e_[j]
                        a_bar[j] += bend * da[j] * d_[j]
                    if at:
                        dda = pushed[k, q, i]
                        for j in range(width):
                            a_bar[j] += w * dda[j] * e_[j]
            for j in range(width):
                bias_bar[j] += a_bar[j]


@compiled
def first_layer(kind, theta, weight_at, bias_at, x, start, h, slope):
    """The first layer's h and φ' at points from ``start`` on."""
    members, points, width = h.shape
    for k in range(members):
        bias = theta[k, bias_at : bias_at + width]
        for i in range(points):
            h_, s_ = h[k, i], slope[k, i]
            for j in range(width):
                h_[j] = bias[j]
            for q in range(x.shape[2]):
                c = x[k, start + i, q]
                weight = theta[k, weight_at + q * width : weight_at + (q + 1) * width]
                for j in range(width):
                    h_[j] += c * weight[j]
            for j in range(width):
                h_[j], s_[j], _, _ = _curve(kind, h_[j])


@compiled
def inner_layer(kind, theta, bias_at, h, slope):
    """Another layer's h and φ', from a without its bias, which stands where h goes to."""
    members, points, width = h.shape
    for k in range(members):
        bias = theta[k, bias_at : bias_at + width]
        for i in range(points):
            h_, s_ = h[k, i], slope[k, i]
            for j in range(width):
                h_[j], s_[j], _, _ = _curve(kind, h_[j] + bias[j])


@compiled
def last_layer(kind, theta, bias_at, top_at, h):
    """φ'n, from a without its bias, which stands where it goes to."""
    members, points, width = h.shape
    for k in range(members):
        bias, top = theta[k, bias_at : bias_at + width], theta[k, top_at : top_at + width]
        for i in range(points):
            h_ = h[k, i]
            for j in range(width):
                _, slope, _, _ = _curve(kind, h_[j] + bias[j])
                h_[j] = -top[j] * slope


@compiled_sums
def to_points(theta, weight_at, n, slope, out, start):
    """∂f/∂x at points from ``start`` on, from n of the first layer, which becomes φ'n."""
    width = n.shape[2]
    for k in range(n.shape[0]):
        for i in range(n.shape[1]):
            n_, s_ = n[k, i], slope[k, i]
            for j in range(width):
                n_[j] *= s_[j]
            for q in range(out.shape[2]):
                weight = theta[k, weight_at + q * width : weight_at + (q + 1) * width]
                total = weight.dtype.type(0)
                for j in range(width):
                    total += n_[j] * weight[j]
                out[k, start + i, q] = total
