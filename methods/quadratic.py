"""Losses that are quadratic in the score, as nearly all of score matching is."""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class QuadraticLoss:
    """The mean over points y of ½a|s|² + b·s + c + mean over v of (½e (v·s)² + f v·∇s·v).

    From this one form come the loss, its gradient, and compiled training. Numbers below may be one
    for all points.

    Attributes:
        points: The points y, shape (K, B, d).
        square: a, shape (K, B, 1).
        linear: b, shape (K, B, d); None for 0.
        constant: c, shape (K, B, 1).
        directions: The directions v of each point, shape (K, M, B, d).
        sliced: e; if it is not 0, a is and b is None.
        bend: f.
        sigma: Noise level of each point, shape (K, B, 1), for networks that have it as an input.
    """

    points: Tensor
    square: Tensor | float = 0.0
    linear: Tensor | None = None
    constant: Tensor | float = 0.0
    directions: Tensor | None = None
    sliced: float = 0.0
    bend: float = 0.0
    sigma: Tensor | None = None

    def of(self, model: Any) -> Tensor:
        """Compute the loss of each member, shape (K,), of networks or what has their methods."""
        v, curved = self.directions, None
        if v is None:
            levels = () if self.sigma is None else (self.sigma,)
            score = model.score(self.points, *levels)
        elif self.sliced:
            along, curved = model.along(self.points, v)
            sliced: Tensor = 0.5 * self.sliced * along.square() + self.bend * curved
            return sliced.mean((-2, -1)) + self._constants()
        else:
            score, curved = model.score_and_curvature(self.points, v)
        terms = 0.5 * self.square * score.square()
        if self.linear is not None:
            terms = terms + self.linear * score
        loss: Tensor = terms.sum(-1).mean(-1) + self._constants()
        return loss if curved is None else loss + self.bend * curved.mean((-2, -1))

    def _constants(self) -> Tensor:
        """Means of c over the points of each member, shape (K,) or one for all."""
        constant = self.points.new_zeros(1) + self.constant
        return constant.expand(*self.points.shape[:2], 1).mean((-2, -1))

    def through(self, factor: Tensor | float, shift: Tensor, points: Tensor) -> Self:
        """Express the loss in r, where the score is ``factor`` · r + ``shift``.

        Args:
            factor: One number per point, (K, B, 1); 1 for sliced losses.
            shift: Shape (K, B, d).
            points: What r is evaluated at.
        """
        linear = self.square * shift
        constant = self.constant + (0.5 * linear * shift).sum(-1, keepdim=True)
        if self.linear is not None:
            constant = constant + (self.linear * shift).sum(-1, keepdim=True)
            linear = linear + self.linear
        if self.sliced and self.directions is not None:
            v = self.directions
            along = self.sliced * (v * shift.unsqueeze(1)).sum(-1, keepdim=True)
            constant = constant + (0.5 / self.sliced) * along.square().mean(1)
            linear = linear + (along * v).mean(1)
        return replace(
            self,
            points=points,
            square=self.square * factor**2,
            linear=linear * factor,
            constant=constant,
            sigma=None,
        )


_LEAST = 1e-7
"""Smallest square of a pivot, as a share of the trace: rounding then stays rounding."""


def few(v: Tensor) -> Tensor:
    """Replace directions by at most d per point that have the same mean of v vᵀ.

    All that is averaged of v·A·v stays the same, and each direction costs three products with every
    layer of a network. The new ones are the columns of Cholesky's factor.

    Args:
        v: Directions, shape (K, M, B, d).

    Returns:
        Shape (K, min(M, d), B, d).
    """
    count, dim = v.shape[1], v.shape[-1]
    if count <= dim:
        return v
    moments = (v.unsqueeze(-1) * v.unsqueeze(-2)).mean(1) * dim
    least = moments.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) * _LEAST
    columns: list[Tensor] = []
    for j in range(dim):
        column = moments[..., j:, j]
        for above in columns:
            column = column - above[..., j:] * above[..., j : j + 1]
        column = column / column[..., :1].clamp_min(least).sqrt()
        columns.append(torch.cat([column.new_zeros((*column.shape[:-1], j)), column], -1))
    return torch.stack(columns, 1)
