"""Densities of curves on a whole grid at once, which is thousands of times quicker than pointwise.

The density of a blurred curve is Σ_k w_k f(x1 - c_k1) f(x2 - c_k2): on a grid it is one matrix
product, and so is each of its derivatives.
"""

from functools import partial

import torch
from torch import Tensor

from .kernel import bump

# Densities below this are taken for 0, so that every number used is far from where float64
# underflows.
_TINY = 1e-290


def log_derivatives(
    centres: Tensor, weights: Tensor, axis: Tensor, width: float, tau: float, *, full: bool
) -> Tensor:
    """L = log of each arm's density, L1, L2 (and L11, L12, L22, L112, L122) on axis × axis.

    Args:
        centres: c of each arm, shape (arms, k, 2).
        weights: w of each arm, shape (arms, k).
        axis: Coordinates of the grid, shape (g,).
        width: Width of the box part of f.
        tau: Standard deviation of its Gaussian part.
        full: Whether second and third derivatives are wanted.

    Returns:
        Shape (arms, g, g, 8, or 3 unless ``full``). Where an arm is so far away that its density
        underflows, L is very low and the rest is 0: another arm rules there.
    """
    arms = []
    for centre, weight in zip(centres, weights, strict=True):
        a = [f * weight for f in _normal(bump(axis[:, None] - centre[:, 0], width, tau))]
        b = _normal(bump(axis[:, None] - centre[:, 1], width, tau))
        density = a[0] @ b[0].T
        there = density > _TINY
        m = partial(_moment, a, b, density, there)
        m1, m2 = m(1, 0), m(0, 1)
        found = [density.log().where(there, -1e3), m1, m2]
        if full:
            m11, m12, m22 = m(2, 0), m(1, 1), m(0, 2)
            found += [
                m11 - m1 * m1,
                m12 - m1 * m2,
                m22 - m2 * m2,
                m(2, 1) - 2 * m12 * m1 - m11 * m2 + 2 * m1 * m1 * m2,
                m(1, 2) - 2 * m12 * m2 - m22 * m1 + 2 * m2 * m2 * m1,
            ]
        arms.append(torch.stack(found, -1))
    return torch.stack(arms)


def mix(log_density: Tensor, gradient: Tensor) -> Tensor:
    """Score of a sum of arms from each arm's log density (arms, …) and score (arms, …, 2)."""
    # torch.softmax over the first axis rounds differently in batches of different sizes.
    share = (log_density - log_density.amax(0)).exp()
    total = torch.zeros_like(share[0])
    mixed = torch.zeros_like(gradient[0])
    for part, slope in zip(share, gradient, strict=True):
        total += part
        mixed += part[..., None] * slope
    return mixed / total[..., None]


def _moment(
    a: list[Tensor], b: list[Tensor], density: Tensor, there: Tensor, i: int, j: int
) -> Tensor:
    """Derivative of the density, i times along the first axis and j along the second, over it."""
    return ((a[i] @ b[j].T) / density).where(there, 0.0)


def _normal(parts: tuple[Tensor, ...]) -> list[Tensor]:
    """Numbers so small that arithmetic on them is slow are of no account: they become 0."""
    return [part.where(part.abs() > _TINY, 0.0) for part in parts]
