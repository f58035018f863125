"""The true score."""

from dataclasses import dataclass
from typing import ClassVar

from ...datasets.base import density_of
from ...datasets.errors import UsageError
from .. import references
from ..estimators.exact import ExactScore
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor

__all__ = ["Exact", "ExactScore", "ExactSmoothed"]


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
