"""Base class of reference methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from ...datasets.base import Dataset
from ..model import Model
from ..network_model import NetworkModel

# Reference methods import the types of their signatures from here.
__all__ = ["Callable", "Dataset", "Model", "NetworkModel", "ReferenceMethod", "Tensor"]


class ReferenceMethod(ABC):
    """Makes a model without training, or stands for the data themselves.

    Options are the constructor's keyword arguments.

    Attributes:
        needs_density: Whether it uses the log density of the data.
    """

    needs_density: ClassVar[bool] = False

    @abstractmethod
    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> Model | None:
        """Make the model to sample from; None for new points of the dataset, without a sampler.

        ``network`` makes the study's network with its initial parameters; ``data`` draws the
        training set of methods in the same replicate, shape (N, d).
        """

    def target(self, dataset: Dataset) -> float:
        """Return the noise level of the density that the model represents."""
        return dataset.reference_sigma
