"""The tables of a study in formats for other programs and for papers."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from ..bench.spec import COLUMNS
from ..datasets.errors import UsageError, unknown
from ..studies.results import to_csv
from .pages.tables import ShownTable, exactly, table, to_json, to_latex, to_markdown
from .ranking import budget
from .ranking import sensitivity as hyperparameters
from .ranking.board_columns import board_columns
from .ranking.cell_columns import cell_columns
from .ranking.cell_results import failed
from .ranking.claims import PlannedClaim, claim_columns, claims
from .ranking.contests import standings
from .ranking.leaderboard import PER_DATASET, board_frame, cell_frame
from .ranking.pairs import pair_columns, pairs
from .ranking.pareto import Point, front_columns, front_frame, points
from .ranking.questions import Question, question_columns, questions
from .ranking.samplers import at_the_end, sampler_columns, sampler_standings
from .ranking.searchers import searcher_columns
from .ranking.split import Split, split_columns, splits
from .source import Source

RESULTS = COLUMNS | {
    "searcher": "Label of the searcher, in studies of several; empty for references.",
    "feasible": "Whether the run keeps all limits of `search.require`; empty for references.",
}
"""Columns of the results table, with their meanings."""

FORMATS = ("csv", "parquet", "json", "markdown", "latex")
_OF_FAILURES = ("phase", "method", "dataset", "sampler", "trial", "replicate", "state", "failure")
_READ_BY_PEOPLE = ("markdown", "latex")


@dataclass(frozen=True)
class Export:
    """A table that can be exported.

    Attributes:
        frame: Returns all columns with all digits.
        shown: Returns the table for people; ``None`` if that is the frame.
        summary: Content, in a few words.
        columns: Meaning of each column; capitals in a name are placeholders.
    """

    frame: Callable[[Source], pd.DataFrame]
    shown: Callable[[Source], ShownTable] | None
    summary: str
    columns: Mapping[str, str]


def _splits(source: Source) -> list[Split]:
    evidence = source.evidence
    return [split for dataset in evidence.datasets for split in splits(evidence, dataset)]


def _questions(source: Source) -> list[Question]:
    evidence = source.evidence
    return [asked for dataset in evidence.datasets for asked in questions(evidence, dataset)]


def _claims(source: Source) -> list[PlannedClaim]:
    plan = source.study.plan
    return [] if plan is None else claims(source.evidence, plan)


def _points(source: Source) -> list[Point]:
    evidence, costs = source.evidence, source.study.costs
    return [point for dataset in evidence.datasets for point in points(evidence, costs, dataset)]


def _failures(source: Source) -> pd.DataFrame:
    results = source.results
    told = failed(results) | (results["failure"] != "")
    return results.loc[told, list(_OF_FAILURES)].reset_index(drop=True)


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
        "one row per method and dataset",
        cell_columns.meanings | {"params.NAME": "Hyperparameters of the winner."},
    ),
    "pairs": Export(
        lambda source: pd.DataFrame(map(pair_columns.values, pairs(source.evidence))),
        lambda source: table(pair_columns, pairs(source.evidence)),
        "one row per pair of methods",
        pair_columns.meanings,
    ),
    "claims": Export(
        lambda source: pd.DataFrame(
            map(claim_columns.values, _claims(source)), columns=list(claim_columns.meanings)
        ),
        lambda source: table(claim_columns, _claims(source), labelled=("dataset",)),
        "what the study was registered to test, and the outcome",
        claim_columns.meanings,
    ),
    "errors": Export(
        lambda source: pd.DataFrame(
            map(split_columns.values, _splits(source)), columns=list(split_columns.meanings)
        ),
        lambda source: table(split_columns, _splits(source), labelled=("dataset",)),
        "learning error and sampling error, if models were also sampled exactly",
        split_columns.meanings,
    ),
    "questions": Export(
        lambda source: pd.DataFrame(
            map(question_columns.values, _questions(source)),
            columns=list(question_columns.meanings),
        ),
        lambda source: table(question_columns, _questions(source), labelled=("dataset",)),
        "each trained model under each sampler, beside the exact score",
        question_columns.meanings,
    ),
    "front": Export(
        lambda source: front_frame(_points(source), source.study.costs),
        lambda source: table(front_columns, _points(source), labelled=("dataset",)),
        "quality against cost of the finalists",
        front_columns.meanings | {"COST": "Mean of a further objective."},
    ),
    "budgets": Export(
        lambda source: budget.budgets(source.evidence, source.independent),
        None,
        "best value of each search after a number of trials or seconds",
        budget.COLUMNS,
    ),
    "searchers": Export(
        lambda source: pd.DataFrame(
            map(searcher_columns.values, standings(source.contests)),
            columns=list(searcher_columns.meanings),
        ),
        lambda source: table(searcher_columns, standings(source.contests)),
        "search algorithms after each number of trials, if there are several",
        searcher_columns.meanings,
    ),
    "samplers": Export(
        lambda source: pd.DataFrame(
            map(sampler_columns.values, sampler_standings(source.samplers)),
            columns=list(sampler_columns.meanings),
        ),
        lambda source: table(sampler_columns, at_the_end(source.samplers)),
        "samplers with each number of evaluations, in studies of the exact score",
        sampler_columns.meanings,
    ),
    "sensitivity": Export(
        lambda source: source.sensitivity,
        None,
        "importance and edge of every hyperparameter",
        hyperparameters.COLUMNS,
    ),
    "failures": Export(
        _failures,
        None,
        "failed runs and metrics, with their reasons",
        {name: RESULTS[name] for name in _OF_FAILURES},
    ),
    "results": Export(lambda source: source.results, None, "all runs", RESULTS),
}
"""Tables by name."""


def export(source: Source, name: str, kind: str, exact: bool = False) -> bytes:
    """Return a table of a study as the content of a file.

    CSV, Parquet and JSON have all columns and digits. Markdown and LaTeX have the columns and
    digits for people, unless ``exact``.

    Args:
        source: The run directory.
        name: A key of ``TABLES``.
        kind: One of ``FORMATS``.
        exact: Whether Markdown and LaTeX have all columns and digits, too.

    Raises:
        UsageError: There is no such table or format.
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    if exact and kind not in _READ_BY_PEOPLE:
        raise UsageError(f"{kind} always has all digits: leave out --exact")
    chosen = TABLES[name]
    if kind in _READ_BY_PEOPLE and chosen.shown is not None and not exact:
        filled = chosen.shown(source)
        return (to_markdown(filled) if kind == "markdown" else to_latex(filled)).encode()
    frame = chosen.frame(source)
    if kind == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    return written(frame, kind).encode()


def written(frame: pd.DataFrame, kind: str) -> str:
    """Write all columns and digits of a table as ``csv``, ``json``, ``markdown`` or ``latex``."""
    forms: dict[str, Callable[[pd.DataFrame], str]] = {
        "csv": to_csv,
        "json": to_json,
        "markdown": lambda frame: to_markdown(exactly(frame)),
        "latex": lambda frame: to_latex(exactly(frame)),
    }
    return forms[kind](frame)
