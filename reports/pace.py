"""How long the rest of a study takes, from what its runs have taken so far."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from ..studies.cell import Cell
from ..studies.rundir.rows import Row
from .ranking.cell_results import STAGES


class Pace:
    """Runs of one cell are taken to last alike, those of cells not begun like their method's.

    References last a second where trainings last minutes, so that runs cannot simply be counted.

    Args:
        left: Runs that each cell has still to do.
        trained: The cells whose runs are trained; the others are references.
    """

    def __init__(self, left: Mapping[Cell, int], trained: Collection[Cell]) -> None:
        self._left = dict(left)
        self._trained = frozenset(trained)
        self._seen: dict[tuple[object, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, rows: Iterable[Row]) -> None:
        """Take in runs that have just ended."""
        for row in rows:
            cell, spent = row.slot.cell, sum(row.result.compute.get(p, 0.0) for p in STAGES)
            self._left[cell] = max(0, self._left.get(cell, 0) - 1)
            for kind in self._kinds(cell):
                seen = self._seen[kind]
                seen[0] += spent
                seen[1] += 1

    def close(self, cell: Cell) -> None:
        """Take in that nothing is left to do in a cell."""
        self._left[cell] = 0

    def seconds(self, elapsed: float) -> float:
        """Time that the rest takes, ``nan`` while nothing like it has ended.

        Args:
            elapsed: Seconds in which all that was added was done: workers share the runs, and some
                of the time goes elsewhere.
        """
        to_do = sum(count * self._each(cell) for cell, count in self._left.items() if count)
        done = sum(seen[0] for kind, seen in self._seen.items() if len(kind) == 1)
        return to_do * elapsed / done if done > 0 else math.nan

    def _each(self, cell: Cell) -> float:
        for kind in self._kinds(cell):
            if kind in self._seen:
                spent, count = self._seen[kind]
                return spent / count
        return math.nan

    def _kinds(self, cell: Cell) -> list[tuple[object, ...]]:
        """What a run's time is told from, the nearest first."""
        return [tuple(cell), (cell.method, cell.dataset), (cell in self._trained,)]
