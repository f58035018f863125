"""The network before training."""

from .. import references
from .base import Callable, Dataset, NetworkModel, ReferenceMethod, Tensor


@references.register("untrained")
class Untrained(ReferenceMethod):
    """The network as it is initialised, with the same sampler: what training has to beat."""

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> NetworkModel:
        return network()
