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

__all__ = ["methods", "references", "samplers"]
