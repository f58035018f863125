"""Smooth non-linearities with the three derivatives that closed-form gradients of scores need.

Each is a pair of functions, so that the backward pass makes what only it needs, with few passes
over memory: at these sizes a pass costs as much as a tenth of a matrix product.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Activation(NamedTuple):
    """A non-linearity φ.

    Attributes:
        value: From a and an optional tensor to write to: φ(a), φ'(a), and what ``bend`` needs.
        bend: From φ(a), φ'(a), what ``value`` kept, and 2 or 3: φ''(a) and, if 3, φ'''(a).
    """

    value: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor, Tensor]]
    bend: Callable[[Tensor, Tensor, Tensor, int], list[Tensor]]


def _swish(a: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(a)
    h = torch.mul(a, s, out=out)
    rest = 1 - s
    return h, s.addcmul_(h, rest), rest


def _swish_bend(h: Tensor, slope: Tensor, rest: Tensor, order: int) -> list[Tensor]:
    # With t = 1 - s: φ'' = t(2φ' - φ) and φ''' = φ''(3t - 1) - tφ'.
    second = torch.sub(slope + slope, h).mul_(rest)
    if order == 2:
        return [second]
    third = (3 * rest).sub_(1).mul_(second).addcmul_(rest, slope, value=-1)
    return [second, third]


def _softplus(a: Tensor, out: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    # Beyond 40 the exact value is a to the last bit, in double precision too.
    h = functional.softplus(a, threshold=40.0)
    if out is not None:
        h = out.copy_(h)
    s = torch.sigmoid(a)
    return h, s, 1 - s


def _softplus_bend(h: Tensor, slope: Tensor, rest: Tensor, order: int) -> list[Tensor]:  # noqa: ARG001
    second = slope * rest
    return [second] if order == 2 else [second, second * (rest - slope)]


ACTIVATIONS = {
    "swish": Activation(_swish, _swish_bend),
    "softplus": Activation(_softplus, _softplus_bend),
}
