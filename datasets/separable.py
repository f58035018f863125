"""Densities of curves on a whole grid at once, thousands of times faster than point by point.

The density of a blurred curve is Σ_k w_k f(x1 - c_k1) f(x2 - c_k2): on a grid it is one matrix
product, and so is each of its derivatives.
"""

from functools import partial

import torch
from torch import Tensor

from .kernel import bump

# Densities below this are treated as 0, so that all numbers stay far from float64 underflow.
_TINY = 1e-290


def log_derivatives(
    centres: Tensor, weights: Tensor, axis: Tensor, width: float, tau: float, *, full: bool
) -> Tensor:
    """Compute L = log density of each arm, L1, L2 (L11, L12, L22, L112, L122) on axis × axis.

    Args:
        centres: c of each arm, shape (arms, k, 2).
        weights: w of each arm, shape (arms, k).
        axis: Coordinates of the grid, shape (g,).
        width: Width of the box part of f.
        tau: Standard deviation of its Gaussian part.
        full: Whether to compute second and third derivatives.

    Returns:
        Shape (arms, g, g, 8, or 3 unless ``full``). Where an arm is so far away that its density
        underflows, L is very low and the rest is 0: another arm dominates there.
    """
    arms = []
    for centre, weight in zip(centres, weights, strict=True):
        a = [f * weight for f in _flushed(bump(axis[:, None] - centre[:, 0], width, tau))]
        b = _flushed(bump(axis[:, None] - centre[:, 1], width, tau))
        density = a[0] @ b[0].T
        present = density > _TINY
        m = partial(_moment, a, b, density, present)
        m1, m2 = m(1, 0), m(0, 1)
        parts = [density.log().where(present, -1e3), m1, m2]
        if full:
            m11, m12, m22 = m(2, 0), m(1, 1), m(0, 2)
            parts += [
                m11 - m1 * m1,
                m12 - m1 * m2,
                m22 - m2 * m2,
                m(2, 1) - 2 * m12 * m1 - m11 * m2 + 2 * m1 * m1 * m2,
                m(1, 2) - 2 * m12 * m2 - m22 * m1 + 2 * m2 * m2 * m1,
            ]
        arms.append(torch.stack(parts, -1))
    return torch.stack(arms)


def mix(log_density: Tensor, gradient: Tensor) -> Tensor:
    """Mix the scores (arms, …, 2) of arms, weighted by their log densities (arms, …)."""
    # torch.softmax over the first axis rounds differently in batches of different sizes.
    share = (log_density - log_density.amax(0)).exp()
    total = torch.zeros_like(share[0])
    mixed = torch.zeros_like(gradient[0])
    for part, slope in zip(share, gradient, strict=True):
        total += part
        mixed += part[..., None] * slope
    return mixed / total[..., None]


def _moment(
    a: list[Tensor], b: list[Tensor], density: Tensor, present: Tensor, i: int, j: int
) -> Tensor:
    """Derivative of the density, i times along the first axis and j along the second, over it."""
    return ((a[i] @ b[j].T) / density).where(present, 0.0)


def _flushed(parts: tuple[Tensor, ...]) -> list[Tensor]:
    """Numbers so small that arithmetic on them would be slow are set to 0."""
    return [part.where(part.abs() > _TINY, 0.0) for part in parts]
