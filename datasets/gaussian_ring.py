"""Gaussians on a circle, in any dimension."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from . import datasets
from .errors import UsageError, require_within
from .mixture import GaussianMixture


@datasets.register("gaussian_ring")
class GaussianRing(GaussianMixture):
    """Gaussians evenly on a circle of radius 2√2 in the first two of ``dim`` dimensions.

    The other coordinates are independent of these two and normal, so entropy and Fisher
    information are exact in every dimension.

    Args:
        dim: Dimension, 2 to 100.
        modes: Number of Gaussians, 1 to 100.
        noise: Standard deviation of each, 0.1 to 1.
        weights: Their probabilities up to a factor (default: equal).
    """

    def __init__(
        self,
        *,
        dim: int = 2,
        modes: int = 8,
        noise: float = math.sqrt(1 / 8),
        weights: Sequence[float] | None = None,
    ) -> None:
        require_within("dim", dim, 2, 100)
        require_within("modes", modes, 1, 100)
        require_within("noise", noise, 0.1, 1, whole=False)
        angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        centres = torch.zeros(modes, dim, dtype=torch.float64)
        centres[:, 0], centres[:, 1] = math.sqrt(8) * angle.cos(), math.sqrt(8) * angle.sin()
        try:
            super().__init__(centres, noise, weights)
        except (TypeError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(
                f"weights = {weights!r}: it must be a list of {modes} positive numbers"
            ) from None
        self.extent = max(4.0, 2.9 + 3 * noise)

    def plane(self) -> Tensor:
        """Return the centres in the plane of the circle, shape (modes, 2)."""
        return self.centres[:, :2]

    def information(self, sigma: float) -> tuple[float, float]:
        """Use quadrature in the plane of the circle; the other coordinates are normal."""
        if self.dim == 2:
            return super().information(sigma)
        plane = GaussianMixture(self.plane(), self.noise, self.weights)
        entropy, fisher = plane.information(sigma)
        variance = self.tau(sigma) ** 2
        others = self.dim - 2
        return (
            entropy + others * math.log(2 * math.pi * math.e * variance) / 2,
            fisher + others / variance,
        )


@datasets.register("ladder")
class Ladder(GaussianRing):
    """Four unequal Gaussians (sd 0.5) on a square of side 4, in a plane across all coordinates.

    Rungs differ in their dimension alone: distances of the modes, overlap, and entropy beyond that
    of the noise are equal for every ``dim``. No coordinate is noise alone: the plane is spanned by
    the first two rows of the discrete cosine transform.

    Args:
        dim: Dimension, 2 to 128.
    """

    def __init__(self, *, dim: int = 8) -> None:
        require_within("dim", dim, 2, 128)
        place = (torch.arange(dim, dtype=torch.float64) + 0.5) * (math.pi / dim)
        wave = math.sqrt(2) * place.cos()
        self.axes = torch.stack((torch.ones_like(wave), wave)) / math.sqrt(dim)
        corners = torch.tensor([[2, 2], [-2, 2], [-2, -2], [2, -2]], dtype=torch.float64)
        GaussianMixture.__init__(self, corners @ self.axes, 0.5, (0.4, 0.3, 0.2, 0.1))

    def plane(self) -> Tensor:
        """Return the centres in the plane of the square, shape (4, 2)."""
        return self.centres @ self.axes.T
