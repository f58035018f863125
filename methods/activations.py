"""Smooth non-linearities with the three derivatives that closed-form gradients of scores need."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Derivatives = Callable[[Tensor, int], list[Tensor]]


def swish(a: Tensor, order: int) -> list[Tensor]:
    """x·sigmoid(x) and its derivatives up to ``order`` <= 3."""
    s = torch.sigmoid(a)
    values = [a * s]
    if order >= 1:
        q = s - s * s
        values.append(torch.addcmul(s, a, q))
    if order >= 2:
        r = 1 - 2 * s
        values.append(q * torch.addcmul(r.new_tensor(2.0), a, r))
    if order >= 3:
        values.append(q * torch.addcmul(3 * r, a, 1 - 6 * q))
    return values


def softplus(a: Tensor, order: int) -> list[Tensor]:
    """log(1 + exp(x)) and its derivatives up to ``order`` <= 3."""
    # Beyond 40 the exact value is x to the last bit, in double precision too.
    values = [functional.softplus(a, threshold=40.0)]
    if order >= 1:
        s = torch.sigmoid(a)
        values.append(s)
    if order >= 2:
        q = s - s * s
        values.append(q)
    if order >= 3:
        values.append(torch.addcmul(q, q, s, value=-2))
    return values


ACTIVATIONS: dict[str, Derivatives] = {"swish": swish, "softplus": softplus}
