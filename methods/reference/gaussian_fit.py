"""One Gaussian with the mean and covariance of the training set."""

import torch

from .. import references
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor

# Relative to the largest variance: below the first an inverse has no digits in double precision,
# and the second is the least whose scores single precision resolves beside those of the largest.
_SINGULAR, _LEAST = 1e-12, 1e-6


@references.register("gaussian_fit")
class GaussianFit(ReferenceMethod):
    """One Gaussian fitted to the training set: a lower limit for every useful method.

    Variances below a millionth of the largest, as of constant coordinates or with fewer points than
    dimensions, are raised to it.
    """

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model:
        points = data().double()
        covariance = points.T.cov(correction=min(1, len(points) - 1)).reshape(2 * (dataset.dim,))
        return Gaussian(points.mean(0), _invertible(covariance))


class Gaussian(Model):
    """N(mean, covariance), float64 of shapes (d,) and (d, d), smoothed to any level; one member."""

    members = 1

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean = mean
        self.covariance = covariance
        self.dim = len(mean)

    def noise(self, sigma: float) -> float:
        """Return ``sigma``: every level is known."""
        return sigma

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute -(x - mean) times the inverse of the smoothed covariance."""
        self.evaluations += x.shape[1]
        return -self._whitened(x, sigma).to(x.dtype)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute half the squared Mahalanobis distance."""
        pulled = self._whitened(x, sigma)
        return 0.5 * (pulled * (x.double() - self.mean)).sum(-1).to(x.dtype)

    def _whitened(self, x: Tensor, sigma: float) -> Tensor:
        smoothed = self.covariance + sigma**2 * torch.eye(self.dim, dtype=torch.float64)
        pulled: Tensor = (x.double() - self.mean) @ torch.linalg.inv(smoothed)
        return pulled


def _invertible(covariance: Tensor) -> Tensor:
    """Raise the smallest variances of a covariance that cannot be inverted."""
    variances, axes = torch.linalg.eigh(covariance)
    largest = float(variances[-1])
    if variances[0] > _SINGULAR * largest:
        return covariance
    # A single point has no variance at all.
    raised: Tensor = axes * variances.clamp(min=_LEAST * (largest or 1.0)) @ axes.T
    return raised
