"""Twenty-five narrow Gaussians on a grid."""

from typing import ClassVar

import torch

from . import datasets
from .mixture import GaussianMixture


@datasets.register("25gaussians")
class TwentyFiveGaussians(GaussianMixture):
    """Twenty-five Gaussians of standard deviation 0.05 at the points of {-4, -2, 0, 2, 4}²."""

    extent = 4.5
    reference_sigma: ClassVar[float] = 0.1

    def __init__(self) -> None:
        side = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
        super().__init__(torch.cartesian_prod(side, side), noise=0.05)
