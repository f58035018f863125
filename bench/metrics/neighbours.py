"""Precision, recall, density and coverage of samples, by balls around points.

The ball of a point reaches to its k-th nearest neighbour; together the balls of a sample stand for
the places where its distribution lives. Losses are distances of the four from 1.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import require_within
from . import metrics
from .base import Metric

_PAIRS = 1 << 22


class _Balls(Metric):
    cost: ClassVar[str] = "square of the number of samples: about 2 s for 10,000"
    diagnostic: ClassVar[bool] = True

    def __init__(self, dataset: Dataset, reference: Tensor, *, k: int = 5) -> None:
        require_within("k", k, 1, 1000)
        super().__init__(dataset, reference)
        self.k, self._radii = k, radii(self.reference, k)

    def value(self, samples: Tensor) -> float:
        return abs(1 - self.success(samples))

    @abstractmethod
    def success(self, samples: Tensor) -> float:
        """Compute the value that the truth has 1 of, or nearly so."""


@metrics.register("precision_loss")
class PrecisionLoss(_Balls):
    """Share of the samples in no ball of the truth, 1 - precision: sees junk alone.

    Kynkäänniemi et al. 2019, equation 2.
    """

    def success(self, samples: Tensor) -> float:
        return float((holding(samples, self.reference, self._radii) > 0).double().mean())


@metrics.register("recall_loss")
class RecallLoss(_Balls):
    """Share of the truth in no ball of the samples, 1 - recall: sees missing modes alone.

    Kynkäänniemi et al. 2019, equation 3. A far sample has a large ball, which may hold much.
    """

    def success(self, samples: Tensor) -> float:
        inside = holding(self.reference, samples, radii(samples, self.k)) > 0
        return float(inside.double().mean())


@metrics.register("density_loss")
class DensityLoss(_Balls):
    """Distance from 1 of the number of balls of the truth that hold a sample, a mean over k.

    |1 - density| of Naeem et al. 2020, equation 5; density is above 1 where samples crowd.
    """

    def success(self, samples: Tensor) -> float:
        return float(holding(samples, self.reference, self._radii).double().mean()) / self.k


@metrics.register("coverage_loss")
class CoverageLoss(_Balls):
    """Share of the balls of the truth that hold no sample, 1 - coverage: sees missing modes.

    Naeem et al. 2020, equation 6. For as many points of the truth it is 2^-k on average.
    """

    def success(self, samples: Tensor) -> float:
        near = nearest_distances(self.reference, samples, 1)[:, 0]
        return float((near < self._radii).double().mean())


def holding(points: Tensor, centres: Tensor, radius: Tensor) -> Tensor:
    """Count the balls around ``centres`` (m, d) that hold each of the points (n, d): (n,)."""
    return torch.cat([(part < radius).sum(1) for part in _distances(points, centres)])


def radii(points: Tensor, k: int) -> Tensor:
    """Compute the distance of each point (n, d) from its k-th nearest neighbour: shape (n,)."""
    return nearest_distances(points, points, min(k + 1, len(points)))[:, -1]


def nearest_distances(x: Tensor, points: Tensor, k: int) -> Tensor:
    """Compute distances of each row of x from the k nearest points, increasing: shape (n, k)."""
    parts = _distances(x, points)
    return torch.cat([part.topk(k, dim=1, largest=False).values for part in parts])


def _distances(x: Tensor, points: Tensor) -> Iterator[Tensor]:
    for part in x.split(max(1, _PAIRS // len(points))):
        yield torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist")
