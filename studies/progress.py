"""Which rows a study stands on.

A study that has grown may have other finalists and winners than before. What was run for the former
ones stays in the table's file, but the study does not ask for it any more, so it is neither
tabulated nor ranked. What is left is exactly what a study of this size gives from the start.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

import pandas as pd

from .cell import Cell, Slot
from .engine import Engine
from .plan import Plan, Table
from .rundir.read import read_rows, read_study
from .rundir.rows import Row


class Progress(NamedTuple):
    """How far stored rows carry a cell.

    Attributes:
        finished: Whether to its end.
        winner: Number of its winner if it is finished and has one.
        asked: Runs that it has asked for, besides trials.
    """

    finished: bool
    winner: int | None
    asked: frozenset[Slot]


def progress(plan: Plan, cell: Cell, table: Table) -> Progress:
    """Follow a cell as far as its rows go; nothing is proposed."""
    size = plan.size(cell)
    if not size.search:
        # Slots without a search depend on no row; their runs would import methods, hence torch.
        if size.reference:
            slots = [Slot(cell, "reference", None, number) for number in range(size.reference)]
        else:
            slots = [Slot(cell, "confirm", 0, number) for number in range(size.confirm)]
        finished = all(slot in table for slot in slots)
        return Progress(finished, slots[0].trial if finished else None, frozenset(slots))
    steps = plan.steps(cell, table, _no_storage)
    asked: set[Slot] = set()
    try:
        jobs = next(steps)
        while True:
            asked |= {job.slot for job in jobs}
            if not all(job.slot in table for job in jobs):
                return Progress(False, None, frozenset(asked))
            jobs = steps.send([table[job.slot] for job in jobs])
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
        by_cell.setdefault(row.slot.cell, []).append(row)
    known = set(plan.cells)
    return [
        row
        for cell, own in by_cell.items()
        for row in (standing_in(plan, cell, own) if cell in known else own)
    ]


def standing_in(plan: Plan, cell: Cell, rows: Iterable[Row]) -> list[Row]:
    """Those rows of a cell that the study asks for."""
    table = {row.slot: row for row in rows}
    asked = progress(plan, cell, table).asked
    return [row for slot, row in table.items() if slot in asked or _is_trial(slot)]


def _is_trial(slot: Slot) -> bool:
    return slot.phase == "search" and slot.replicate == 0


class _Unfinished(Exception):  # noqa: N818
    """The search would have to go on."""


def _no_storage() -> NoReturn:
    raise _Unfinished


def status(directory: str | Path, engine: Engine | None = None) -> pd.DataFrame:
    """What is done and what is left, also while the study runs.

    Args:
        directory: A run directory.
        engine: Where methods and metrics are found; the real one unless given.

    Returns:
        One line per cell, those of the reference rows first: method, dataset, sampler, done and
        total runs of each phase (``search_done``, ``search_total``, ...), ``finished``,
        ``failures``, ``winner`` (number of the winning trial, once confirmation has begun) and
        ``objective`` (mean of the confirmed runs that are ok).

    Raises:
        UsageError: It is not a run directory, or cannot be read.
    """
    path = Path(directory)
    study = read_study(path)
    plan = Plan(study, engine or Engine())
    rows = standing(plan, read_rows(path))
    table = {row.slot: row for row in rows}
    by_cell: dict[Cell, list[Row]] = {cell: [] for cell in plan.cells}
    for row in rows:
        by_cell.setdefault(row.slot.cell, []).append(row)
    lines = [_line(plan, cell, by_cell[cell], table) for cell in plan.cells]
    return pd.DataFrame(lines).astype({"winner": "Int64", "objective": "float64"})


def _line(plan: Plan, cell: Cell, rows: list[Row], table: Table) -> dict[str, object]:
    size = plan.size(cell)
    counts: dict[str, int] = {}
    for phase, total in size._asdict().items():
        counts[f"{phase}_done"] = sum(row.slot.phase == phase for row in rows)
        counts[f"{phase}_total"] = total
    confirmed = [row for row in rows if row.slot.phase == "confirm"]
    values = [
        row.result.metrics[plan.study.objective] for row in confirmed if row.result.state == "ok"
    ]
    return {
        **cell._asdict(),
        **counts,
        "finished": progress(plan, cell, table).finished,
        "failures": sum(row.result.state != "ok" for row in rows),
        "winner": confirmed[0].slot.trial if confirmed else None,
        "objective": sum(values) / len(values) if values else None,
    }
