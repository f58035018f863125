"""Kernel Stein discrepancy: uses the score of the truth instead of a sample."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.box import box_of
from ...datasets.tabulate import fast_score
from . import metrics
from .base import Metric, Setting

_ROWS = 256


@metrics.register("ksd")
class KSD(Metric):
    """Kernel Stein discrepancy, squared, with the kernel (1 + |x - y|²)^(-1/2): a diagnostic.

    Unbiased (Gorham and Mackey 2017). It uses the score only, so it is blind to the mass of far
    modes: samples that miss one of two far modes score as well as the truth.
    """

    cost: ClassVar[str] = "square of the number of samples: about 5 s for 10,000"
    diagnostic: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.score_from > 0:
            return "the density jumps, so the data have no score"
        return None

    @cached_property
    def _score(self) -> Callable[[Tensor], Tensor]:
        return fast_score(self.density, 0.0)

    def value(self, samples: Tensor) -> float:
        # In larger units: of data far wider than the kernel, rounding would leave nothing.
        n, unit = len(samples), max(1.0, box_of(self.dataset).size)
        score = self._score(samples) * unit
        samples = samples / unit
        total = sum(
            float(stein_kernel(x, s, samples, score).sum())
            for x, s in zip(samples.split(_ROWS), score.split(_ROWS), strict=True)
        )
        own = float((score.square().sum(1) + self.dataset.dim).sum())
        value = (total - own) / (n * (n - 1))
        return value if math.isfinite(value) else self.worst


def stein_kernel(x: Tensor, sx: Tensor, y: Tensor, sy: Tensor) -> Tensor:
    """Evaluate the Stein kernel between rows of x (a, d) and y (b, d), shape (a, b).

    ``sx`` and ``sy`` are the scores of the truth there, of the same shapes.
    """
    square = torch.zeros(len(x), len(y), dtype=x.dtype)
    along = torch.zeros_like(square)
    product = torch.zeros_like(square)
    for i in range(x.shape[1]):
        gap = x[:, i, None] - y[:, i]
        square += gap * gap
        along += gap * (sx[:, i, None] - sy[:, i])
        product += sx[:, i, None] * sy[:, i]
    base = 1 + square
    k = base.rsqrt()
    slope = k / base
    # k = b^(-1/2): ∇x k = -(x - y) b^(-3/2), tr ∇x∇y k = d b^(-3/2) - 3 |x - y|² b^(-5/2).
    return product * k + along * slope + x.shape[1] * slope - 3 * square * slope / base
