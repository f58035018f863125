"""Smooth non-linearities with the three derivatives that closed-form gradients of scores need.

Everything is written to buffers that are given: at these sizes a pass over memory costs as much
as a tenth of a matrix product, and a new page of memory more than the numbers on it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_ONE = torch.tensor(1.0)


class Activation(NamedTuple):
    """A non-linearity φ, element by element.

    Attributes:
        value: ``value(a, h, slope, rest)`` writes φ(a) to h, φ'(a) to slope, and 1 - sigmoid(a)
            to rest; ``rest`` may be ``a`` itself.
        bend: ``bend(h, slope, rest, second, third)`` writes φ''(a) to second and, unless it is
            None, φ'''(a) to third.
    """

    value: Callable[[Tensor, Tensor, Tensor, Tensor], None]
    bend: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], None]


def _swish(a: Tensor, h: Tensor, slope: Tensor, rest: Tensor) -> None:
    s = torch.sigmoid(a, out=slope)
    torch.mul(a, s, out=h)
    torch.sub(_ONE, s, out=rest)
    s.addcmul_(h, rest)


def _swish_bend(
    h: Tensor, slope: Tensor, rest: Tensor, second: Tensor, third: Tensor | None
) -> None:
    # With t = 1 - s: φ'' = t(2φ' - φ) and φ''' = φ''(3t - 1) - tφ'.
    torch.add(slope, slope, out=second).sub_(h).mul_(rest)
    if third is not None:
        torch.mul(rest, 3, out=third).sub_(1).mul_(second).addcmul_(rest, slope, value=-1)


def _softplus(a: Tensor, h: Tensor, slope: Tensor, rest: Tensor) -> None:
    # Beyond 40 the exact value is a to the last bit, in double precision too.
    h.copy_(functional.softplus(a, threshold=40.0))
    torch.sigmoid(a, out=slope)
    torch.sub(_ONE, slope, out=rest)


def _softplus_bend(
    h: Tensor,  # noqa: ARG001 (every activation is asked in the same way)
    slope: Tensor,
    rest: Tensor,
    second: Tensor,
    third: Tensor | None,
) -> None:
    torch.mul(slope, rest, out=second)
    if third is not None:
        torch.sub(rest, slope, out=third).mul_(second)


ACTIVATIONS = {
    "swish": Activation(_swish, _swish_bend),
    "softplus": Activation(_softplus, _softplus_bend),
}
