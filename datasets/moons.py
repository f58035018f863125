"""Two interlocking half circles."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .curve import BlurredCurve


@datasets.register("moons")
class Moons(BlurredCurve):
    """Two interlocking half circles of radius 2, uniform in angle, blurred by noise 0.2."""

    length: ClassVar[float] = 2 * math.pi

    def __init__(self) -> None:
        super().__init__(noise=0.2)

    def curve(self, u: Tensor) -> Tensor:
        """Compute the upper moon around (-1, -0.2) and the lower moon around (1, 0.8)."""
        cos, sin = 2 * (math.pi * u).cos(), 2 * (math.pi * u).sin()
        upper = torch.stack((cos - 1, sin - 0.2), -1)
        return torch.stack((upper, torch.stack((1 - cos, 0.8 - sin), -1)))
