"""A Gaussian whose width varies by orders of magnitude."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .chain import Chain, log_normal


@datasets.register("funnel")
class Funnel(Chain):
    """Neal's funnel in the plane: x1 ~ N(0, 9), then x2 ~ N(0, exp(x1))."""

    extent = 10.0
    noise = math.exp(-4.5)  # The neck, three standard deviations down.
    reference_sigma: ClassVar[float] = 0.1
    peak = -math.log(3 * math.sqrt(2 * math.pi))

    def log_first(self, v: Tensor) -> Tensor:
        """Compute the log density of N(0, 9)."""
        return log_normal(v, 3.0)

    def second(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean 0 and log variance x1."""
        return v.new_zeros(()), v

    def draw_first(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw from N(0, 9)."""
        return 3 * torch.randn(n, dtype=torch.float64, generator=generator)

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Use even steps in x1 and in log |x2|, from far below the local width to far above it."""
        spread = math.hypot(3, sigma)
        first = torch.arange(-14, 14, step / 2, dtype=torch.float64) * spread
        # Mean of x1 before the noise, and uncertainty of its logarithmic width.
        past, doubt = first * (3 / spread) ** 2, 5 * 3 * sigma / spread
        middle = torch.logaddexp(past, torch.full_like(past, 2 * math.log(max(sigma, 1e-99)))) / 2
        # In log |x2| the density is analytic in a narrower strip: coarser steps would show.
        fine = min(step / 2, 0.2)
        offset = torch.arange(-30 - doubt, 5 + doubt, fine, dtype=torch.float64)
        second = (middle[:, None] + offset).exp().flatten()
        points = torch.stack((first.repeat_interleave(len(offset)), second), 1)
        # The lower half is the mirror of the upper: each point stands for both.
        return points, (step * fine * spread) * second
