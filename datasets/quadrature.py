"""Integrals over densities: entropies, Fisher informations, probabilities of cells."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .box import Located, box_of
from .errors import UsageError

_FINE = 0.3
_SEED = 20_050_404
_BLOCK = 2**14
_MOST_BLOCKS = 256
_PRECISION = 1e-3
# Cells along an axis: 36 million points take 2 GB.
_MOST_CELLS = 6000
# Largest error of the mass of a rule whose numbers are used.
_LOST = 1e-3


class Integrable(Located, Protocol):
    """The part of a ``Dataset`` that this file integrates."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Independent points, shape (n, dim)."""

    def log_prob(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Log density, (n, dim) -> (n,)."""

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Score, (n, dim) -> (n, dim)."""

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Points and areas of a quadrature rule, (m, 2) and (m,)."""


@dataclass(frozen=True)
class DensityGrid:
    """A density p_sigma of the plane at the points of a quadrature rule.

    For a smooth density that vanishes at the border the midpoint rule converges faster than any
    power: with steps of 0.8 standard deviations of the blur the mass is accurate to 1e-13.
    Integrals of the logarithm or of the squared score, which are less smooth, need 0.3.

    Attributes:
        x: Points of the rule, shape (m, 2).
        area: Area that each point represents, shape (m,).
    """

    dataset: Integrable
    sigma: float
    x: Tensor
    area: Tensor

    @cached_property
    def log_prob(self) -> Tensor:
        """Log density at the points."""
        return self.dataset.log_prob(self.x, self.sigma)

    @property
    def mass(self) -> float:
        """Integral of the density: 1 up to the error of the rule."""
        return self.mean(torch.ones_like(self.log_prob))

    @property
    def entropy(self) -> float:
        """-E log p_sigma, in nats."""
        return -self.mean(self.log_prob)

    @property
    def fisher(self) -> float:
        """E|score|², the Fisher information of p_sigma about its location."""
        return self.mean(self.dataset.score(self.x, self.sigma).square().sum(1))

    def kl_to(self, sigma: float) -> float:
        """Compute the KL divergence from this density to the same data at another noise level."""
        return self.mean(self.log_prob - self.dataset.log_prob(self.x, sigma))

    def mean(self, values: Tensor) -> float:
        """Compute the expectation of a function from its values at the points."""
        p = self.log_prob.exp()
        return float((values.where(p > 0, 0.0) * p * self.area).sum())


def grid(dataset: Integrable, sigma: float, step: float = _FINE) -> DensityGrid:
    """Evaluate p_sigma in the plane on the dataset's own quadrature rule (default: midpoints).

    ``step`` is the side of a cell in standard deviations of the blur.
    """
    return DensityGrid(dataset, sigma, *dataset.mesh(sigma, step))


def require_mass(dataset: Integrable, sigma: float, mass: float, lost: float = _LOST) -> None:
    """Check that a rule integrates a density to 1: elsewhere its numbers would be wrong.

    Raises:
        UsageError: ``mass`` differs from 1 by more than ``lost``.
    """
    if not abs(mass - 1) <= lost:
        centre = ", ".join(f"{place:g}" for place in box_of(dataset).centre.tolist())
        raise UsageError(
            f"the density of {type(dataset).__name__} at sigma = {sigma:g} has the mass {mass:.6g} "
            f"instead of 1 on a grid around ({centre}) of half side {dataset.extent:g} or more: "
            "correct `log_density`; or state `noise`, the length below which it is smooth, and "
            "`extent`; or override `mesh`"
        )


def midpoints(
    extent: float, tau: float, step: float = _FINE, *, unit: float = 1.0
) -> tuple[Tensor, float]:
    """Compute midpoints along one axis of square cells that cover all but 1e-11 of a density.

    Args:
        extent: Half the side of the box that holds the density before it is blurred; edges of the
            density must lie on multiples of ``unit``/4.
        tau: Standard deviation of the blur.
        step: Side of a cell in units of ``tau``; the side is ``unit``/4 if ``tau`` is 0.
        unit: Half the side covered is a multiple of it.

    Returns:
        Shape (cells,), relative to the middle of the box, and the side of a cell.

    Raises:
        UsageError: There are more than 6000 cells.
    """
    whole = math.ceil((extent + 7 * tau) / unit)
    half_side = unit * whole
    cells = math.ceil(2 * half_side / (step * tau)) if tau else 8 * whole
    _require_affordable(cells, half_side)
    width = 2 * half_side / cells
    return (torch.arange(cells, dtype=torch.float64) + 0.5) * width - half_side, width


def quarters(extent: float, unit: float, order: int) -> tuple[Tensor, Tensor]:
    """Make a Gauss–Legendre rule for a density with edges on multiples of ``unit``/4.

    Returns:
        Nodes along one axis, relative to the middle of the box, and their weights: see ``panels``.

    Raises:
        UsageError: It has more than 6000 nodes.
    """
    whole = math.ceil(extent / unit)
    _require_affordable(8 * whole * order, unit * whole)
    ends = torch.linspace(-whole * unit, whole * unit, 8 * whole + 1, dtype=torch.float64)
    return panels(ends, order)


def _require_affordable(nodes: int, half_side: float) -> None:
    if nodes > _MOST_CELLS:
        raise UsageError(
            f"quadrature needs {nodes:.3g} nodes along either axis of ±{half_side:g}, and at most "
            f"{_MOST_CELLS} are affordable: state a larger `noise` (the length below which the "
            "density is smooth) or a smaller `extent`, or override `mesh`"
        )


def panels(edges: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Make a composite Gauss–Legendre rule: nodes and weights, both of shape (panels * order,).

    ``edges`` are the ends of the panels, ascending, (panels + 1,); each has ``order`` nodes.
    """
    node, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(order))
    half = edges.diff()[:, None] / 2
    return (edges[:-1, None] + half * (node + 1)).flatten(), (half * weight).flatten()


