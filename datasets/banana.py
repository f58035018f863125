"""A Gaussian bent along a parabola."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .chain import Chain, log_normal


@datasets.register("banana")
class Banana(Chain):
    """A bent Gaussian: x1 ~ N(0, 4), then x2 ~ N(0.15 (4 - x1²), 0.04)."""

    extent = 6.0
    noise = 0.2
    peak = -math.log(2 * math.sqrt(2 * math.pi))
    narrowest: ClassVar[float] = math.log(0.04)

    def log_first(self, v: Tensor) -> Tensor:
        """Compute the log density of N(0, 4)."""
        return log_normal(v, 2.0)

    def second(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return a parabola of mean 0, and a constant log variance."""
        return 0.15 * (4 - v.square()), v.new_tensor(self.narrowest)

    def draw_first(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw from N(0, 4)."""
        return 2 * torch.randn(n, dtype=torch.float64, generator=generator)

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Use even steps in x1 and in the distance from the parabola over the local width."""
        spread = math.hypot(2, sigma)
        first = torch.arange(-7.5, 7.5, step / 4, dtype=torch.float64) * spread
        # Mean and standard deviation of x1 before the noise.
        past, doubt = first * (2 / spread) ** 2, 2 * sigma / spread
        tilt = 0.3 * doubt * past
        width = (0.04 + sigma**2 + tilt.square()).sqrt()
        offset = torch.arange(-9, 9, step, dtype=torch.float64)
        second = self.second(past)[0][:, None] + width[:, None] * offset
        points = torch.stack((first.repeat_interleave(len(offset)), second.flatten()), 1)
        return points, (spread * step**2 / 4) * width.repeat_interleave(len(offset))
