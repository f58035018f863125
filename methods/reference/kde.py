"""Kernel density estimate of the training set."""

from dataclasses import dataclass

import torch

from ...datasets.errors import UsageError
from .. import references
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor

# Distances of this many pairs at once stay in the cache.
_PAIRS = 1 << 18


@references.register("kde")
@dataclass(frozen=True)
class KDE(ReferenceMethod):
    """Gaussian kernels on training points: the limit of denoising on a finite training set.

    The minimiser of denoising score matching over all functions is the score of the training set
    smoothed by N(0, sigma²I) (Vincent 2011, section 4.3).

    Attributes:
        sigma: Standard deviation of the kernels.
        points: Number of training points; each score evaluates as many kernels.
    """

    sigma: float = 0.1
    points: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 100:
            raise UsageError(f"sigma = {self.sigma:g}: it must be above 0 and at most 100")
        if self.points < 1:
            raise UsageError(f"points = {self.points}: it must be at least 1")

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model:
        return KernelDensity(data()[: self.points], self.sigma)

    def target(self, dataset: Dataset) -> float:
        return self.sigma


class KernelDensity(Model):
    """Equal Gaussians at given points; one member.

    Args:
        centres: Shape (m, d).
        sigma: Standard deviation of each.
    """

    members = 1

    def __init__(self, centres: Tensor, sigma: float) -> None:
        self.centres = centres
        self.dim = centres.shape[1]
        self.level = sigma

    def noise(self, sigma: float) -> float:
        """Return ``sigma``, but at least the kernels' own: they can only be widened."""
        return max(sigma, self.level)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the mean shift to the centres, weighted by their kernels, over σ²."""
        self.evaluations += x.shape[1]
        variance = self.noise(sigma) ** 2
        parts = []
        for part in x[0].split(max(1, _PAIRS // len(self.centres))):
            share = torch.softmax(self._logits(part, variance), 1)
            parts.append((share @ self.centres - part) / variance)
        return torch.cat(parts).unsqueeze(0)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute minus the log density up to a constant."""
        variance = self.noise(sigma) ** 2
        rows = x[0].split(max(1, _PAIRS // len(self.centres)))
        parts = [torch.logsumexp(self._logits(part, variance), 1) for part in rows]
        return torch.cat(parts).neg().unsqueeze(0)

    def _logits(self, x: Tensor, variance: float) -> Tensor:
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cdist(x, self.centres, compute_mode=exact).square() / (-2 * variance)
