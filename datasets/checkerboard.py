"""Uniform squares: a density with edges, which has a score only once it is smoothed."""

from typing import ClassVar

import torch

from . import datasets
from .mixture import Mixture


@datasets.register("checkerboard")
class Checkerboard(Mixture):
    """Uniform on the eight dark squares of side 2 in [-4, 4]²; a score only for sigma > 0."""

    score_from: ClassVar[float] = 1e-3
    reference_sigma: ClassVar[float] = 0.1

    def __init__(self) -> None:
        side = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64)
        squares = torch.cartesian_prod(side, side)
        dark = (squares.sum(1) / 2).remainder(2) == 1
        super().__init__(squares[dark], width=2.0)
