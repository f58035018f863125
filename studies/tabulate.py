"""Rows as columns of one type each, in packed pieces: a large table need not fit in memory."""

import io
import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pandas as pd

from ..bench.spec import COMPUTE_COLUMNS
from ..datasets.errors import visible
from .cell import Slot
from .plan import Plan
from .rundir.rows import Row
from .specs.open import value_in
from .specs.require import met
from .specs.tables import Search

PIECE = 20_000
"""Rows of a piece."""


class Tabulated:
    """The results table of some rows, with ``COLUMNS``.

    Args:
        rows: The rows, in the order of the table.
        plan: The plan of their study.

    Attributes:
        runs: Number of rows.
        failures: Number of those that are not ok.
    """

    def __init__(self, rows: Iterable[Row], plan: Plan) -> None:
        self.runs = self.failures = 0
        self._study = plan.study
        self._pieces: list[bytes] = []
        self._metrics: set[str] = set()
        self._compute: set[str] = set()
        self._kinds: dict[str, set[type]] = {}
        remaining = iter(rows)
        while piece := list(islice(remaining, PIECE)):
            self._add(piece, plan)

    def _add(self, rows: list[Row], plan: Plan) -> None:
        search = self._study.search
        records = [_record(row, plan.template(row.slot.cell).places, search) for row in rows]
        for row in rows:
            self.runs += 1
            self.failures += not row.ok
            self._metrics |= row.result.metrics.keys()
            self._compute |= row.result.compute.keys()
        names = dict.fromkeys(name for record in records for name in record)
        columns = {name: [record.get(name) for record in records] for name in names}
        for name in names:
            if name.startswith("params."):
                kinds = {type(value) for value in columns[name] if value is not None}
                self._kinds.setdefault(name, set()).update(kinds)
        self._pieces.append(zlib.compress(json.dumps([len(rows), columns]).encode(), 1))

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the pieces of the table; at least one, which may be empty."""
        types = self._types()
        for piece in self._pieces or [zlib.compress(b"[0, {}]")]:
            count, values = json.loads(zlib.decompress(piece))
            columns = {name: values.get(name, [None] * count) for name in types}
            yield pd.DataFrame({name: _typed(columns[name], form) for name, form in types.items()})

    def frame(self, *, whole: bool = True) -> pd.DataFrame:
        """Return the table, or without what ``light`` leaves out."""
        pieces = (table if whole else light(table) for table in self.tables())
        return pd.concat(pieces, ignore_index=True)

    def parquet(self) -> bytes:
        """Return the content of a Parquet file, with one group of rows for each piece."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        buffer = io.BytesIO()
        pieces = (pa.Table.from_pandas(table, preserve_index=False) for table in self.tables())
        first = next(pieces)
        with ParquetWriter(buffer, first.schema) as file:
            file.write_table(first)
            for piece in pieces:
                file.write_table(piece)
        return buffer.getvalue()

    def _types(self) -> dict[str, str | None]:
        """Type of each column, in order; None for that of its values."""
        search, objectives = self._study.search, self._study.evaluation.metrics
        columns = {
            "phase": True, "method": True, "dataset": True, "sampler": True,
            "restart": search.restarts > 1, "searcher": len(search.sampler) > 1,
            "trial": True, "replicate": True, "state": True, "failure": True,
            "feasible": bool(search.require), "key": True,
        }  # fmt: skip
        types: dict[str, str | None] = {name: None for name, there in columns.items() if there}
        types |= {"trial": "Int64"} | ({"feasible": "boolean"} if search.require else {})
        types |= dict.fromkeys([*objectives, *sorted(self._metrics - {*objectives})], "float64")
        types |= {name: _type_of(self._kinds[name]) for name in sorted(self._kinds)}
        further = sorted(self._compute - {*COMPUTE_COLUMNS})
        types |= dict.fromkeys([*COMPUTE_COLUMNS, *further], "float64")
        return types | {"environment": None, "spec": None}


def light(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what makes up most of a table: keys, and specs but for those of confirmation."""
    confirmed = table["spec"].where(table["phase"] == "confirm")
    return table.drop(columns="key").assign(spec=confirmed)


def _type_of(kinds: set[type]) -> str:
    """One type for values of some types, as Parquet needs it; whole numbers stay whole."""
    if kinds == {int}:
        return "Int64"
    if kinds == {bool}:
        return "boolean"
    return "float64" if kinds <= {int, float} else "str"


def _typed(values: list[Any], form: str | None) -> "pd.Series[Any]":
    if form == "str":
        values = [value if value is None else str(value) for value in values]
    return pd.Series(values, dtype=form)


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
    lists = {name: str(value) for name, value in record.items() if isinstance(value, tuple)}
    texts = {name: visible(value) for name, value in record.items() if isinstance(value, str)}
    return record | lists | texts
