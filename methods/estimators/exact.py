"""The true score in place of a learned one: what is left to compare is the sampler."""

from torch import float64

from ...datasets.base import Density
from ...datasets.tabulate import fast_density, fast_score
from .. import methods
from .base import Dataset, Estimator, Model, Tensor, density_of


@methods.register("exact")
class ExactEstimator(Estimator):
    """The exact score, which nothing is learned for: what differs is the sampler alone."""

    gives = "energy"
    conditional = True
    needs_density = True

    def known(self, dataset: Dataset) -> Model:
        """Return the exact score of the dataset."""
        return ExactScore(density_of(dataset))


class ExactScore(Model):
    """The true score of a dataset at any noise level above a lowest one; one member.

    By default that is the lowest level at which samplers can follow the score.
    """

    members = 1

    def __init__(self, dataset: Density, level: float | None = None) -> None:
        self.dataset = dataset
        self.dim = dataset.dim
        self.level = dataset.reference_sigma if level is None else level
        self.is_truth = self.level == 0

    def noise(self, sigma: float) -> float:
        """Return ``sigma``, but at least the lowest level."""
        return max(sigma, self.level)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score of p_sigma at x, (K, B, d) -> (K, B, d), in the type of ``x``."""
        self.evaluations += x.shape[1]
        exact = fast_score(self.dataset, self.noise(sigma))
        points = x.reshape(-1, self.dim).to(float64)
        return exact(points).reshape(x.shape).to(x.dtype)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute minus the log density, (K, B, d) -> (K, B)."""
        points = x.reshape(-1, self.dim).to(float64)
        log_prob = self.dataset.log_prob(points, self.noise(sigma))
        return log_prob.neg().reshape(x.shape[:-1]).to(x.dtype)

    def energy_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both at once, with half of the work."""
        self.evaluations += x.shape[1]
        points = x.reshape(-1, self.dim).to(float64)
        log_density, score = fast_density(self.dataset, self.level)(points)
        energy = log_density.neg().reshape(x.shape[:-1])
        return energy.to(x.dtype), score.reshape(x.shape).to(x.dtype)
