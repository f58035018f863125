"""Memorisation: samples that repeat the training set, where it is finite."""

from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import UsageError
from . import metrics
from .base import Metric, Setting
from .neighbours import nearest_distances

# A sample is a copy if the second nearest training point is this many times as far (Yoon et al.
# 2023; Biroli et al. 2024).
_TIMES = 3
_SEED = 20_240_229


class _Memory(Metric):
    # Samples that are nowhere near the data copy nothing.
    diagnostic: ClassVar[bool] = True
    cost: ClassVar[str] = "the number of samples times that of training points: 1 s for 10,000 each"

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        super().__init__(dataset, reference)
        part = dataset.part("training")
        if part.available is None:
            raise UsageError(f"{type(dataset).__name__} has no finite training set")
        self.training = part.sample(part.available, torch.Generator().manual_seed(_SEED))

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.part("training").available is None:
            return "it needs a finite training set, as of points of a file"
        return None


@metrics.register("copies")
class Copies(_Memory):
    """Share of the samples that are three times as near to a training point as to any other one.

    Points of the truth have a share of their own, the floor: 1/3^d for many points of a smooth
    density in d dimensions. Equal training points count once.
    """

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        super().__init__(dataset, reference)
        self.training = self.training.unique(dim=0)

    def value(self, samples: Tensor) -> float:
        if len(self.training) < 2:
            return 1.0
        first, second = nearest_distances(samples, self.training, 2).unbind(1)
        return float((_TIMES * first < second).double().mean())


@metrics.register("copy_gap")
class CopyGap(_Memory):
    """How much nearer samples are to training points than to points of the truth: 1 for copies.

    (b - a)/(b + a) of the mean distances a from the nearest training point and b from the nearest
    point of the truth. The floor is that of new points: 0 if there are as many points of either
    kind, and above 0 if there are more to train on.
    """

    def value(self, samples: Tensor) -> float:
        near = float(nearest_distances(samples, self.training, 1).mean())
        far = float(nearest_distances(samples, self.reference, 1).mean())
        return (far - near) / (far + near) if far + near > 0 else 0.0
