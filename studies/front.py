"""Pareto fronts: points that no other point improves on in every coordinate; smaller is better."""

import math
from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the indices of points that no other point dominates, by their first coordinate.

    A point dominates another if no coordinate is larger and at least one is smaller. Of equal
    points, the first is on the front; points that are not finite never are.
    """
    finite = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    indices: list[int] = []
    for i in sorted(finite, key=lambda i: (*points[i], i)):
        # In this order, only earlier points can dominate.
        if not any(_no_larger(points[j], points[i]) for j in indices):
            indices.append(i)
    return indices


def _no_larger(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))


def spread(indices: Sequence[int], count: int) -> list[int]:
    """Pick ``count`` of the indices, evenly spaced and with both ends.

    Args:
        indices: Indices in order along a front.
        count: At least 1, which picks the first.
    """
    if len(indices) <= count:
        return list(indices)
    if count == 1:
        return [indices[0]]
    last = len(indices) - 1
    return [indices[round(i * last / (count - 1))] for i in range(count)]
