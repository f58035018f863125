"""The network before training."""

from .. import references
from .base import Callable, Dataset, NetworkModel, ReferenceMethod, Tensor


@references.register("untrained")
class Untrained(ReferenceMethod):
    """The network before training, with the same sampler: training must improve on it."""

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> NetworkModel:
        return network()
