"""The data themselves."""

from .. import references
from .base import Callable, Dataset, NetworkModel, ReferenceMethod, Tensor


@references.register("truth")
class Truth(ReferenceMethod):
    """New points of the data: the noise floor of every metric."""

    def model(
        self, dataset: Dataset, network: Callable[[], NetworkModel], data: Callable[[], Tensor]
    ) -> None:
        return None
