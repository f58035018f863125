"""Tables as people read them, and as other programs do."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from .. import text
from ..ranking.columns import Columns

Row = TypeVar("Row")


@dataclass(frozen=True)
class Field:
    """One entry of a table.

    Attributes:
        text: What is read.
        sort: What the table is sorted by, a number or a word.
    """

    text: str
    sort: str


@dataclass(frozen=True)
class Table:
    """A table ready to be shown.

    Attributes:
        headers: One per column.
        helps: What each column means.
        numeric: Which columns are set flush right.
        rows: As many fields as headers in each.
    """

    headers: tuple[str, ...]
    helps: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Field, ...], ...]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Header and meaning of the columns that have one."""
        return [pair for pair in zip(self.headers, self.helps, strict=True) if pair[1]]


def table(
    columns: Columns[Row],
    rows: Sequence[Row],
    without: Sequence[str] = (),
    labelled: Sequence[str] = (),
) -> Table:
    """Fill a table; columns that would be empty in every row are left out.

    Args:
        columns: Registry of columns.
        rows: What they are computed from.
        without: Names of columns to leave out.
        labelled: Names of columns to show although they have no header of their own.
    """
    filled = [
        (column, [(column.show(row), column.compute(row)) for row in rows])
        for column in columns.named(labelled)
        if column.name not in without
    ]
    kept = [(c, v) for c, v in filled if not v or any(t not in ("", text.MISSING) for t, _ in v)]
    return Table(
        tuple(column.header for column, _ in kept),
        tuple(column.help for column, _ in kept),
        tuple(any(isinstance(value, float | int) for _, value in values) for _, values in kept),
        tuple(
            tuple(Field(values[i][0], _sort_key(values[i][1])) for _, values in kept)
            for i in range(len(rows))
        ),
    )


def exactly(frame: pd.DataFrame) -> Table:
    """All columns of a DataFrame with every digit; nothing stands for what is missing."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    return Table(
        tuple(map(str, frame.columns)),
        ("",) * len(frame.columns),
        tuple(numeric),
        tuple(
            tuple(Field(_exact(value), _sort_key(value)) for value in row)
            for row in frame.itertuples(index=False)
        ),
    )


def _exact(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    item = getattr(value, "item", None)
    plain = item() if callable(item) else value
    return repr(plain) if isinstance(plain, float) else " ".join(str(plain).split())


def to_markdown(shown: Table) -> str:
    """A table in GitHub's Markdown."""
    rules = ["--:" if right else ":--" for right in shown.numeric]
    lines = [shown.headers, rules, *([field.text for field in row] for row in shown.rows)]
    return "".join(
        f"| {' | '.join(entry.replace('|', chr(92) + '|') for entry in line)} |\n" for line in lines
    )


_LATEX = str.maketrans(
    {
        "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
        "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}", "–": "--", "·": r"$\cdot$",
        "<": r"$<$", ">": r"$>$",
    }
)  # fmt: skip


def to_latex(shown: Table) -> str:
    """A table for LaTeX with the package booktabs."""
    align = "".join("r" if right else "l" for right in shown.numeric)
    lines = [[field.text for field in row] for row in shown.rows]
    head, *body = (
        " & ".join(entry.translate(_LATEX) for entry in line) + r" \\"
        for line in [list(shown.headers), *lines]
    )
    parts = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*parts, r"\bottomrule", r"\end{tabular}", ""])


def to_json(frame: pd.DataFrame) -> str:
    """A list of rows; missing is ``null``, infinite is ``1e999``: valid JSON that reads back so."""
    names = [json.dumps(str(name)) for name in frame.columns]
    rows = (
        ", ".join(f"{name}: {_json(value)}" for name, value in zip(names, row, strict=True))
        for row in frame.itertuples(index=False)
    )
    return "[\n" + ",\n".join(f"  {{{row}}}" for row in rows) + "\n]\n"


def _json(value: Any) -> str:
    item = getattr(value, "item", None)
    value = item() if callable(item) else value
    if value is pd.NA:
        return "null"
    if isinstance(value, float):
        if math.isnan(value):
            return "null"
        if math.isinf(value):
            return "1e999" if value > 0 else "-1e999"
    return json.dumps(value, ensure_ascii=False)


def _sort_key(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "inf"
    return str(value)
