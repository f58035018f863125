"""Which rows a study stands on.

A study that has grown may have other finalists and winners than before. What was run for the former
ones stays in the table's file, but the study does not ask for it any more, so it is neither
tabulated nor ranked. What is left is exactly what a study of this size gives from the start.
"""

from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from ..cells import Plan, Table
from .rows import Cell, Place, Row


class Progress(NamedTuple):
    """How far stored rows carry a cell.

    Attributes:
        finished: Whether to its end.
        winner: Number of its winner if it is finished and has one.
        asked: Runs that it has asked for, besides trials.
    """

    finished: bool
    winner: int | None
    asked: frozenset[Place]


def progress(plan: Plan, cell: Cell, table: Table) -> Progress:
    """Follow a cell as far as its rows go; nothing is proposed."""
    steps = plan.steps(cell, table, _no_storage)
    asked: set[Place] = set()
    try:
        jobs = next(steps)
        while True:
            asked |= {job.place for job in jobs}
            if not all(job.place in table for job in jobs):
                return Progress(False, None, frozenset(asked))
            jobs = steps.send([table[job.place] for job in jobs])
    except StopIteration as stop:
        return Progress(True, stop.value, frozenset(asked))
    except _Unfinished:
        return Progress(False, None, frozenset(asked))


def standing(plan: Plan, rows: Iterable[Row]) -> list[Row]:
    """The rows that the study asks for, as far as is known, cell by cell.

    Rows of cells that the study does not have are kept: the table complains about them.
    """
    by_cell: dict[Cell, list[Row]] = {}
    for row in rows:
        by_cell.setdefault(row.place.cell, []).append(row)
    known = set(plan.cells)
    return [
        row
        for cell, own in by_cell.items()
        for row in (standing_in(plan, cell, own) if cell in known else own)
    ]


def standing_in(plan: Plan, cell: Cell, rows: Iterable[Row]) -> list[Row]:
    """Those rows of a cell that the study asks for."""
    table = {row.place: row for row in rows}
    asked = progress(plan, cell, table).asked
    return [row for place, row in table.items() if place in asked or _is_trial(place)]


def _is_trial(place: Place) -> bool:
    return place.phase == "search" and place.replicate == 0


class _Unfinished(Exception):  # noqa: N818
    """The search would have to go on."""


def _no_storage() -> NoReturn:
    raise _Unfinished
