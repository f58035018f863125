"""A bistable density."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .chain import Chain
from .quadrature import panels


@datasets.register("double_well")
class DoubleWell(Chain):
    """Two unequal wells: x1 with density exp(x1/2 + 6 x1² - x1⁴)/Z, then x2 ~ N(0, 1)."""

    extent = 5.0
    noise = 0.18  # A little less than the width of the wells.
    narrowest: ClassVar[float] = 0.0

    def __init__(self) -> None:
        # Beyond 3.5 lies e^-80 of the mass; linear interpolation in so fine a table makes the
        # distribution function accurate to 1e-8.
        self.edges = torch.linspace(-3.5, 3.5, 2**16 + 1, dtype=torch.float64)
        nodes, widths = panels(self.edges, 4)
        mass = (_log_weight(nodes).exp() * widths).view(-1, 4).sum(1)
        self.log_z = math.log(mass.sum())
        self.cdf = torch.cat((torch.zeros(1, dtype=torch.float64), mass.cumsum(0) / mass.sum()))
        self.peak = float(_log_weight(self.edges).max()) - self.log_z + 1e-6

    @property
    def weights(self) -> Tensor:
        """Probability of the left and of the right well."""
        right = 1 - self.cdf[len(self.cdf) // 2]
        return torch.stack((1 - right, right))

    def assign(self, x: Tensor) -> Tensor:
        """Assign points to the left well, 0, or to the right, 1."""
        return (self._points(x)[:, 0] > 0).long()

    def log_first(self, v: Tensor) -> Tensor:
        """Compute the log density of the wells."""
        return _log_weight(v) - self.log_z

    def second(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean 0 and log variance 0."""
        return torch.zeros_like(v), torch.zeros_like(v)

    def draw_first(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw by inversion of the distribution function."""
        u = torch.rand(n, dtype=torch.float64, generator=generator)
        cell = (torch.bucketize(u, self.cdf, right=True) - 1).clamp(0, len(self.cdf) - 2)
        begin, end = self.cdf[cell], self.cdf[cell + 1]
        share = (u - begin) / (end - begin)
        return self.edges[cell].lerp(self.edges[cell + 1], share)


def _log_weight(v: Tensor) -> Tensor:
    return v / 2 + 6 * v.square() - v.pow(4)
