"""Estimate the remaining time of a study from its runs so far."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from ..studies.cell import Cell
from ..studies.rundir.rows import Row
from .ranking.cell_results import STAGES


class Pace:
    """Mean time per run of each cell, or of similar cells if it has not begun.

    Counting runs is not enough: references take a second, trainings take minutes.

    Args:
        left: Number of runs that each cell still has to do.
        trained: Cells whose runs are trained; the others are references.
    """

    def __init__(self, left: Mapping[Cell, int], trained: Collection[Cell]) -> None:
        self._left = dict(left)
        self._trained = frozenset(trained)
        self._seen: dict[tuple[object, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, rows: Iterable[Row]) -> None:
        """Add runs that have just finished."""
        for row in rows:
            cell, spent = row.slot.cell, sum(row.result.compute.get(p, 0.0) for p in STAGES)
            self._left[cell] = max(0, self._left.get(cell, 0) - 1)
            for kind in self._kinds(cell):
                seen = self._seen[kind]
                seen[0] += spent
                seen[1] += 1

    def close(self, cell: Cell) -> None:
        """Record that a cell has no runs left."""
        self._left[cell] = 0

    def seconds(self, elapsed: float) -> float:
        """Return the remaining seconds, ``nan`` while no similar run has finished.

        Args:
            elapsed: Seconds since the start, which all workers together took for the added runs.
        """
        to_do = sum(count * self._per_run(cell) for cell, count in self._left.items() if count)
        done = sum(seen[0] for kind, seen in self._seen.items() if len(kind) == 1)
        return to_do * elapsed / done if done > 0 else math.nan

    def _per_run(self, cell: Cell) -> float:
        """Return the mean seconds of a run of a cell, ``nan`` if unknown."""
        for kind in self._kinds(cell):
            if kind in self._seen:
                spent, count = self._seen[kind]
                return spent / count
        return math.nan

    def _kinds(self, cell: Cell) -> list[tuple[object, ...]]:
        """Return the groups of runs to estimate a cell from, the most similar first."""
        return [tuple(cell), (cell.method, cell.dataset), (cell in self._trained,)]
