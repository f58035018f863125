"""Every table of a study for other programs: the same numbers whichever way they are written."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from ..datasets.errors import UsageError, unknown
from ..studies.results import COLUMNS as RESULTS
from .pages.tables import ShownTable, exactly, table, to_json, to_latex, to_markdown
from .ranking import budget
from .ranking import sensitivity as hyperparameters
from .ranking.board_columns import board_columns
from .ranking.cell_columns import cell_columns
from .ranking.leaderboard import PER_DATASET, board_frame, cell_frame
from .ranking.pairs import pair_columns, pairs
from .ranking.pareto import front_columns, front_frame, points
from .ranking.split import Split, split_columns, splits
from .source import Source

FORMATS = ("csv", "parquet", "json", "markdown", "latex")
_OF_FAILURES = (
    "phase", "method", "dataset", "sampler", "trial", "replicate", "state", "failure",
)  # fmt: skip
_READ_BY_PEOPLE = ("markdown", "latex")


@dataclass(frozen=True)
class Export:
    """A table that can be had.

    Attributes:
        frame: All its columns, every digit.
        shown: As people read it; ``None`` where that is the same.
        summary: What it holds.
        columns: What each column means; capitals in a name stand for names.
    """

    frame: Callable[[Source], pd.DataFrame]
    shown: Callable[[Source], ShownTable] | None
    summary: str
    columns: Mapping[str, str]


def _pair_frame(source: Source) -> pd.DataFrame:
    return pd.DataFrame([pair_columns.values(pair) for pair in pairs(source.evidence)])


def _splits(source: Source) -> list[Split]:
    return [one for d in source.evidence.datasets for one in splits(source.evidence, d)]


def _split_frame(source: Source) -> pd.DataFrame:
    rows = [split_columns.values(one) for one in _splits(source)]
    return pd.DataFrame(rows, columns=list(split_columns.meanings))


def _failures(source: Source) -> pd.DataFrame:
    failed = source.results["state"] != "ok"
    return source.results.loc[failed, list(_OF_FAILURES)].reset_index(drop=True)


TABLES: dict[str, Export] = {
    "board": Export(
        lambda source: board_frame(source.evidence),
        lambda source: table(board_columns, source.evidence.contestants),
        "the leaderboard across the datasets",
        board_columns.meanings | PER_DATASET,
    ),
    "cells": Export(
        lambda source: cell_frame(source.evidence),
        lambda source: table(cell_columns, source.evidence.cells, labelled=("dataset",)),
        "a row per method and dataset",
        cell_columns.meanings | {"params.NAME": "The hyperparameters of that configuration."},
    ),
    "pairs": Export(
        _pair_frame,
        lambda source: table(pair_columns, pairs(source.evidence)),
        "a row per pair of methods",
        pair_columns.meanings,
    ),
    "errors": Export(
        _split_frame,
        lambda source: table(split_columns, _splits(source), labelled=("dataset",)),
        "error of learning and error of sampling, where models were also sampled exactly",
        split_columns.meanings,
    ),
    "front": Export(
        lambda source: front_frame(source.evidence, source.study.costs),
        lambda source: table(
            front_columns,
            [
                one
                for dataset in source.evidence.datasets
                for one in points(source.evidence, source.study.costs, dataset)
            ],
            labelled=("dataset",),
        ),
        "quality against cost of the configurations that were trained again",
        front_columns.meanings | {"COST": "Mean of each further objective, by its name."},
    ),
    "budgets": Export(
        lambda source: budget.budgets(source.evidence, source.independent),
        None,
        "who had found what after so many trials or seconds",
        budget.COLUMNS,
    ),
    "sensitivity": Export(
        lambda source: hyperparameters.sensitivity(source.study, source.evidence),
        None,
        "importance and edges of every hyperparameter",
        hyperparameters.COLUMNS,
    ),
    "failures": Export(
        _failures,
        None,
        "runs without a value, with their reasons",
        {name: RESULTS[name] for name in _OF_FAILURES},
    ),
    "results": Export(lambda source: source.results, None, "every run", RESULTS),
}
"""Tables by name."""


def export(source: Source, name: str, kind: str, exact: bool = False) -> bytes:
    """A table of a study as a file.

    CSV, Parquet and JSON have all columns and every digit. Markdown and LaTeX have the columns and
    digits that people read, unless ``exact``.

    Args:
        source: The run directory, read.
        name: A key of ``TABLES``.
        kind: One of ``FORMATS``.
        exact: Whether Markdown and LaTeX too have everything.

    Raises:
        UsageError: There is no such table or format.
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    if exact and kind not in _READ_BY_PEOPLE:
        raise UsageError(f"{kind} always has every digit: leave out --exact")
    wanted = TABLES[name]
    if kind in _READ_BY_PEOPLE:
        shown = wanted.shown
        filled = exactly(wanted.frame(source)) if exact or shown is None else shown(source)
        return (to_markdown(filled) if kind == "markdown" else to_latex(filled)).encode()
    frame = wanted.frame(source)
    if kind == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if kind == "json":
        return to_json(frame).encode()
    return str(frame.to_csv(index=False, lineterminator="\n")).encode()
