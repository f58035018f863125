"""Multiples of a score that is known: what the scale of a loss is tested with."""

import torch
from torch import Tensor

from .model import Model, Slices


class NormalModel(Model):
    """Energies and scores of N(0, spread² I), smoothed, each member's times its own factor.

    It has all that a network has for an objective, so an objective cannot tell it from one.

    Args:
        factors: What the true score is multiplied by, shape (K, 1, 1).
        spread: Standard deviation of the data.
        level: Noise level of the density that is meant.
        conditional: Whether noise levels that are asked for are followed.
    """

    has_energy = True

    def __init__(
        self, factors: Tensor, spread: float, level: float, *, conditional: bool = False
    ) -> None:
        self.factors = factors
        self.spread = spread
        self.level = level
        self.conditional = conditional
        self.dim = 2
        self.members = len(factors)

    def _rate(self, sigma: float | Tensor) -> Tensor:
        """Each member's factor over the variance, (K, 1, 1) or (K, B, 1)."""
        level = sigma if self.conditional else self.level
        return self.factors / (self.spread**2 + torch.as_tensor(level) ** 2)

    def score(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """-x over the variance, times the factors: (K, B, d)."""
        return -x * self._rate(sigma)

    def energy(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Minus the integral of the score, (K, B)."""
        return 0.5 * (x.square() * self._rate(sigma)).sum(-1)

    def energies(self, x: Tensor) -> Tensor:
        """``energy`` under the name that networks have for it."""
        return self.energy(x)

    def along(self, x: Tensor, v: Tensor) -> Slices:
        """v·s and v·∇s·v for directions v of shape (K, M, B, d)."""
        first = (v * self.score(x).unsqueeze(1)).sum(-1)
        return Slices(first, self.score_and_curvature(x, v)[1])

    def score_and_curvature(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The score, and v·∇s·v."""
        return self.score(x), -(v.square() * self._rate(0.0).unsqueeze(1)).sum(-1)
