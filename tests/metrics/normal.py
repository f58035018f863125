"""A normal distribution in any dimension: metrics of it have closed forms."""

import math

import torch
from scorebench.datasets.base import Dataset
from torch import Tensor


class Normal(Dataset):
    """N(mean, scale² I) in ``dim`` dimensions."""

    def __init__(self, dim: int = 2, scale: float = 1.0, mean: float = 0.0) -> None:
        self.dim = dim
        self.scale = scale
        self.mean = mean

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(n, self.dim, generator=generator, dtype=torch.float64)
        return self.mean + self.scale * z

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        v = self.scale**2 + sigma**2
        return -(x - self.mean).square().sum(1) / (2 * v) - self.dim / 2 * math.log(2 * math.pi * v)

    @property
    def weights(self) -> Tensor:
        return torch.ones(1, dtype=torch.float64)

    def assign(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=torch.int64)


SAMPLES = ("mmd", "sw1", "sw2", "energy_distance", "mode_error", "missed_mass", "junk_mass", "c2st",
           "ksd")  # fmt: skip
"""Metrics of samples that are defined for a normal distribution in any dimension."""
