"""The true score."""

from torch import Tensor, float64

from ...datasets.tabulate import fast_score
from .. import references
from .base import Callable, Dataset, Model, NetworkModel, Reference


@references.register("exact")
class Exact(Reference):
    """The exact score with the same sampler: what no method can be expected to beat."""

    def model(self, dataset: Dataset, network: Callable[[], NetworkModel]) -> Model:
        return ExactScore(dataset)


class ExactScore(Model):
    """The true score of a dataset, smoothed as far as it must be to exist.

    Args:
        dataset: Whose score; it has one member.
    """

    members = 1

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.dim = dataset.dim

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Score of p_sigma at x, (K, B, d) -> (K, B, d), in the type of ``x``."""
        self.evaluations += x.shape[1]
        exact = fast_score(self.dataset, max(sigma, self.dataset.reference_sigma))
        points = x.reshape(-1, self.dim).to(float64)
        return exact(points).reshape(x.shape).to(x.dtype)

    def energy(self, x: Tensor) -> Tensor:
        """Minus the log density, (K, B, d) -> (K, B)."""
        points = x.reshape(-1, self.dim).to(float64)
        log_prob = self.dataset.log_prob(points, self.dataset.reference_sigma)
        return log_prob.neg().reshape(x.shape[:-1]).to(x.dtype)
