"""Smooth activations with the three derivatives that closed-form gradients of scores need."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Curve(NamedTuple):
    """φ(a) and its first three derivatives, element by element."""

    value: Tensor
    slope: Tensor
    second: Tensor
    third: Tensor


def _swish(a: Tensor) -> Curve:
    s = torch.sigmoid(a)
    t, h = 1 - s, a * s
    slope = s + h * t
    second = t * (2 * slope - h)
    return Curve(h, slope, second, second * (3 * t - 1) - t * slope)


def _softplus(a: Tensor) -> Curve:
    s = torch.sigmoid(a)
    second = s * (1 - s)
    # Above 40 the exact value equals a to the last bit, in double precision too.
    return Curve(functional.softplus(a, threshold=40.0), s, second, second * (1 - 2 * s))


ACTIVATIONS: dict[str, Callable[[Tensor], Curve]] = {"swish": _swish, "softplus": _softplus}
