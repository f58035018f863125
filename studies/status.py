"""How far a study is, read from its directory."""

from pathlib import Path

import pandas as pd

from .cells import Plan, Table
from .engine import Engine
from .storage.records import read_rows, read_study
from .storage.rows import Cell, Row
from .storage.standing import progress, standing


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
    table = {row.place: row for row in rows}
    by_cell: dict[Cell, list[Row]] = {cell: [] for cell in plan.cells}
    for row in rows:
        by_cell.setdefault(row.place.cell, []).append(row)
    lines = [_line(plan, cell, by_cell[cell], table) for cell in plan.cells]
    return pd.DataFrame(lines).astype({"winner": "Int64", "objective": "float64"})


def _line(plan: Plan, cell: Cell, rows: list[Row], table: Table) -> dict[str, object]:
    size = plan.size(cell)
    counts: dict[str, int] = {}
    for phase, total in size._asdict().items():
        counts[f"{phase}_done"] = sum(row.place.phase == phase for row in rows)
        counts[f"{phase}_total"] = total
    confirmed = [row for row in rows if row.place.phase == "confirm"]
    values = [
        row.result.metrics[plan.study.objective] for row in confirmed if row.result.state == "ok"
    ]
    return {
        **cell._asdict(),
        **counts,
        "finished": progress(plan, cell, table).finished,
        "failures": sum(row.result.state != "ok" for row in rows),
        "winner": confirmed[0].place.trial if confirmed else None,
        "objective": sum(values) / len(values) if values else None,
    }
