"""Alternating timings: noise of the machine hits both sides alike."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table: what, how long ours takes, the goal, and what was found."""

    what: str
    ours: str
    goal: str
    found: str


class Side(NamedTuple):
    """Median seconds of one call on each side, and the median of the ratios of neighbours."""

    ours: float
    other: float
    ratio: float


def timed(work: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - started) / repeats


def alternate(
    ours: Callable[[], object],
    other: Callable[[], object],
    *,
    rounds: int = 9,
    repeats: tuple[int, int] = (1, 1),
) -> Side:
    """Time two pieces of work in turns.

    Args:
        ours: Called ``repeats[0]`` times a round.
        other: Called ``repeats[1]`` times a round.
        rounds: Rounds counted; one more warms up.
        repeats: Calls per round on each side.
    """
    pairs = [(timed(ours, repeats[0]), timed(other, repeats[1])) for _ in range(rounds + 1)][1:]
    return Side(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )
