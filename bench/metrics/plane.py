"""Expectations under the truth: by quadrature in the plane, elsewhere over a fixed sample.

The density of a blurred curve is slow at single points and fast on a grid, so this file uses grids.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.cache import cached
from ...datasets.curve import BlurredCurve
from ...datasets.quadrature import grid, midpoints, panels
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
def nodes(dataset: Dataset, sigma: float) -> Nodes:
    """Make points and weights for expectations under p_sigma.

    Outside the plane, 20,000 fixed random points replace the quadrature.
    """
    return Nodes(**cached("nodes", dataset, sigma, make=lambda: _nodes(dataset, sigma)._asdict()))


def _nodes(dataset: Dataset, sigma: float) -> Nodes:
    if dataset.dim != 2:
        generator = torch.Generator().manual_seed(_SEED)
        x = dataset.sample(_PROBE, generator)
        x = x + sigma * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        mass = torch.full((len(x),), 1 / len(x), dtype=torch.float64)
        return Nodes(x, mass, dataset.log_prob(x, sigma), _score(dataset, x, sigma))
    if isinstance(dataset, BlurredCurve):
        axis, side = midpoints(dataset.extent, dataset.tau(sigma))
        arms = dataset.on_grid(axis, dataset.tau(sigma))
        log_prob = arms[..., 0].logsumexp(0).flatten()
        mass = log_prob.exp() * side**2
        near = mass > _FAINT
        score = mix(arms[..., 0], arms[..., 1:]).flatten(0, 1)
        return Nodes(
            torch.cartesian_prod(axis, axis)[near], mass[near], log_prob[near], score[near]
        )
    if math.hypot(dataset.noise, sigma) == 0:
        half = math.ceil(dataset.extent)
        edges = torch.linspace(-half, half, 8 * half + 1, dtype=torch.float64)
        axis, width = panels(edges, _ORDER)
        x, area = torch.cartesian_prod(axis, axis), torch.cartesian_prod(width, width).prod(1)
        log_prob = dataset.log_prob(x, sigma)
    else:
        rule = grid(dataset, sigma)
        x, area, log_prob = rule.x, rule.area, rule.log_prob
    mass = log_prob.exp() * area
    near = mass > _FAINT
    return Nodes(x[near], mass[near], log_prob[near], _score(dataset, x[near], sigma))


def log_prob_on(dataset: Dataset, axis: Tensor) -> Tensor:
    """Evaluate the log density of the data at axis × axis, (g, g); inexact below -600."""
    if isinstance(dataset, BlurredCurve):
        return curve_log_prob(dataset, 0.0, axis)
    return dataset.log_prob(torch.cartesian_prod(axis, axis)).view(len(axis), len(axis))


def curve_log_prob(dataset: BlurredCurve, sigma: float, axis: Tensor) -> Tensor:
    """Evaluate the log density of a blurred curve at axis × axis; inexact below -600."""
    return dataset.on_grid(axis, dataset.tau(sigma))[..., 0].logsumexp(0)


def _score(dataset: Dataset, x: Tensor, sigma: float) -> Tensor:
    return dataset.score(x, sigma) if sigma >= dataset.score_from else x[:0]
