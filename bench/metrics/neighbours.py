"""Precision, recall, density and coverage of samples, by balls around neighbours.

Each point of a sample stands for the ball that reaches to its k-th nearest neighbour in the sample;
together the balls stand for the places where a distribution lives. All four are 1 - value, or the
distance from 1, so that 0 is best; each sees half of what can be wrong.
"""

from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import UsageError
from . import metrics
from .base import Metric

_PAIRS = 1 << 22
_EXACT = "donot_use_mm_for_euclid_dist"


class _Balls(Metric):
    """Compares samples with balls around points of the truth, or the other way round.

    Args:
        dataset: The distribution.
        reference: Points of the truth, shape (m, d).
        k: The neighbour that a ball reaches to.
    """

    cost: ClassVar[str] = "square of the number of samples: about 1 s for 10,000"
    diagnostic: ClassVar[bool] = True

    def __init__(self, dataset: Dataset, reference: Tensor, *, k: int = 5) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000:
            raise UsageError(f"k = {k!r}: it must be an integer from 1 to 1000")
        super().__init__(dataset, reference)
        self.k = k
        self._radii = radii(self.reference, k)


@metrics.register("precision_loss")
class PrecisionLoss(_Balls):
    """Share of the samples in no ball around the truth, 1 - precision: sees junk alone.

    Kynkäänniemi et al. 2019, equation 2.
    """

    def value(self, samples: Tensor) -> float:
        return 1 - float((members(samples, self.reference, self._radii)[0] > 0).double().mean())


@metrics.register("recall_loss")
class RecallLoss(_Balls):
    """Share of the truth in no ball around the samples, 1 - recall: sees what is missing alone.

    Kynkäänniemi et al. 2019, equation 3. A far sample has a large ball, which may hold much.
    """

    def value(self, samples: Tensor) -> float:
        inside = members(self.reference, samples, radii(samples, self.k))[0] > 0
        return 1 - float(inside.double().mean())


@metrics.register("density_loss")
class DensityLoss(_Balls):
    """Distance from 1 of the mean number of balls around the truth that hold a sample, over k.

    |1 - density| of Naeem et al. 2020, equation 5. It is above 1 where samples crowd.
    """

    def value(self, samples: Tensor) -> float:
        count = members(samples, self.reference, self._radii)[0]
        return abs(1 - float(count.double().mean()) / self.k)


@metrics.register("coverage_loss")
class CoverageLoss(_Balls):
    """Share of the balls around the truth without a sample, 1 - coverage: what is missing.

    Naeem et al. 2020, equation 6. For as many samples of the truth it is 2^-k on average.
    """

    def value(self, samples: Tensor) -> float:
        return 1 - float((members(samples, self.reference, self._radii)[1] > 0).double().mean())


def radii(points: Tensor, k: int) -> Tensor:
    """Compute the distance of each point (n, d) from its k-th nearest neighbour: shape (n,)."""
    kth = min(k + 1, len(points))
    rows = points.split(max(1, _PAIRS // len(points)))
    distances = (torch.cdist(part, points, compute_mode=_EXACT) for part in rows)
    return torch.cat([distance.kthvalue(kth, dim=1).values for distance in distances])


def members(points: Tensor, centres: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Count the balls that hold each point (n, d), (n,), and the points in each ball, (m,)."""
    balls, inside = [], torch.zeros(len(centres), dtype=torch.int64)
    for part in points.split(max(1, _PAIRS // len(centres))):
        held = torch.cdist(part, centres, compute_mode=_EXACT) < radius
        balls.append(held.sum(1))
        inside += held.sum(0)
    return torch.cat(balls), inside
