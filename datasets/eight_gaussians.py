"""Eight Gaussians on a circle."""

import math

import torch

from . import datasets
from .mixture import GaussianMixture


@datasets.register("8gaussians")
class EightGaussians(GaussianMixture):
    """Eight Gaussians (variance 1/8) evenly on a circle of radius 2√2."""

    def __init__(self) -> None:
        angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
        circle = torch.stack((angle.cos(), angle.sin()), -1)
        super().__init__(math.sqrt(8) * circle, noise=math.sqrt(1 / 8))
