"""Two far Gaussians of unequal weight."""

import torch

from . import datasets
from .mixture import GaussianMixture


@datasets.register("two_modes")
class TwoModes(GaussianMixture):
    """Two unit Gaussians far apart: 0.8 of the mass at (5, 5), 0.2 at (-5, -5)."""

    extent = 8.0

    def __init__(self) -> None:
        super().__init__(torch.tensor([[5.0, 5.0], [-5.0, -5.0]]), 1.0, weights=(0.8, 0.2))
