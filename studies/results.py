"""Rows as a pandas table, whose order and columns do not depend on the order of the runs."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ..datasets.errors import UsageError, visible
from .engine import Engine
from .plan import Plan
from .progress import standing_in
from .rundir.files import refusing, write_atomically, write_pieces_if_changed
from .rundir.notes import PARQUET, RESULTS, noted
from .rundir.packed import PackedRows
from .rundir.read import read_packed, read_study
from .rundir.rows import Row
from .tabulate import Tabulated

_PHASES = ("reference", "search", "confirm")


def read_results(
    directory: str | Path, engine: Engine | None = None, *, whole: bool = True
) -> pd.DataFrame:
    """Read the results table of a run directory, which may be incomplete.

    Args:
        directory: The run directory.
        engine: Where methods, datasets and samplers are found.
        whole: False leaves out keys, and the specs of all but confirmation runs, which are most of
            a large table.

    Raises:
        UsageError: It is not a run directory, or cannot be read.
    """
    path = Path(directory)
    plan = Plan(read_study(path), engine or Engine())
    made: list[Tabulated] = []

    def is_stored() -> bool:
        made.append(Tabulated(ordered(plan, read_packed(path)), plan))
        stored = path / PARQUET
        # Compared as bytes: a file that may be anybody's is not parsed.
        return stored.is_file() and stored.read_bytes() == made[0].parquet()

    ours = type(plan.engine) is Engine and plan.study.self_contained
    if ours and noted(path, PARQUET, is_stored) and not made:
        return _read_parquet(path / PARQUET, whole)
    table = made[0] if made else Tabulated(ordered(plan, read_packed(path)), plan)
    return table.frame(whole=whole)


def _read_parquet(path: Path, whole: bool) -> pd.DataFrame:
    if whole:
        return pd.read_parquet(path)
    from pyarrow.parquet import read_schema

    names = [name for name in read_schema(path).names if name not in ("key", "spec")]
    table = pd.read_parquet(path, columns=names)
    # The groups of rows that hold confirmation runs are few.
    confirmed = pd.read_parquet(path, columns=["spec"], filters=[("phase", "=", "confirm")])
    places = table.index[table["phase"] == "confirm"]
    return table.assign(spec=confirmed["spec"].set_axis(places))


def write_results(directory: Path, rows: PackedRows, plan: Plan) -> tuple[int, int]:
    """Write ``results.csv`` and ``results.parquet``; equal tables leave the files alone.

    Returns:
        The number of runs in the table, and of those that failed.

    Raises:
        UsageError: The disk is full or missing.
    """
    table = Tabulated(ordered(plan, rows), plan)
    parquet = directory / PARQUET
    with refusing(directory, "write to"):
        changed = write_pieces_if_changed(directory / RESULTS, partial(csv_pieces, table))
        if changed or not parquet.exists():
            write_atomically(parquet, table.parquet())
    return table.runs, table.failures


def csv_pieces(table: Tabulated) -> Iterator[bytes]:
    """Yield the content of ``results.csv``."""
    for number, piece in enumerate(table.tables()):
        yield to_csv(piece, header=not number).encode()


# Where a cell begins that a spreadsheet executes: at the start of a text, or where it may split it.
_FORMULA = re.compile(r"(^|[;\t\n])(?=[-=+@\t\n＝＋－＠'])")
_SHIELDED = re.compile(r"(^|[;\t\n])'")


def to_csv(table: pd.DataFrame, *, header: bool = True) -> str:
    """Write a table as CSV, in which spreadsheets find no formulas.

    Text that they would execute, which begins with =, +, - or @, gets an apostrophe before it; so
    does text that begins with an apostrophe. Control characters are made ``visible``.
    """
    shielded = _changed(table, lambda text: _FORMULA.sub(r"\1'", visible(text)))
    return str(shielded.to_csv(index=False, header=header, lineterminator="\n"))


def read_csv(file: str | Path | IO[str], **options: Any) -> pd.DataFrame:
    """Read what ``to_csv`` wrote, with the options of ``pandas.read_csv``; texts are as before."""
    return _changed(pd.read_csv(file, **options), lambda text: _SHIELDED.sub(r"\1", text))


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Change all texts of a table, names of columns included."""
    changed = {}
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            texts = {v: change(v) for v in table[name].unique() if isinstance(v, str)}
            changed[name] = table[name].map(lambda value, texts=texts: texts.get(value, value))
    return table.assign(**changed).rename(columns=lambda name: change(str(name)))


def frame(rows: Iterable[Row], plan: Plan) -> pd.DataFrame:
    """Make the results table, with ``COLUMNS``: one line per row, in the order of the study."""
    return Tabulated(in_order(rows, plan), plan).frame()


def in_order(rows: Iterable[Row], plan: Plan) -> list[Row]:
    """Sort rows by phase, cell, trial and replicate."""
    rank = {cell: i for i, cell in enumerate(plan.cells)}

    def order(row: Row) -> tuple[int, int, int, int]:
        return _PHASES.index(row.slot.phase), rank[row.slot.cell], *_number(row)

    try:
        return sorted(rows, key=order)
    except KeyError as error:
        raise UsageError(f"the table has rows of {error}, which is not in its study") from error


def ordered(plan: Plan, stored: PackedRows) -> Iterator[Row]:
    """Yield the rows that count in the order of the table; one cell at a time is in memory."""
    for cell in stored.names - set(plan.cells):
        raise UsageError(f"the table has rows of {cell}, which is not in its study")
    confirmed = PackedRows()
    # References are the first cells, and have no other rows.
    for cell in plan.cells:
        for row in sorted(standing_in(plan, cell, stored.of(cell)), key=_number):
            if row.slot.phase == "confirm":
                confirmed.add(row)
            else:
                yield row
    for _, rows in confirmed.cells():
        yield from rows


def _number(row: Row) -> tuple[int, int]:
    trial = row.slot.trial
    return -1 if trial is None else trial, row.slot.replicate


def mean(values: Sequence[float]) -> float | None:
    """Mean of some values, None of none."""
    return math.fsum(values) / len(values) if values else None
