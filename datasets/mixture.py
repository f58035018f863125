"""Mixtures of equal bumps: Gaussians, or boxes blurred by a Gaussian, at weighted centres."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .base import Density
from .errors import UsageError
from .kernel import log_bump

# Largest size of an intermediate result: 1 MiB of float64, about the size of a cache.
_BLOCK = 2**17
# Standard deviations of the Gaussian part that a box holds on either side of a centre.
_MARGIN = 3.5
MeanSlope = Callable[[Tensor], Tensor]
"""Averages the slopes of bumps, (n, d), by their shares of the density, (n, k)."""

# Coordinates that are summed one by one, in a third of the time of `torch.cdist`.
_FEW = 8
_EXACT = "donot_use_mm_for_euclid_dist"


class Mixture(Density):
    """p(x) = Σ_k w_k Π_j f(x_j - c_kj), f the density of ``U[-width/2, width/2] + N(0, noise²)``.

    Smoothing only widens the Gaussian: p_sigma has sqrt(noise² + sigma²) in place of noise.

    Args:
        centres: c, shape (k, d).
        weights: w, k positive numbers that are scaled to sum to 1 (default: equal).
        noise: Standard deviation of the Gaussian part.
        width: Side of the box part.

    Raises:
        UsageError: The sizes do not match, or a number is out of range.
    """

    def __init__(
        self,
        centres: Tensor,
        weights: Tensor | Sequence[float] | None = None,
        *,
        noise: float = 0.0,
        width: float = 0.0,
    ) -> None:
        self.centres = torch.as_tensor(centres, dtype=torch.float64)
        if self.centres.ndim != 2 or self.centres.numel() == 0:
            raise UsageError(f"centres must have shape (k, d), not {tuple(self.centres.shape)}")
        count, self.dim = self.centres.shape
        given = torch.ones(count) if weights is None else weights
        w = torch.as_tensor(given, dtype=torch.float64)
        if w.shape != (count,) or not bool((w > 0).all()) or not bool(w.isfinite().all()):
            raise UsageError(f"{count} centres need {count} positive weights, not {given!r}")
        if not (noise >= 0 and width >= 0 and 0 < noise + width < math.inf):
            raise UsageError(
                f"noise = {noise!r} and width = {width!r}: both must be >= 0 and one of them > 0"
            )
        self.noise, self.width = float(noise), float(width)
        self._weights = w / w.sum()
        self._middle = self.centres.mean(0)

    @property
    def weights(self) -> Tensor:
        """Probability of each centre, shape (k,)."""
        return self._weights

    def outline(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the centres, with the box and 3.5 standard deviations around them."""
        margin = self.width / 2 + _MARGIN * self.noise
        return self.centres.amin(0) - margin, self.centres.amax(0) + margin

    def tau(self, sigma: float) -> float:
        """Compute the standard deviation of the Gaussian part of p_sigma."""
        return math.hypot(self.noise, sigma)

    def nodes(self, tau: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - curves use it
        """Return the centres (k, d) and weights (k,) that the density sums over."""
        return self.centres, self._weights

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw a centre by its weight, then the box, then the Gaussian."""
        u = torch.rand(n, dtype=torch.float64, generator=generator)
        chosen = torch.bucketize(u, self._weights.cumsum(0)[:-1], right=True)
        return self.scatter(self.centres[chosen], generator)

    def scatter(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Move each point of ``x`` (n, d) by a draw of its own from the bump."""
        if self.width:
            box = torch.rand(x.shape, dtype=x.dtype, generator=generator)
            x = x + self.width * (box - 0.5)
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        return x

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Compute the sum in the log domain."""
        return torch.cat([logits.logsumexp(1) for logits, _ in self._parts(x, sigma)])

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Average the slopes of the bumps, weighted by their shares of the density at x."""
        return self.density_and_score(x, sigma)[1]

    def density_and_score(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute both from the same bumps."""
        parts = [mean_slope(*part) for part in self._parts(x, sigma)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def assign(self, x: Tensor) -> Tensor:
        """Assign each point to the nearest centre."""
        return nearest(self._points(x), self.centres)

    def _parts(self, x: Tensor, sigma: float) -> Iterator[tuple[Tensor, MeanSlope]]:
        """Compute the log of each weighted bump, (n, k), and their slopes, a block at a time."""
        tau = self.tau(sigma)
        centres, weights = self.nodes(tau)
        for part in x.split(max(1, _BLOCK // centres.numel())):
            if self.width:
                yield self._boxes(part, centres, weights.log(), tau)
            else:
                yield self._gaussians(part, centres, weights.log(), tau)

    def _boxes(
        self, x: Tensor, centres: Tensor, log_weights: Tensor, tau: float
    ) -> tuple[Tensor, MeanSlope]:
        logits, slopes = log_weights, []
        for place, axis in zip(x.unbind(1), centres.unbind(1), strict=True):
            # Once for all centres in a row.
            shared, row = axis.unique(return_inverse=True)
            value, slope = log_bump(place[:, None] - shared, self.width, tau)
            logits = logits + value[:, row]
            slopes.append(slope[:, row])
        return logits, lambda share: torch.stack([(share * s).sum(1) for s in slopes], 1)

    def _gaussians(
        self, x: Tensor, centres: Tensor, log_weights: Tensor, tau: float
    ) -> tuple[Tensor, MeanSlope]:
        square = _squares(x, centres)
        constant = log_weights - x.shape[1] * math.log(tau * math.sqrt(2 * math.pi))
        # Relative to the middle, so that no digits are lost far from the origin.
        place, x = centres - self._middle, x - self._middle
        return (
            square.mul_(-0.5 / tau**2).add_(constant),
            lambda share: ((share[:, None] * place.T).sum(-1) - x) / tau**2,
        )


class GaussianMixture(Mixture):
    """Isotropic Gaussians of standard deviation ``noise`` around centres (k, d), in any dimension.

    ``weights`` are their probabilities up to a factor (default: equal).
    """

    def __init__(
        self, centres: Tensor, noise: float, weights: Tensor | Sequence[float] | None = None
    ) -> None:
        if noise <= 0:
            raise UsageError(f"noise = {noise!r}: the standard deviation must be > 0")
        super().__init__(centres, weights, noise=noise)


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """Find the row of ``centres`` (k, d) nearest to each row of ``x`` (n, d): indices (n,)."""
    rows = max(1, _BLOCK // centres.numel())
    parts = [torch.cdist(part, centres, compute_mode=_EXACT).argmin(1) for part in x.split(rows)]
    return torch.cat(parts)


def _squares(x: Tensor, centres: Tensor) -> Tensor:
    """Compute squared distances, (n, k), without a matrix product, whose rows depend on others."""
    if x.shape[1] > _FEW:
        return torch.cdist(x, centres, compute_mode=_EXACT).square()
    first, *others = (
        place[:, None] - axis for place, axis in zip(x.unbind(1), centres.unbind(1), strict=True)
    )
    square = first.square()
    for gap in others:
        square.addcmul_(gap, gap)
    return square


def mean_slope(logits: Tensor, slope: MeanSlope) -> tuple[Tensor, Tensor]:
    """Compute log density (n,) and score (n, d) from logs of bumps, (n, k), and their slopes."""
    highest = logits.amax(1, keepdim=True)
    share = logits.sub_(highest).exp_()
    total = share.sum(1, keepdim=True)
    return (highest + total.log())[:, 0], slope(share / total)
