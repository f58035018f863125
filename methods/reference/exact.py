"""The true score."""

from dataclasses import dataclass
from typing import ClassVar

from torch import float64

from ...datasets.base import Density, density_of
from ...datasets.errors import UsageError
from ...datasets.tabulate import fast_density, fast_score
from .. import references
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor


@references.register("exact")
class Exact(ReferenceMethod):
    """The exact score with the same sampler: an upper limit for every method."""

    needs_density: ClassVar[bool] = True

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model:
        return ExactScore(density_of(dataset))


@references.register("exact_smoothed")
@dataclass(frozen=True)
class ExactSmoothed(ReferenceMethod):
    """The exact score of the data smoothed by N(0, sigma²I): the limit of denoising methods.

    Attributes:
        sigma: Noise level.
    """

    needs_density: ClassVar[bool] = True

    sigma: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= 100:
            raise UsageError(f"sigma = {self.sigma:g}: it must be above 0 and at most 100")

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model:
        return ExactScore(density_of(dataset), self.sigma)

    def target(self, dataset: Dataset) -> float:
        return self.sigma


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
