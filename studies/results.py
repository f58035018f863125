"""Rows as a pandas table, whose order and columns do not depend on the order of the runs."""

import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..datasets.errors import UsageError
from .cell import Slot
from .engine import Engine
from .plan import Plan
from .progress import standing
from .rundir.files import refusing, write_atomically, write_if_changed
from .rundir.read import read_rows, read_study
from .rundir.rows import Row
from .specs.open import value_in

_COMPUTE = (
    "train_evaluations",
    "sample_evaluations",
    "train_seconds",
    "sample_seconds",
    "score_seconds",
)
COLUMNS = {
    "phase": "`reference`, `search` or `confirm`.",
    "method": "Label of the method, or of the reference: truth, exact, untrained, ...",
    "dataset": "Label of the dataset.",
    "sampler": "Label of the sampler; `iid` for the truth itself.",
    "restart": "Number of the restart, in studies of several; 0 for references.",
    "trial": "Number of the configuration in its search; empty for references.",
    "replicate": "Number of the seed; in a search 0 is the trial and others repeat it.",
    "state": "`ok`, `diverged`, `failed` or `timeout`.",
    "failure": "Stage, step and reason; of `ok` runs those of metrics that failed.",
    "key": "Names the run: equal keys are equal settings, seeds and code, so equal numbers.",
    "METRIC": "One per metric of `evaluation.metrics`; empty where it or the run failed.",
    "split.METRIC": "The same on exact points of the model, with `reference.split`.",
    "params.NAME": "Hyperparameters, the learning rate too; empty where the method has none such.",
    "train_evaluations": "Points pushed through the network in training.",
    "sample_evaluations": "Points pushed through the network in sampling.",
    "train_seconds": "Time of training; of runs trained side by side each has its share.",
    "sample_seconds": "Time of sampling.",
    "score_seconds": "Time of scoring.",
    "OTHER": "Further numbers of samplers, such as `acceptance` of `mala`.",
    "environment": "Name of the machine and packages, told in `environment.json`.",
    "spec": "Everything that determines the run, as JSON.",
}
"""Columns of the results table, with their meanings; capitals stand for names."""
_PHASES = ("reference", "search", "confirm")


def read_results(directory: str | Path, engine: Engine | None = None) -> pd.DataFrame:
    """Read the results table of a run directory, which may be incomplete.

    Raises:
        UsageError: It is not a run directory, or cannot be read.
    """
    path = Path(directory)
    plan = Plan(read_study(path), engine or Engine())
    return frame(standing(plan, read_rows(path)), plan)


def write_results(directory: Path, rows: Iterable[Row], plan: Plan) -> None:
    """Write ``results.csv`` and ``results.parquet``; equal tables leave the files alone.

    Raises:
        UsageError: The disk is full or missing.
    """
    table = frame(rows, plan)
    parquet = directory / "results.parquet"
    with refusing(directory, "write to"):
        text = table.to_csv(index=False, lineterminator="\n")
        if write_if_changed(directory / "results.csv", text.encode()) or not parquet.exists():
            buffer = io.BytesIO()
            table.to_parquet(buffer, index=False)
            write_atomically(parquet, buffer.getvalue())


def frame(rows: Iterable[Row], plan: Plan) -> pd.DataFrame:
    """Make the results table, with ``COLUMNS``: one line per row, in the order of the study."""
    ordered = in_order(rows, plan)
    records = [_record(row, plan.template(row.slot.cell).places) for row in ordered]
    metrics = _columns(plan.study.evaluation.metrics, (row.result.metrics for row in ordered))
    params = sorted({key for record in records for key in record if key.startswith("params.")})
    compute = _columns(_COMPUTE, (row.result.compute for row in ordered))
    restart = ["restart"] if plan.study.search.restarts > 1 else []
    columns = [
        "phase", "method", "dataset", "sampler", *restart, "trial", "replicate", "state", "failure",
        "key",
        *metrics, *params, *compute, "environment", "spec",
    ]  # fmt: skip
    table = pd.DataFrame.from_records(records, columns=columns)
    for name in params:
        table[name] = _typed([record.get(name) for record in records])
    floats = [*metrics, *compute]
    return table.astype(dict.fromkeys(floats, "float64") | {"trial": "Int64"})


def _typed(values: list[Any]) -> "pd.Series[Any]":
    """A column of one type, as parquet needs it; whole numbers stay whole."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    texts = [value if value is None else str(value) for value in values]
    return pd.Series(texts, dtype="str")


def in_order(rows: Iterable[Row], plan: Plan) -> list[Row]:
    """Sort rows by phase, cell, trial and replicate."""
    rank = {cell: i for i, cell in enumerate(plan.cells)}

    def order(row: Row) -> tuple[int, int, int, int]:
        cell, phase, trial, replicate = row.slot
        return _PHASES.index(phase), rank[cell], -1 if trial is None else trial, replicate

    try:
        return sorted(rows, key=order)
    except KeyError as error:
        raise UsageError(f"the table has rows of {error}, which is not in its study") from error


def _columns(first: Sequence[str], names: Iterable[Iterable[str]]) -> list[str]:
    """The first columns, then all others by name."""
    return [*first, *sorted({name for row in names for name in row} - set(first))]


def _record(row: Row, places: Iterable[str]) -> dict[str, object]:
    slot: Slot = row.slot
    run = row.run
    params: dict[str, object] = {}
    if slot.trial is not None:
        params = {f"params.{name}": value for name, value in run.method.options.items()}
        params |= {f"params.{name}": value_in(run, name) for name in places}
    return {
        "phase": slot.phase,
        **slot.cell._asdict(),
        "trial": slot.trial,
        "replicate": slot.replicate,
        **row.result.summary(),
        **params,
        "environment": row.environment,
        "spec": row.spec,
    }


def mean(values: Sequence[float]) -> float | None:
    """Mean of some values, None of none."""
    return math.fsum(values) / len(values) if values else None
