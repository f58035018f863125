"""Kernel density estimate of the training set."""

from collections.abc import Mapping

import torch

from .. import methods
from .base import Any, Array, BaseTrial, Estimator, Generator, Model, Tensor

# Distances of this many pairs at once stay in the cache.
_PAIRS = 1 << 18


@methods.register("kde")
class KDE(Estimator):
    """Gaussian kernels on training points, whose width is searched.

    The minimiser of denoising score matching over all functions is the score of the training set
    smoothed by N(0, sigma²I) (Vincent 2011, section 4.3).
    """

    gives = "energy"
    conditional = True

    def space(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest the standard deviation of the kernels."""
        return {"bandwidth": trial.suggest_float("bandwidth", 0.02, 1.0, log=True)}

    def target(self, options: Mapping[str, Any]) -> float:
        """Return the width of the kernels: it is the level of the density that they estimate."""
        return float(options["bandwidth"])

    def fit(
        self,
        points: Array,
        rng: Generator,
        *,
        bandwidth: float,
        limit: int = 2000,
    ) -> "KernelDensity":
        """Put a kernel on each of the first ``limit`` points."""
        return KernelDensity(torch.from_numpy(points[:limit]).float(), bandwidth)


class KernelDensity(Model):
    """Equal Gaussians of standard deviation ``sigma`` at centres (m, d); one member."""

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
        for part in self._near(x).split(max(1, _PAIRS // len(self.centres))):
            share = torch.softmax(self._logits(part, variance), 1)
            parts.append((share @ self.centres - part) / variance)
        return torch.cat(parts).to(x.dtype).unsqueeze(0)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute minus the log density up to a constant."""
        variance = self.noise(sigma) ** 2
        rows = self._near(x).split(max(1, _PAIRS // len(self.centres)))
        parts = [torch.logsumexp(self._logits(part, variance), 1) for part in rows]
        return torch.cat(parts).neg().to(x.dtype).unsqueeze(0)

    def _near(self, x: Tensor) -> Tensor:
        return x[0].to(self.centres.dtype)

    def _logits(self, x: Tensor, variance: float) -> Tensor:
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cdist(x, self.centres, compute_mode=exact).square() / (-2 * variance)