def monte_carlo(dataset: Integrable, sigma: float) -> tuple[float, float]:
    """Estimate entropy and Fisher information in any dimension, from fixed random points.

    Points are drawn until both standard errors are at most 1e-3 (1 + |value|).

    Raises:
        UsageError: Four million points are not enough.
    """
    generator = torch.Generator().manual_seed(_SEED)
    total, squares = (torch.zeros(2, dtype=torch.float64) for _ in range(2))
    for count in range(_BLOCK, (_MOST_BLOCKS + 1) * _BLOCK, _BLOCK):
        x = dataset.sample(_BLOCK, generator)
        x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        parts = (-dataset.log_prob(x, sigma), dataset.score(x, sigma).square().sum(1))
        values = torch.stack(parts)
        total, squares = total + values.sum(1), squares + values.square().sum(1)
        mean = total / count
        error = ((squares / count - mean.square()).clamp(min=0) / count).sqrt()
        if bool((error <= _PRECISION * (1 + mean.abs())).all()):
            return float(mean[0]), float(mean[1])
    raise UsageError(
        f"entropy and Fisher information of {type(dataset).__name__} at sigma = {sigma:g} still "
        f"have standard errors {error.tolist()} after {count} random points: override `information`"
    )


def cell_masses(dataset: Integrable, sigma: float, side: float = 0.25) -> tuple[Tensor, Tensor]:
    """Integrate a density over square cells, by a Gauss–Legendre rule in each.

    ``side`` is that of a cell, in the unit of the dataset's box.

    Returns:
        The edges of the cells along either axis, relative to the middle of the box, shape
        (cells + 1,), and the probabilities, shape (cells, cells).
    """
    box = box_of(dataset)
    whole = math.ceil((box.extent + 3 * sigma) / box.unit)
    cells, half, side = round(2 * whole / side), box.unit * whole, box.unit * side
    edges = torch.linspace(-half, half, cells + 1, dtype=torch.float64)
    tau = math.hypot(dataset.noise, sigma)
    # A chi² test of 200,000 points reveals errors of a thousandth.
    order = max(3, math.ceil(side / tau) + 1) if tau else 1
    node, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(order))
    axis = (edges[:-1, None] + side * (node + 1) / 2).flatten()
    p = dataset.log_prob(torch.cartesian_prod(axis, axis) + box.centre, sigma).exp()
    per_cell = p.view(cells, order, cells, order) * weight[:, None, None] * weight
    return edges, per_cell.sum((1, 3)) * (side / 2) ** 2
