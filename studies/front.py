"""Pareto fronts: what nothing else is better than in every respect. Small values are good."""

import math
from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points that no other point dominates, in order of their first coordinate.

    A point dominates another one if it is nowhere larger and somewhere smaller. Of equal points
    the first one counts; a point that is not finite is never on the front.
    """
    finite = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    found: list[int] = []
    for i in sorted(finite, key=lambda i: (*points[i], i)):
        # Sorted so, only points before can dominate.
        if not any(_no_larger(points[j], points[i]) for j in found):
            found.append(i)
    return found


def _no_larger(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def spread(indices: Sequence[int], count: int) -> list[int]:
    """As many of these as asked for, both ends and evenly between them.

    Args:
        indices: Along a front.
        count: At least 1; with 1 it is the first.
    """
    if len(indices) <= count:
        return list(indices)
    if count == 1:
        return [indices[0]]
    last = len(indices) - 1
    return [indices[round(i * last / (count - 1))] for i in range(count)]
