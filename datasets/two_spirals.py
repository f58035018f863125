"""Two spiral arms wound into each other."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .curve import BlurredCurve


@datasets.register("2spirals")
class TwoSpirals(BlurredCurve):
    """Two interleaved spiral arms of one and a half turns, blurred by a box and a Gaussian."""

    length: ClassVar[float] = 1.5 * math.pi**2

    def __init__(self) -> None:
        super().__init__(noise=0.1, width=1 / 6)

    def curve(self, u: Tensor) -> Tensor:
        """Compute an arm and its mirror: radius n/3 at angle π - n, n = 3π√u, shifted by (1, 1)/12.

        The box of the original recipe spans [0, 1/6]²; its centre is the shift.
        """
        n = 3 * math.pi * u.sqrt()
        arm = torch.stack((-n * n.cos(), n * n.sin()), -1) / 3 + 1 / 12
        return torch.stack((arm, -arm))
