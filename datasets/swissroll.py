"""One spiral arm, denser inside."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .curve import BlurredCurve


@datasets.register("swissroll")
class SwissRoll(BlurredCurve):
    """A spiral of one and a half turns, uniform in angle, blurred by noise 0.2."""

    # |c'(u)| at the outer end, where it is largest.
    length: ClassVar[float] = 0.6 * math.pi * math.hypot(1, 4.5 * math.pi)

    def __init__(self) -> None:
        super().__init__(noise=0.2)

    def curve(self, u: Tensor) -> Tensor:
        """Compute radius t/5 at the angle t = 1.5π(1 + 2u)."""
        t = 1.5 * math.pi * (1 + 2 * u)
        return torch.stack((t * t.cos(), t * t.sin()), -1)[None] / 5
