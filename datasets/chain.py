"""Densities of the plane made by a chain: a first coordinate, then a Gaussian that depends on it.

Smoothed, such a density is an integral over the first coordinate v before the noise,
p_sigma(x) = ∫ p(v) N(x1 - v; 0, sigma²) N(x2; mean(v), variance(v) + sigma²) dv. Every point has
its own quadrature rule, which is accurate far out and at every sigma.
"""

import math
from abc import abstractmethod
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from .base import Density, DensityAndScore

_LOG_2PI = math.log(2 * math.pi)
# An integrand more than this many nats below its peak is treated as 0.
_DEPTH = 45.0
_SCAN = 32
_SCANS = 12
_RESOLVED = 10
_NODES, _QUICK_NODES = 128, 96
# Where the noise is a small part of the box, the integrand is nearly normal and needs fewer.
_SMALL, _FEW_NODES = 1 / 50, 48
# Largest log variance whose variance is finite.
_MOST = 700.0
_ROWS = 256


class Chain(Density):
    """x1 from any density on the line, then x2 ~ N(mean(x1), variance(x1)).

    With v = x1 + sigma·t the integral is ∫ φ(t) p(v) N(x2; …) dt, φ the normal
    density: at sigma = 0 it is p itself, and for small sigma no digits are lost. The
    midpoint rule covers the interval where the integrand is within e^-45 of its peak; scans
    find it, beginning with an interval that certainly contains it. Compared with a rule of a
    hundred times as many nodes, log p is accurate to 1e-11 wherever p is above e^-100 of its
    peak. Limitation: two narrow peaks far apart are not resolved.

    Attributes:
        peak: Upper bound of ``log_first``.
        narrowest: Lower bound of the log variance of x2 given x1; may be -inf.
    """

    peak: float
    narrowest: ClassVar[float] = -math.inf

    @abstractmethod
    def log_first(self, v: Tensor) -> Tensor:
        """Compute the log density of x1 at ``v``, elementwise."""

    @abstractmethod
    def second(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean and log variance of x2 given x1 = ``v``: of its shape, or one for all."""

    @abstractmethod
    def draw_first(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` independent values of x1, shape (n,)."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw x1, then x2."""
        v = self.draw_first(n, generator)
        mean, log_variance = self.second(v)
        normal = torch.randn(n, dtype=torch.float64, generator=generator)
        return torch.stack((v, mean + (log_variance / 2).exp() * normal), 1)

    @property
    def weights(self) -> Tensor:
        """Probability of each mode; one mode unless overridden."""
        return torch.ones(1, dtype=torch.float64)

    def assign(self, x: Tensor) -> Tensor:
        """Assign every point to mode 0."""
        return torch.zeros(len(self._points(x)), dtype=torch.int64)

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Compute the joint density, or its integral over v."""
        return torch.cat([self._log_density(part, sigma) for part in x.split(_ROWS)])

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Compute the score by autograd."""
        return self.density_and_score(x, sigma)[1]

    def density_and_score(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute both by autograd, in blocks that fit into caches."""
        return _in_blocks(x, lambda part: self._by_autograd(part, sigma))

    def _by_autograd(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            log_density = self._log_density(x, sigma)
            (slope,) = torch.autograd.grad(log_density.sum(), x)
        return log_density.detach(), slope

    def quick(self, sigma: float) -> DensityAndScore:
        """Return a function that takes the score from the same integral, as a mean over it."""
        if sigma == 0:
            return super().quick(sigma)
        return partial(_in_blocks, compute=lambda part: self._by_means(part, sigma))

    def _by_means(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The slopes of the two normal densities are -t/sigma and ``pull``."""
        first, second = x.T.contiguous().unbind()
        nodes = _QUICK_NODES if sigma > _SMALL * self.extent else _FEW_NODES
        t, step = self._rule(first, second, sigma, nodes)
        value, pull = self._joint(first[:, None] + sigma * t, second[:, None], sigma)
        value.addcmul_(t, t, value=-0.5)
        highest = value.amax(1, keepdim=True)
        share = value.sub_(highest).exp_()
        total = share.sum(1)
        score = torch.stack(((share * t).sum(1) / sigma, (share * pull).sum(1)), 1)
        log_density = highest[:, 0] + total.log() + step.log() - _LOG_2PI / 2
        return log_density, score / total[:, None]

    def _log_density(self, x: Tensor, sigma: float) -> Tensor:
        # Columns of x are strided, and elementwise functions round differently there.
        first, second = x.T.contiguous().unbind()
        if sigma == 0:
            return self._joint(first, second, sigma)[0]
        with torch.no_grad():
            t, step = self._rule(first, second, sigma)
        value, _ = self._joint(first[:, None] + sigma * t, second[:, None], sigma)
        return torch.logsumexp(value - t.square() / 2, 1) + step.log() - _LOG_2PI / 2

    def _rule(
        self, first: Tensor, second: Tensor, sigma: float, nodes: int = _NODES
    ) -> tuple[Tensor, Tensor]:
        """The nodes of the integral over t, (n, nodes), and their step, (n,)."""
        low, length = self._interval(first, second, sigma)
        step = length / nodes
        return low[:, None] + step[:, None] * (torch.arange(nodes) + 0.5), step

    def _interval(self, first: Tensor, second: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The lower end of the integral over t and its length, each of shape (n,)."""
        ceiling = self.peak - (_LOG_2PI + max(self.narrowest, 2 * math.log(sigma))) / 2
        # Beyond this reach even the upper bound is below e^-45 of the integrand at t = 0.
        reach = (2 * (ceiling - self._joint(first, second, sigma)[0] + _DEPTH)).sqrt()
        low, step = -reach, 2 * reach / (_SCAN - 1)
        place = torch.arange(_SCAN, dtype=torch.float64)
        coarse = torch.ones_like(first, dtype=torch.bool)
        for _ in range(_SCANS):
            t = low[:, None] + step[:, None] * place
            value, _ = self._joint(first[:, None] + sigma * t, second[:, None], sigma)
            value = value - t.square() / 2
            # Not >: far out, 45 nats vanish in rounding, and the peak itself must still count.
            near = value >= value.amax(1, keepdim=True) - _DEPTH
            begin = place.where(near, math.inf).amin(1) - 1
            span = place.where(near, -math.inf).amax(1) + 1 - begin
            # A point whose interval is resolved keeps it while others are refined.
            low = torch.where(coarse, low + step * begin, low)
            step = torch.where(coarse, step * (span / (_SCAN - 1)), step)
            coarse &= (span > 0) & (span < _RESOLVED)
            if not coarse.any():
                break
        return low, step * (_SCAN - 1)

    def _joint(self, v: Tensor, second: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Log p(v) + log N(second; mean(v), variance(v) + sigma²), and its slope in ``second``."""
        mean, log_variance = self.second(v)
        gap = mean - second
        if sigma:
            variance = log_variance.clamp(max=_MOST).exp() + sigma**2
            pull, log_variance = gap / variance, variance.log()
        else:
            pull = gap * (-log_variance).exp()
        return self.log_first(v).add(pull * gap + (log_variance + _LOG_2PI), alpha=-0.5), pull


def _in_blocks(x: Tensor, compute: DensityAndScore) -> tuple[Tensor, Tensor]:
    parts = [compute(part) for part in x.split(_ROWS)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def log_normal(v: Tensor, scale: float) -> Tensor:
    """Compute the log density of N(0, scale²)."""
    return v.square() * (-0.5 / scale**2) - (math.log(scale) + _LOG_2PI / 2)
