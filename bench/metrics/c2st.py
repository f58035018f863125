"""Classifier two-sample test: can a classifier distinguish samples from the truth?"""

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from ...datasets.base import Dataset
from . import metrics
from .base import Metric

FOLDS = 5
_SEED = 20_161_020
# From here on the points of the narrower kind are the neighbours of nearly all points.
_HUBS_FROM = 8
_PAIRS = 1 << 22
_CONSTANT = 1e-9


@metrics.register("c2st")
class C2ST(Metric):
    """Accuracy of a nearest-neighbour classifier of samples and truth: 0.5 at best.

    The k-neighbour test of Lopez-Paz and Oquab 2017, with k = √n of a training fold, by five-fold
    cross-validation, after scaling by the reference. Equally many points of both kinds are used.
    Unlike a network, neighbours need no tuning and give the same bits everywhere.

    In eight or more dimensions the nearest neighbours of every point belong to the kind that
    spreads less (hubs; Radovanović et al. 2010), so their majority says nothing. There the half of
    the points that are nearest to samples, by the ratio of their distances from the k-th sample
    and from the k-th point of the truth, are called samples.
    """

    cost: ClassVar[str] = "nearest neighbours: about 1 s for 10,000 samples, 8 s if d >= 8"

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        super().__init__(dataset, reference)
        # Samples are of single precision: rounded, equal points would no longer meet.
        self._discrete = len(self.reference.unique(dim=0)) < len(self.reference)

    def value(self, samples: Tensor) -> float:
        reference = self.reference
        if self._discrete:
            samples, reference = samples.float().double(), reference.float().double()
        count = min(len(samples), len(reference))
        truth = reference[:count]
        centre, scale = reference.mean(0), reference.std(0)
        # A constant coordinate has no spread, up to rounding.
        scale = scale.where(scale > _CONSTANT * centre.abs(), 1.0)
        points = ((torch.cat([samples[:count], truth]) - centre) / scale).numpy()
        labels = np.repeat([0, 1], count)
        order = np.random.default_rng(_SEED).permutation(count)
        # Both kinds are assigned to the folds in the same way, so that no fold favours one.
        fold = np.empty(2 * count, dtype=np.int64)
        fold[order] = fold[count + order] = np.arange(count) % min(FOLDS, count)
        right = _right if points.shape[1] < _HUBS_FROM else _right_among_hubs
        total = sum(right(points, labels, fold == f) for f in range(min(FOLDS, count)))
        return float(total) / (2 * count)


def _right(points: NDArray[np.float64], labels: NDArray[np.int64], held: NDArray[np.bool_]) -> int:
    """Count the held-out points whose label most of their neighbours in the other folds share."""
    known = labels[~held]
    # An odd number of voters cannot tie.
    k = max(1, math.isqrt(len(known))) | 1
    _, index = cKDTree(points[~held]).query(points[held], k=[*range(1, min(k, len(known)) + 1)])
    votes = known[index].mean(1) > 0.5
    return int((votes == (labels[held] == 1)).sum())


def _right_among_hubs(
    points: NDArray[np.float64], labels: NDArray[np.int64], held: NDArray[np.bool_]
) -> int:
    """Count the held-out points on their side of the median ratio of distances."""
    far = [_distances(points[~held & (labels == kind)], points[held]) for kind in (0, 1)]
    # Points at distance 0 from both kinds may be of either.
    ratio = (far[0] / (far[0] + far[1])).nan_to_num(0.5)
    return int(((ratio > ratio.median()).numpy() == (labels[held] == 1)).sum())


def _distances(known: NDArray[np.float64], points: NDArray[np.float64]) -> Tensor:
    """Distance of each point from the k-th nearest known one, k = √known: shape (points,)."""
    k, there = max(1, math.isqrt(len(known))), torch.from_numpy(known)
    parts = torch.from_numpy(points).split(max(1, _PAIRS // len(known)))
    return torch.cat([torch.cdist(part, there).kthvalue(k, dim=1).values for part in parts])
