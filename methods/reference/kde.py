"""Kernel density estimate of the training set, of a width that is given."""

from dataclasses import dataclass

from ...datasets.errors import UsageError
from .. import references
from ..estimators.kde import KernelDensity
from .base import Callable, Dataset, Model, NetworkModel, ReferenceMethod, Tensor


@references.register("kde")
@dataclass(frozen=True)
class FixedKDE(ReferenceMethod):
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
