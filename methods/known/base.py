"""What a reference method is."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from ...datasets.base import Dataset
from ..model import Model, NetworkModel

# A reference imports all that its signature names from here.
__all__ = ["Callable", "Dataset", "Model", "NetworkModel", "Reference"]


class Reference(ABC):
    """Makes a model without training, or says that the data themselves are meant."""

    @abstractmethod
    def model(self, dataset: Dataset, network: Callable[[], NetworkModel]) -> Model | None:
        """The model to sample from; None for fresh points of the dataset, without a sampler.

        Args:
            dataset: The distribution.
            network: Makes the study's network as it is initialised.
        """
