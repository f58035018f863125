"""One Gaussian with the mean and covariance of the training set."""

import torch

from .. import references
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor


@references.register("gaussian_fit")
class GaussianFit(ReferenceMethod):
    """One Gaussian fitted to the training set: a lower limit for every useful method."""

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model:
        points = data().double()
        return Gaussian(points.mean(0), points.T.cov())


class Gaussian(Model):
    """N(mean, covariance) smoothed to any level; one member.

    Args:
        mean: Shape (d,), float64.
        covariance: Shape (d, d), float64.
    """

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
