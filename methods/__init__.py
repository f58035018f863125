"""What is compared: training objectives, networks, samplers and reference methods."""

from typing import TYPE_CHECKING

from ..datasets.registry import Registry

if TYPE_CHECKING:
    from .estimators.base import Estimator
    from .objectives.base import ScoreMatching
    from .reference.base import ReferenceMethod
    from .sampling.base import Sampler

methods: "Registry[type[ScoreMatching | Estimator]]" = Registry(
    "method", f"{__name__}.objectives", f"{__name__}.estimators"
)
samplers: "Registry[type[Sampler]]" = Registry("sampler", f"{__name__}.sampling")
references: "Registry[type[ReferenceMethod]]" = Registry("reference", f"{__name__}.reference")

__all__ = ["estimator", "methods", "references", "samplers"]


def estimator(name: str) -> "type[Estimator] | None":
    """Return the class of a method that makes its model itself; None if it trains a network.

    Built-in methods that train are not imported: the progress of a study does without torch.
    """
    entry = methods.builtin.get(name)
    trains = entry is not None and entry.module.startswith(f"{__name__}.objectives.")
    # Results of a plug-in that is missing can still be read.
    if trains or name not in methods:
        return None
    from .estimators.base import Estimator

    found = methods.get(name)
    return found if issubclass(found, Estimator) else None
