"""Tables for readers, as Markdown, LaTeX and JSON."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from ...datasets.errors import visible
from .. import text
from ..ranking.columns import Columns
from ..ranking.evidence import Evidence

Row = TypeVar("Row")


@dataclass(frozen=True)
class Field:
    """One entry of a table.

    Attributes:
        text: Text to read.
        sort: Number or word to sort by.
    """

    text: str
    sort: str


@dataclass(frozen=True)
class ShownTable:
    """A table as text.

    Attributes:
        headers: One per column.
        helps: Meaning of each column.
        numeric: Whether each column is aligned right.
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
) -> ShownTable:
    """Fill a table from an object per row, leaving out columns without any entry.

    Columns ``without`` are left out, too; those ``labelled`` are shown although they have no
    header of their own.
    """
    filled = [
        (column, [column.compute(row) for row in rows], [column.shown(row) for row in rows])
        for column in columns.named(labelled)
        if column.name not in without
    ]
    shown = [
        (column, values, texts)
        for column, values, texts in filled
        if not rows or any(entry not in ("", text.MISSING) for entry in texts)
    ]
    return ShownTable(
        tuple(column.header for column, _, _ in shown),
        tuple(column.meaning for column, _, _ in shown),
        tuple(any(isinstance(value, float | int) for value in values) for _, values, _ in shown),
        tuple(
            tuple(Field(texts[i], _sort_key(values[i])) for _, values, texts in shown)
            for i in range(len(rows))
        ),
    )


def hidden_columns(evidence: Evidence) -> list[str]:
    """Return the names of columns that the report leaves out: what all contestants share."""
    return {"methods": ["sampler"], "samplers": ["method"]}.get(evidence.nouns, [])


def exactly(frame: pd.DataFrame) -> ShownTable:
    """Show all columns of a DataFrame with every digit; missing values are empty."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    return ShownTable(
        tuple(map(str, frame.columns)),
        ("",) * len(frame.columns),
        tuple(numeric),
        tuple(
            tuple(Field(_exact(value), _sort_key(value)) for value in row)
            for row in frame.itertuples(index=False)
        ),
    )


def _exact(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    value = _plain(value)
    return repr(value) if isinstance(value, float) else " ".join(str(value).split())


def _plain(value: object) -> object:
    """Return a NumPy scalar as Python's type."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def to_markdown(shown: ShownTable) -> str:
    """Format a table as GitHub Markdown."""
    rules = ["--:" if right else ":--" for right in shown.numeric]
    lines = [shown.headers, rules, *([field.text for field in row] for row in shown.rows)]
    escaped = ([inactive(entry) for entry in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def inactive(sentence: str) -> str:
    """Escape what would be HTML, a link, a picture, a cell or a line of its own in Markdown."""
    return _ACTIVE.sub(r"\\\g<0>", visible(sentence).replace("\n", " "))


_ACTIVE = re.compile(r"[\\|]|<(?=[A-Za-z/!?])|\](?=[(\[:])")


_LATEX = str.maketrans(
    {
        "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
        "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}", "–": "--", "·": r"$\cdot$",
        "<": r"$<$", ">": r"$>$", "[": "{[}", "]": "{]}", "\n": " ",
    }
)  # fmt: skip


def to_latex(shown: ShownTable) -> str:
    """Format a table for LaTeX with the package booktabs."""
    align = "".join("r" if right else "l" for right in shown.numeric)
    lines = [[field.text for field in row] for row in shown.rows]
    head, *body = (
        " & ".join(visible(entry).translate(_LATEX) for entry in line) + r" \\"
        for line in [list(shown.headers), *lines]
    )
    parts = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*parts, r"\bottomrule", r"\end{tabular}", ""])


def to_json(frame: pd.DataFrame) -> str:
    """Format rows as JSON; missing is ``null``, infinite ``1e999``, which parses as infinite."""
    names = [json.dumps(str(name)) for name in frame.columns]
    rows = (
        ", ".join(f"{name}: {_json(value)}" for name, value in zip(names, row, strict=True))
        for row in frame.itertuples(index=False)
    )
    return "[\n" + ",\n".join(f"  {{{row}}}" for row in rows) + "\n]\n"


def _json(value: object) -> str:
    value = _plain(value)
    if value is pd.NA:
        return "null"
    if isinstance(value, float):
        if math.isnan(value):
            return "null"
        if math.isinf(value):
            return "1e999" if value > 0 else "-1e999"
    return json.dumps(value, ensure_ascii=False)


def _sort_key(value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "inf"
    return str(value)
