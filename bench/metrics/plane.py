"""Expectations under the truth: by quadrature in the plane, elsewhere over a fixed sample.

The density of a blurred curve is slow at single points and fast on a grid, so this file uses grids.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ...datasets.base import Density
from ...datasets.box import box_of
from ...datasets.cache import cached
from ...datasets.curve import BlurredCurve
from ...datasets.quadrature import grid, midpoints, quarters, require_mass
from ...datasets.separable import mix

_PROBE = 20_000
_SEED = 19_991_231
# Nodes in each quarter of a unit for a density with edges: between them the true density is
# constant, but a learned density is not, and it changes most at the edges.
_ORDER = 8
# Points with less mass than this are left out.
_FAINT = 1e-14


class Nodes(NamedTuple):
    """A rule for E f(x) = Σ mass · f(x) over x ~ p_sigma.

    Attributes:
        x: Points, shape (m, d).
        mass: Probability of each point, shape (m,), summing to 1 up to the error of the rule.
        log_prob: Log density at the points.
        score: Score at the points, shape (m, d); empty if the density has none.
    """

    x: Tensor
    mass: Tensor
    log_prob: Tensor
    score: Tensor


@lru_cache(maxsize=12)
def nodes(dataset: Density, sigma: float) -> Nodes:
    """Make points and weights for expectations under p_sigma.

    Outside the plane, 20,000 fixed random points replace the quadrature.

    Raises:
        UsageError: The masses do not sum to 1, or there would be too many points.
    """
    return Nodes(**cached("nodes", dataset, sigma, make=lambda: _nodes(dataset, sigma)._asdict()))


def _nodes(dataset: Density, sigma: float) -> Nodes:
    if dataset.dim != 2:
        generator = torch.Generator().manual_seed(_SEED)
        x = dataset.sample(_PROBE, generator)
        x = x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        mass = torch.full((len(x),), 1 / len(x), dtype=torch.float64)
        return Nodes(x, mass, dataset.log_prob(x, sigma), _score(dataset, x, sigma))
    box = box_of(dataset)
    if isinstance(dataset, BlurredCurve):
        axis, side = midpoints(box.reach, dataset.tau(sigma), unit=box.unit)
        arms = dataset.on_grid(axis, dataset.tau(sigma))
        log_prob = arms[..., 0].logsumexp(0).flatten()
        mass = log_prob.exp() * side**2
        near = mass > _FAINT
        score = mix(arms[..., 0], arms[..., 1:]).flatten(0, 1)
        x = torch.cartesian_prod(axis, axis)[near] + box.centre
        require_mass(dataset, sigma, float(mass[near].sum()))
        return Nodes(x, mass[near], log_prob[near], score[near])
    if math.hypot(dataset.noise, sigma) == 0:
        axis, width = quarters(box.reach, box.unit, _ORDER)
        x = torch.cartesian_prod(axis, axis) + box.centre
        area = torch.cartesian_prod(width, width).prod(1)
        log_prob = dataset.log_prob(x, sigma)
    else:
        rule = grid(dataset, sigma)
        x, area, log_prob = rule.x, rule.area, rule.log_prob
    mass = log_prob.exp() * area
    near = mass > _FAINT
    require_mass(dataset, sigma, float(mass[near].sum()))
    return Nodes(x[near], mass[near], log_prob[near], _score(dataset, x[near], sigma))


def log_prob_on(dataset: Density, axis: Tensor) -> Tensor:
    """Evaluate the log density of the data at axis × axis, (g, g); inexact below -600.

    Both axes are relative to the middle of the box.
    """
    if isinstance(dataset, BlurredCurve):
        return curve_log_prob(dataset, 0.0, axis)
    x = torch.cartesian_prod(axis, axis) + box_of(dataset).centre
    return dataset.log_prob(x).view(len(axis), len(axis))


def curve_log_prob(dataset: BlurredCurve, sigma: float, axis: Tensor) -> Tensor:
    """Evaluate the log density of a blurred curve, as ``log_prob_on``."""
    return dataset.on_grid(axis, dataset.tau(sigma))[..., 0].logsumexp(0)


def _score(dataset: Density, x: Tensor, sigma: float) -> Tensor:
    return dataset.score(x, sigma) if sigma >= dataset.score_from else x[:0]
