"""Record the searches of a run directory as a table of losses by configuration and seed."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets.errors import UsageError
from .cell import Cell
from .engine import Engine
from .lookup import frame, value_at
from .plan import Plan
from .progress import by_cell, standing
from .rundir.files import refusing, write_output
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .specs.open import Template
from .specs.spec import IID, TRUTH

TABLE, PROBLEM = "recorded.json", "recorded.py"

SPREAD = ("qmc", "random", "grid", "brute_force")
"""Searchers whose trials cover the space; others leave most of it to distant neighbours."""

_DIGITS = 7


class Recorded(NamedTuple):
    """The files that ``record`` wrote.

    Attributes:
        directory: The folder of the table and of the problem for Optuna.
        cells: Number of recorded searches.
        configurations: Number of recorded configurations in all of them.
        seeds: Seeds of each.
    """

    directory: Path
    cells: int
    configurations: int
    seeds: int


def record(
    directory: str | Path, out: str | Path | None = None, engine: Engine | None = None
) -> Recorded:
    """Write the searches of a run directory as problems for Optuna.

    Args:
        directory: A run directory with one restart whose every trial has the same seeds, that is
            ``finalists`` = ``trials`` and ``repeats`` of 1 or more.
        out: Folder to write to (default: the name of the study with ``-recorded``).
        engine: Where methods and datasets are found (default: the real one).

    Raises:
        UsageError: It is not such a directory, or the folder cannot be written.
    """
    folder = Path(directory)
    study = read_study(folder)
    if study.search.restarts > 1:
        raise UsageError(
            f"{str(folder)!r} has {study.search.restarts} restarts, and a table has one search per "
            "cell: record a study with search.restarts = 1, whose further seeds are search.repeats"
        )
    for searcher in study.search.sampler:
        if searcher.name in SPREAD:
            continue
        raise UsageError(
            f"{str(folder)!r} was searched by {searcher.label}, whose trials crowd where losses "
            'are low: record a search with search.sampler = "qmc" or "random"'
        )
    plan = Plan(study, engine or Engine())
    rows = by_cell(standing(plan, read_rows(folder)))
    names = list(dict.fromkeys((study.objective, *study.costs, *study.evaluation.metrics)))
    cells = {
        cell.stem: _recorded(plan.template(cell), rows.get(cell, []), rows, names)
        for cell in plan.tuned
        if plan.searched(cell)
    }
    if not cells:
        raise UsageError(f"{str(folder)!r} searches nothing, so there is nothing to record")
    table = {
        "format": 1,
        "study": study.name,
        "objectives": [study.objective, *study.costs],
        "cells": cells,
        "references": _references(plan, rows, names),
    }
    target = Path(out) if out is not None else Path(f"{study.name}-recorded")
    with refusing(target, "make the folder"):
        target.mkdir(parents=True, exist_ok=True)
    write_output(target / TABLE, (json.dumps(table, separators=(",", ":")) + "\n").encode())
    write_output(target / PROBLEM, Path(__file__).with_name("recorded.py").read_bytes())
    seeds = min(_seeds(cell) for cell in cells.values())
    return Recorded(target, len(cells), sum(len(c["params"]) for c in cells.values()), seeds)


def _seeds(cell: Mapping[str, Any]) -> int:
    return len(next(iter(cell["losses"].values()))[0])


def _recorded(
    template: Template, rows: Iterable[Row], every: Mapping[Cell, list[Row]], names: list[str]
) -> dict[str, Any]:
    """Return the record of one cell.

    Raises:
        UsageError: Its trials have not all the same seeds, or nothing can be looked up.
    """
    from .search import trial_of

    study, cell = template.study, template.cell
    runs: dict[int, dict[int, Row]] = {}
    for row in rows:
        if row.slot.phase == "search":
            runs.setdefault(row.slot.trial or 0, {})[row.slot.replicate] = row
    kept = _with_seeds(cell, study.search.trials, study.search.repeats, runs, study.objective)
    spaces, params = [], []
    for trial in kept:
        row = runs[trial][0]
        frozen = trial_of(template, row, [0.0] * (1 + len(study.costs)))[1]
        spaces.append(frozen.distributions)
        params.append(dict(frozen.params))
        if wrong := [
            name for name, value in params[-1].items() if value_at(row.run, name) != value
        ]:
            raise UsageError(f"{row.name}: the method does not use {wrong[0]} as it was suggested")
    if any(space != spaces[0] for space in spaces):
        raise UsageError(
            f"the search space of {cell.stem} branches, so configurations have no distance: "
            "fix the choice that opens the branch"
        )
    floors = every.get(Cell(TRUTH, cell.dataset, IID), [])
    floor = {name: [x for row in floors if (x := _number(row, name)) is not None] for name in names}
    return {
        "labels": list(cell.labels),
        "run": frame(runs[kept[0]][0].run, params[0]),
        "space": {name: _distribution(space) for name, space in spaces[0].items()},
        "params": [[values[name] for name in spaces[0]] for values in params],
        "losses": {
            name: [
                [_number(runs[t].get(k), name) for k in range(study.search.repeats + 1)]
                for t in kept
            ]
            for name in names
        },
        "floor": {name: values for name, values in floor.items() if values},
    }


def _with_seeds(
    cell: Cell, trials: int, repeats: int, runs: Mapping[int, Mapping[int, Row]], objective: str
) -> list[int]:
    """Return the trials with all seeds, and those that failed and were not repeated.

    Raises:
        UsageError: There are others, which have fewer seeds; or all failed.
    """
    if len(runs) < trials:
        raise UsageError(f"{cell.stem} has {len(runs)} of {trials} trials: finish the study first")
    good = {t for t, own in runs.items() if own[0].loss(objective) < math.inf}
    if not good:
        raise UsageError(f"all trials of {cell.stem} failed: there is nothing to record")
    specs = {t: runs[t][0].spec for t in sorted(good)}
    distinct = {spec: t for t, spec in reversed(specs.items())}
    lacking = [t for t in distinct.values() if len(runs[t]) <= repeats]
    if lacking or not repeats:
        raise UsageError(
            f"{len(lacking) or trials} of {trials} trials of {cell.stem} have no replicates on "
            f"every seed: record a study with search.finalists = {trials} and search.repeats = 4"
        )
    return sorted({*distinct.values(), *(runs.keys() - good)})


def _distribution(space: Any) -> str:
    from optuna.distributions import distribution_to_json

    return distribution_to_json(space)


def _number(row: Row | None, name: str) -> float | None:
    """Return a loss with a few digits; None if the run failed or there is none."""
    loss = row.loss(name) if row is not None else math.inf
    return float(f"{loss:.{_DIGITS}g}") if math.isfinite(loss) else None


def _references(
    plan: Plan, rows: Mapping[Cell, list[Row]], names: list[str]
) -> list[dict[str, Any]]:
    """Return the losses of the reference rows."""
    return [
        {
            "run": frame(rows[cell][0].run, ()),
            "losses": {name: [_number(row, name) for row in rows[cell]] for name in names},
        }
        for cell in plan.references
        if cell in rows
    ]
