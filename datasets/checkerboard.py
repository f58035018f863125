"""Uniform squares: a density with edges, which has a score only once it is smoothed."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets
from .mixture import Mixture
from .quadrature import panels

# Below this sigma an even grid that resolves the edges needs more points than one clustered there.
_SHARP = 0.09


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

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Use panels around the five edges of each axis where these are sharp."""
        if not 0 < sigma < _SHARP:
            return super().mesh(sigma, step)
        round_edge = 1.5 * sigma * torch.arange(-6, 7, dtype=torch.float64)
        edges = torch.arange(-4, 5, 2, dtype=torch.float64)[:, None] + round_edge
        node, weight = panels(edges.flatten(), math.ceil(3 / step))
        points = torch.cartesian_prod(node, node)
        return points, torch.cartesian_prod(weight, weight).prod(1)
