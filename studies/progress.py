"""Select the rows that count for a study, and report how far it has come.

A study that has grown may have other finalists and winners than before. Rows of the former ones
stay in the table's file, but they no longer count: they are neither tabulated nor ranked. The rows
that count are exactly those that a study of this size gives from the start.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

import pandas as pd

from .cell import Cell, Job, Slot
from .engine import Engine
from .plan import Plan, Table
from .rundir.read import read_packed, read_study
from .rundir.rows import Row


class Progress(NamedTuple):
    """The state of a cell with the rows that are stored.

    Attributes:
        finished: Whether all its runs are stored.
        winner: Number of the winning trial if the cell is finished and has one.
        asked: Slots of the runs that the cell has asked for; finished batches of trials are not
            among them.
    """

    finished: bool
    winner: int | None
    asked: frozenset[Slot]


def progress(plan: Plan, cell: Cell, table: Table) -> Progress:
    """Follow the steps of a cell as far as its rows allow, without proposing trials."""
    size = plan.size(cell)
    if not size.search:
        # Slots without a search depend on no row; their runs would import methods, hence torch.
        if size.reference:
            slots = [Slot(cell, "reference", None, number) for number in range(size.reference)]
        else:
            slots = [Slot(cell, "confirm", 0, number) for number in range(size.confirm)]
        finished = all(slot in table for slot in slots)
        return Progress(finished, slots[0].trial if finished else None, frozenset(slots))
    return follow(plan, cell, table)[0]


def follow(plan: Plan, cell: Cell, table: Table) -> tuple[Progress, list[Job]]:
    """Follow the steps of a cell as ``progress`` does; also return the jobs that it has asked for.

    Finished batches of trials are not among them.
    """
    steps = plan.steps(cell, table, _no_storage)
    asked: list[Job] = []
    finished, winner = False, None
    try:
        jobs = next(steps)
        while True:
            asked += jobs
            if not all(job.slot in table for job in jobs):
                break
            jobs = steps.send([table[job.slot] for job in jobs])
    except StopIteration as stop:
        finished, winner = True, stop.value
    except _UnfinishedError:
        pass
    return Progress(finished, winner, frozenset(job.slot for job in asked)), asked


def standing(plan: Plan, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that count, cell by cell.

    Rows of cells that are not in the study are included; building a table from them fails.
    """
    cells = set(plan.cells)
    return [
        row
        for cell, stored in by_cell(rows).items()
        for row in (standing_in(plan, cell, stored) if cell in cells else stored)
    ]


def standing_in(plan: Plan, cell: Cell, rows: Iterable[Row]) -> list[Row]:
    """Return the rows of a cell that count."""
    table = {row.slot: row for row in rows}
    asked = progress(plan, cell, table).asked
    return [row for slot, row in table.items() if slot in asked or _is_trial(slot)]


def by_cell(rows: Iterable[Row]) -> dict[Cell, list[Row]]:
    """Sort rows by their cells."""
    cells: dict[Cell, list[Row]] = {}
    for row in rows:
        cells.setdefault(row.slot.cell, []).append(row)
    return cells


def _is_trial(slot: Slot) -> bool:
    return slot.phase == "search" and slot.replicate == 0


class _UnfinishedError(Exception):
    """The search needs further trials."""


def _no_storage() -> NoReturn:
    raise _UnfinishedError


def status(directory: str | Path, engine: Engine | None = None) -> pd.DataFrame:
    """Count the stored and missing runs of a study; works while it runs.

    Returns:
        One line per cell, references first: method, dataset, sampler, done and total runs of each
        phase (``search_done``, ``search_total``, ...; a total is an upper limit until the cell is
        finished), ``finished``, ``failures``, ``winner`` (number of the winning trial, once
        confirmation has begun) and ``objective`` (mean of the confirmation runs that are ok).

    Raises:
        UsageError: The directory is not a run directory, or cannot be read.
    """
    path = Path(directory)
    study = read_study(path)
    plan = Plan(study, engine or Engine())
    rows = read_packed(path)
    lines = [_line(plan, cell, rows.of(cell)) for cell in plan.cells]
    return pd.DataFrame(lines).astype({"winner": "Int64", "objective": "float64"})


def _line(plan: Plan, cell: Cell, stored: list[Row]) -> dict[str, object]:
    size = plan.size(cell)
    rows = standing_in(plan, cell, stored)
    finished = progress(plan, cell, {row.slot: row for row in rows}).finished
    counts: dict[str, int] = {}
    for phase, most in size._asdict().items():
        done = sum(row.slot.phase == phase for row in rows)
        # Looks at several numbers of trials may share runs, and failed trials need none.
        counts |= {f"{phase}_done": done, f"{phase}_total": done if finished else most}
    confirmed = [row for row in rows if row.slot.phase == "confirm"]
    values = [row.loss(plan.study.objective) for row in confirmed if row.ok]
    search = plan.study.search
    first = search.sampler[0].label if cell in plan.tuned else ""
    return {
        **dict(zip(Cell._fields, cell.labels, strict=False)),
        **({"restart": cell.restart} if search.restarts > 1 else {}),
        **({"searcher": cell.searcher or first} if len(search.sampler) > 1 else {}),
        **counts,
        "finished": finished,
        "failures": sum(not row.ok for row in rows),
        "winner": confirmed[0].slot.trial if confirmed else None,
        "objective": sum(values) / len(values) if values else None,
    }
