"""The same problem in any dimension."""

import math

import torch
from torch import Tensor

from . import datasets
from .errors import UsageError
from .gaussian_ring import GaussianRing
from .mixture import GaussianMixture

WEIGHTS = (0.4, 0.3, 0.2, 0.1)
"""Probabilities of the four Gaussians."""


@datasets.register("ladder")
class Ladder(GaussianRing):
    """Four unequal Gaussians (sd 0.5) on a square of side 4, in a plane across all coordinates.

    Rungs differ in their dimension alone: distances of the modes, overlap, and entropy beyond that
    of the noise are equal for every ``dim``. In contrast to ``gaussian_ring``, no coordinate is
    noise alone: each has a share of 2/dim of the signal. The plane is spanned by the first two
    rows of the discrete cosine transform.

    Args:
        dim: Dimension, 2 to 128.
    """

    def __init__(self, *, dim: int = 8) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or not 2 <= dim <= 128:
            raise UsageError(f"dim = {dim!r}: it must be an integer from 2 to 128")
        place = (torch.arange(dim, dtype=torch.float64) + 0.5) * (math.pi / dim)
        self.axes = torch.stack((torch.full_like(place, math.sqrt(1 / dim)), place.cos()))
        self.axes[1] *= math.sqrt(2 / dim)
        corners = torch.tensor([[2, 2], [-2, 2], [-2, -2], [2, -2]], dtype=torch.float64)
        GaussianMixture.__init__(self, corners @ self.axes, 0.5, WEIGHTS)
        self.extent = 4.0

    def plane(self) -> Tensor:
        """Return the centres in the plane of the square, shape (4, 2)."""
        return self.centres @ self.axes.T
