"""Rows as a pandas table, whose order and columns do not depend on the order of the runs."""

import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ..bench.spec import COMPUTE_COLUMNS
from ..datasets.errors import UsageError, visible
from .cell import Slot
from .engine import Engine
from .plan import Plan
from .progress import counting
from .rundir.files import refusing, write_atomically, write_if_changed
from .rundir.notes import PARQUET, RESULTS, noted
from .rundir.read import read_cells, read_study
from .rundir.rows import Row
from .specs.open import value_in
from .specs.require import met
from .specs.tables import Search

_PHASES = ("reference", "search", "confirm")
_GROUP = 20_000


def read_results(
    directory: str | Path, engine: Engine | None = None, *, whole: bool = True
) -> pd.DataFrame:
    """Read the results table of a run directory, which may be incomplete.

    Args:
        directory: The run directory.
        engine: Where methods, datasets and samplers are found.
        whole: False allows to leave out keys, and the specs of all but confirmation runs, which
            are most of a large table.

    Raises:
        UsageError: It is not a run directory, or cannot be read.
    """
    path = Path(directory)
    plan = Plan(read_study(path), engine or Engine())
    tables: list[pd.DataFrame] = []

    def is_stored() -> bool:
        tables.append(frame(counting(plan, read_cells(path)), plan))
        stored = path / PARQUET
        # Compared as bytes: what is not known to be ours is not parsed.
        return stored.is_file() and stored.read_bytes() == _to_parquet(tables[0])

    ours = type(plan.engine) is Engine and plan.study.self_contained
    if ours and noted(path, PARQUET, is_stored) and not tables:
        return _read_parquet(path / PARQUET, whole)
    return tables[0] if tables else frame(counting(plan, read_cells(path)), plan)


def _to_parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # Of groups of rows, those with a phase can be found by what is noted of each.
    table.to_parquet(buffer, index=False, row_group_size=_GROUP)
    return buffer.getvalue()


def _read_parquet(path: Path, whole: bool) -> pd.DataFrame:
    if whole:
        return pd.read_parquet(path)
    from pyarrow.parquet import read_schema

    names = [name for name in read_schema(path).names if name not in ("key", "spec")]
    confirmed = pd.read_parquet(path, columns=["spec"], filters=[("phase", "=", "confirm")])
    table = pd.read_parquet(path, columns=names)
    return table.assign(spec=confirmed["spec"].set_axis(table.index[table["phase"] == "confirm"]))


def write_results(directory: Path, rows: Iterable[Row], plan: Plan) -> pd.DataFrame:
    """Write ``results.csv`` and ``results.parquet``; equal tables leave the files alone.

    Returns:
        The table.

    Raises:
        UsageError: The disk is full or missing.
    """
    table = frame(rows, plan)
    parquet = directory / PARQUET
    with refusing(directory, "write to"):
        text = to_csv(table).encode()
        if write_if_changed(directory / RESULTS, text) or not parquet.exists():
            write_atomically(parquet, _to_parquet(table))
    return table


# Where a cell begins that a spreadsheet executes: at the start of a text, or where it may split it.
_FORMULA = re.compile(r"(^|[;\t\n])(?=[-=+@\t\n＝＋－＠'])")
_SHIELDED = re.compile(r"(^|[;\t\n])'")


def to_csv(table: pd.DataFrame) -> str:
    """Write a table as CSV, in which spreadsheets find no formulas.

    Text that they would execute, which begins with =, +, - or @, gets an apostrophe before it; so
    does text that begins with an apostrophe. Control characters are made ``visible``.
    """
    shielded = _changed(table, lambda text: _FORMULA.sub(r"\1'", visible(text)))
    return str(shielded.to_csv(index=False, lineterminator="\n"))


