"""Curves drawn with a blurred pen: a point uniformly along, then a small box, then a Gaussian."""

import math
from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import DensityAndScore
from .box import box_of
from .kernel import log_bump
from .mixture import GaussianMixture, Mixture, nearest
from .quadrature import midpoints, require_mass
from .separable import log_derivatives, mix

# Compared with rules three times as dense, log p is accurate to 1e-10 within [-6, 6]², and the
# score at distance 20 to 1e-10 of its size, for every sigma.
_ORDER = 24
# With this order both are accurate to 1e-7 where there is no box.
_QUICK_ORDER = 16
_PANELS_PER_LENGTH = 0.2
_TIP = 4

# Nodes that contribute less than exp(-50) of the nearest one's share are left out of ``nearby``.
_NEGLIGIBLE = 50.0
_ROWS = 1024


class BlurredCurve(Mixture):
    """Equally likely arms, each a curve c(u), u ~ U[0, 1], moved by a box and a Gaussian.

    The density is a Mixture whose centres are the nodes of a composite Gauss–Legendre rule along
    the curve. The rule integrates over √u with panels that are equally likely, so that curves
    with a square root in u (equal probability per length of a spiral) are integrated as well as
    smooth ones.

    Attributes:
        length: Length of the longest arm, or the largest |c'(u)| where u is not proportional to
            arc length; with the noise it determines the number of nodes.
    """

    length: ClassVar[float]

    def __init__(self, *, noise: float, width: float = 0.0) -> None:
        u = torch.linspace(0, 1, 512, dtype=torch.float64)
        arms = self.curve(u)
        super().__init__(arms.flatten(0, 1), noise=noise, width=width)
        self.arms = len(arms)

    @abstractmethod
    def curve(self, u: Tensor) -> Tensor:
        """Compute points of every arm at ``u`` of shape (n,): shape (arms, n, 2)."""

    @property
    def weights(self) -> Tensor:
        """Probability of each arm, shape (arms,)."""
        return torch.full((self.arms,), 1 / self.arms, dtype=torch.float64)

    def nodes(self, tau: float, order: int = _ORDER) -> tuple[Tensor, Tensor]:
        """Return quadrature nodes of all arms, one arm after another, and their weights."""
        panels = max(4, math.ceil(self.length / tau * _PANELS_PER_LENGTH))
        u, weights = _rule(panels, order)
        return self.curve(u).flatten(0, 1), weights.repeat(self.arms) / self.arms

    def quick(self, sigma: float) -> DensityAndScore:
        """Sum over fewer nodes, unless the bumps have a box."""
        if self.width:
            return super().quick(sigma)
        centres, weights = self.nodes(self.tau(sigma), _QUICK_ORDER)
        return GaussianMixture(centres, self.noise, weights).quick(sigma)

    def on_grid(self, axis: Tensor, tau: float, *, full: bool = False) -> Tensor:
        """Compute ``log_derivatives`` of each arm, smoothed to ``tau``, on axis × axis.

        Both axes are relative to the middle of the box.
        """
        nodes, weights = self.nodes(tau)
        centres = (nodes - box_of(self).centre).view(self.arms, -1, 2)
        weights = weights.view(self.arms, -1)
        return log_derivatives(centres, weights, axis, self.width, tau, full=full)

    def nearby(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute log density (n,) and score (n, 2) from the nodes that are near each point.

        Equal to ``log_density`` and ``gradient`` up to rounding, and many times faster: a node
        counts for the points within a few standard deviations only.
        """
        tau = self.tau(sigma)
        centres, weights = self.nodes(tau)
        log_weights = weights.log()
        parts = [self._nearby(part, tau, centres, log_weights) for part in x.split(_ROWS)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _nearby(
        self, x: Tensor, tau: float, centres: Tensor, log_weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        gap = (x[:, :, None] - centres.T).abs_().sub_(self.width / 2).clamp_(min=0)
        square = gap.square_().sum(1)
        limit = square.amin(1, keepdim=True) + 2 * tau**2 * _NEGLIGIBLE
        point, node = (square <= limit).nonzero().unbind(1)
        value, slope = log_bump(x[point] - centres[node], self.width, tau)
        logits = log_weights[node] + value.sum(-1)
        highest = torch.full_like(x[:, 0], -math.inf).scatter_reduce_(0, point, logits, "amax")
        share = (logits - highest[point]).exp()
        total = torch.zeros_like(highest).index_add_(0, point, share)
        score = torch.zeros_like(x).index_add_(0, point, share[:, None] * slope)
        return highest + total.log(), score / total[:, None]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw a position along the curve, an arm, then the box and the Gaussian."""
        u = torch.rand(n, dtype=torch.float64, generator=generator)
        arm = torch.randint(self.arms, (n,), generator=generator)
        return self.scatter(self.curve(u)[arm, torch.arange(n)], generator)

    def information(self, sigma: float) -> tuple[float, float]:
        """Integrate on a grid, where curves are thousands of times faster than point by point."""
        tau = self.tau(sigma)
        box = box_of(self)
        axis, step = midpoints(box.reach, tau, unit=box.unit)
        arms = self.on_grid(axis, tau)
        log_prob = arms[..., 0].logsumexp(0)
        score = mix(arms[..., 0], arms[..., 1:])
        p = log_prob.exp() * step**2
        require_mass(self, sigma, float(p.sum()))
        return -float((p * log_prob).sum()), float((p * score.square().sum(-1)).sum())

    def assign(self, x: Tensor) -> Tensor:
        """Assign each point to the arm with the nearest curve."""
        return nearest(self._points(x), self.centres) // (len(self.centres) // self.arms)


@lru_cache(maxsize=64)
def _rule(panels: int, order: int) -> tuple[Tensor, Tensor]:
    """Nodes u in [0, 1] and weights of the composite rule, each of shape (panels * order,)."""
    node, weight = np.polynomial.legendre.leggauss(order)
    # At points beyond the end of an arm the integrand decays from the tip like exp(-D s/tau²).
    tip = 1 - 0.25 ** np.arange(1, _TIP + 1) / panels
    edge = np.sqrt([*np.linspace(0, 1, panels + 1)[:-1], *tip, 1.0])[:, None]
    low, half = edge[:-1], np.diff(edge, axis=0) / 2
    root = (low + half * (node + 1)).ravel()
    # du = 2 √u d√u
    return torch.from_numpy(root**2), torch.from_numpy((half * weight).ravel() * 2 * root)
