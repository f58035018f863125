"""Multiples of a known score, to test the scale of a loss."""

import torch
from torch import Tensor

from .model import Model, Slices


class NormalModel(Model):
    """Energies and scores of N(0, spread² I), smoothed to ``level``, at a factor of its precision.

    It has the same interface as a network model, so objectives accept it. ``factors`` has shape
    (K, 1, 1); a ``conditional`` model uses the noise level in each call.
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
        """Compute -x over the variance, times the factors: (K, B, d)."""
        return -x * self._rate(sigma)

    def energy(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Compute minus the log density, (K, B)."""
        rate = self._rate(sigma)
        constant = 0.5 * self.dim * (2 * torch.pi / rate).log().squeeze(-1)
        return 0.5 * (x.square() * rate).sum(-1) + constant

    def energies(self, x: Tensor) -> Tensor:
        """Compute ``energy``, under the name that networks use."""
        return self.energy(x)

    def along(self, x: Tensor, v: Tensor) -> Slices:
        """Compute v·s and v·∇s·v for directions v of shape (K, M, B, d)."""
        first = (v * self.score(x).unsqueeze(1)).sum(-1)
        return Slices(first, self.score_and_curvature(x, v)[1])

    def score_and_curvature(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the score, and v·∇s·v."""
        return self.score(x), -(v.square() * self._rate(0.0).unsqueeze(1)).sum(-1)