def read_csv(file: str | Path | IO[str], **options: Any) -> pd.DataFrame:
    """Read what ``to_csv`` wrote, with the options of ``pandas.read_csv``; texts are as before."""
    return _changed(pd.read_csv(file, **options), lambda text: _SHIELDED.sub(r"\1", text))


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change all texts of a table, names of columns included."""
    changed = {
        name: table[name].map(lambda value: change(value) if isinstance(value, str) else value)
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name])
    }
    return table.assign(**changed).rename(columns=lambda name: change(str(name)))


def frame(rows: Iterable[Row], plan: Plan) -> pd.DataFrame:
    """Make the results table, with ``COLUMNS``: one line per row, in the order of the study."""
    search, order = plan.study.search, _order(plan)
    values: dict[str, list[Any]] = {}
    places: list[tuple[int, ...]] = []
    metric_names: set[str] = set()
    compute_names: set[str] = set()
    # Columns of values take a fraction of the memory of rows.
    for row in rows:
        place = order(row)
        for name, value in _record(row, plan.template(row.slot.cell).places, search).items():
            column = values.setdefault(name, [])
            column += [None] * (len(places) - len(column))
            column.append(value)
        places.append(place)
        metric_names |= row.result.metrics.keys()
        compute_names |= row.result.compute.keys()
    metrics = _columns(plan.study.evaluation.metrics, metric_names)
    params = sorted(name for name in values if name.startswith("params."))
    compute = _columns(COMPUTE_COLUMNS, compute_names)
    restart = ["restart"] if search.restarts > 1 else []
    searcher = ["searcher"] if len(search.sampler) > 1 else []
    feasible = ["feasible"] if search.require else []
    columns = [
        "phase", "method", "dataset", "sampler", *restart, *searcher, "trial", "replicate", "state",
        "failure", *feasible, "key",
        *metrics, *params, *compute, "environment", "spec",
    ]  # fmt: skip
    floats = [*metrics, *compute]
    types = {**dict.fromkeys(floats, "float64"), "trial": "Int64"}
    types |= dict.fromkeys(feasible, "boolean")
    table = {}
    for name in columns:
        column = values.pop(name, [])
        column += [None] * (len(places) - len(column))
        table[name] = _typed(column) if name in params else pd.Series(column, dtype=types.get(name))
    rank = sorted(range(len(places)), key=places.__getitem__)
    return pd.DataFrame(table).take(rank).reset_index(drop=True)


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
    return sorted(rows, key=_order(plan))


def _order(plan: Plan) -> Callable[[Row], tuple[int, int, int, int]]:
    """Give a function that says where a row stands in the table."""
    rank = {cell: i for i, cell in enumerate(plan.cells)}

    def order(row: Row) -> tuple[int, int, int, int]:
        cell, phase, trial, replicate = row.slot
        if cell not in rank:
            raise UsageError(f"the table has rows of {cell}, which is not in its study")
        return _PHASES.index(phase), rank[cell], -1 if trial is None else trial, replicate

    return order


def _columns(first: Sequence[str], names: set[str]) -> list[str]:
    """The first columns, then all others by name."""
    return [*first, *sorted(names - set(first))]


def _record(row: Row, places: Iterable[str], search: Search) -> dict[str, object]:
    slot: Slot = row.slot
    run = row.run
    params: dict[str, object] = {}
    if slot.trial is not None:
        params = {f"params.{name}": value for name, value in run.method.options.items()}
        params |= {f"params.{name}": value_in(run, name) for name in places}
    record = {
        "phase": slot.phase,
        **slot.cell._asdict(),
        "searcher": "" if slot.trial is None else search.searcher(slot.cell.searcher).label,
        "trial": slot.trial,
        "replicate": slot.replicate,
        **row.result.summary(),
        **params,
        "feasible": None if slot.trial is None else met(search.requirements, row.loss),
        "environment": row.environment,
        "spec": row.spec,
    }
    texts = {name: visible(value) for name, value in record.items() if isinstance(value, str)}
    return {**record, **texts}


def mean(values: Sequence[float]) -> float | None:
    """Mean of some values, None of none."""
    return math.fsum(values) / len(values) if values else None
