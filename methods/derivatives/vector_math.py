"""Exponentials, and activations with their derivatives, for compiled loops over the vector unit."""

import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload


@intrinsic
def _power_of_two(context, shifted):
    """2ⁿ, with n in the lowest bits of a float, as after adding 1.5·2^mantissa."""
    size, mantissa, bias = (64, 52, 1023) if shifted == types.float64 else (32, 23, 127)
    number = ir.DoubleType() if size == 64 else ir.FloatType()

    def build(context, builder, signature, arguments):
        whole = ir.IntType(size)
        bits = builder.shl(builder.bitcast(arguments[0], whole), ir.Constant(whole, mantissa))
        return builder.bitcast(builder.add(bits, ir.Constant(whole, bias << mantissa)), number)

    return shifted(shifted), build


def _exponential(
    number: type[np.float32 | np.float64], degree: int, mantissa: int, bound: float, high_bits: int
) -> Callable[..., object]:
    """e^x = 2ⁿ e^r with |r| ≤ log(2)/2 and a polynomial, so that loops over it use the vector unit.

    The Taylor polynomial's error is below a tenth of the last place. The argument is clipped at
    ``bound``, where the result would overflow. NaN stays NaN.
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


def _logarithm(number: type[np.float32 | np.float64], terms: int) -> Callable[..., object]:
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


def _exp(x):
    raise NotImplementedError


def _log1p(x):
    raise NotImplementedError


def curve(kind, a):
    """Compute φ, φ', φ'' and φ''' of an activation at a; for compiled functions only."""
    raise NotImplementedError


@overload(_exp, inline="always")
def _exp_of(x):
    return _EXP[x]


@overload(_log1p, inline="always")
def _log1p_of(x):
    return _LOG1P[x]


@overload(curve, inline="always")
def _curve_of(kind, a):
    """φ, φ', φ'' and φ''' of the activation; unused ones cost nothing."""
    number = np.float64 if a == types.float64 else np.float32
    zero, one, three = number(0), number(1), number(3)

    def swish(kind, a):
        e = _exp(-a)
        s = one / (one + e)
        t = e * s
        value = a * s
        first = s + value * t
        second = t * (first + first - value)
        return value, first, second, second * (three * t - one) - t * first

    def softplus(kind, a):
        e = _exp(-abs(a))
        near = one / (one + e)
        far = e * near
        s = far if a < zero else near
        t = near if a < zero else far
        return (zero if a < zero else a) + _log1p(e), s, s * t, s * t * (t - s)

    return swish if kind == types.Tuple(()) else softplus


# The types of these values, not the values, select the compiled code.
KINDS: dict[str, tuple[int, ...]] = {"swish": (), "softplus": (0,)}


def _widened(context):
    def build(context, builder, signature, arguments):
        for attribute in ('prefer-vector-width"="512', 'reciprocal-estimates"="vec-divf'):
            # llvmlite's own ``add`` refuses attributes with a value, and it has no other public
            # way: they go into the underlying set.
            set.add(builder.function.attributes, f'"{attribute}"')
        return context.get_dummy_value()

    return types.void(), build


# wide() lets loops of the calling function use the widest vectors: compilers avoid 512-bit vectors
# because some processors slow down for them, but the matrix products around these loops use them
# anyway. Quotients are estimated where the function allows it.
wide = intrinsic(_widened)
