"""The true score in place of a learned one: what is left to compare is the sampler."""

from .. import methods
from ..reference.exact import ExactScore
from .base import Dataset, Estimator, Model, density_of


@methods.register("exact")
class ExactEstimator(Estimator):
    """The exact score, which nothing is learned for: what differs is the sampler alone."""

    gives = "energy"
    conditional = True
    needs_density = True

    def known(self, dataset: Dataset) -> Model:
        """Return the exact score of the dataset."""
        return ExactScore(density_of(dataset))
