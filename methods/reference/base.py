"""What a reference method is."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from ...datasets.base import Dataset
from ..model import Model
from ..network_model import NetworkModel

# A reference imports all that its signature names from here.
__all__ = ["Callable", "Dataset", "Model", "NetworkModel", "ReferenceMethod", "Tensor"]


class ReferenceMethod(ABC):
    """Makes a model without training, or says that the data themselves are meant.

    Options are the constructor's keyword arguments.
    """

    @abstractmethod
    def model(
        self,
        dataset: Dataset,
        network: Callable[[], NetworkModel],
        data: Callable[[], Tensor],
    ) -> Model | None:
        """The model to sample from; None for fresh points of the dataset, without a sampler.

        Args:
            dataset: The distribution.
            network: Makes the study's network as it is initialised.
            data: Draws the training set that methods of the same replicate get, shape (N, d).
        """

    def target(self, dataset: Dataset) -> float:
        """Noise level of the density that the model stands for."""
        return dataset.reference_sigma
