"""Columns of the table of cells: one row per method and dataset."""

import math

import numpy as np

from .. import text
from .cell_results import CellResults, failed
from .columns import Column, Columns, estimated


def show_mean(row: CellResults) -> str:
    """Return the confirmed mean, the number of failures, or that it is missing."""
    if row.missing:
        return "missing"
    if row.failed:
        return f"{row.failed} of {len(row.confirm)} failed"
    mark = " = floor" if row.at_floor else ""
    return text.mean_of(row.mean, row.loss.half_width()) + mark


def mean_of(row: CellResults, column: str) -> float:
    """Return the mean of a column over the confirmed runs, ``nan`` without it."""
    confirmed = row.confirm
    return float(confirmed[column].mean()) if column in confirmed else math.nan


def optimism(row: CellResults) -> float:
    """Return the best value of the search minus the confirmed mean, ``nan`` without either."""
    if not math.isfinite(row.search_best) or not math.isfinite(row.mean):
        return math.nan
    return row.search_best - row.mean


def failures(cells: list[CellResults]) -> tuple[int, int]:
    """Return the number of failed runs and of all runs of some cells."""
    tables = [results.runs for results in cells]
    return sum(int(failed(rows).sum()) for rows in tables), sum(map(len, tables))


def failure_rate(counts: tuple[int, int]) -> float:
    """Return the share of failed runs, ``nan`` without runs."""
    return counts[0] / counts[1] if counts[1] else math.nan


def show_failures(counts: tuple[int, int]) -> str:
    """Return ``2 of 27``."""
    return text.MISSING if counts[1] == 0 else f"{counts[0]} of {counts[1]}"


def _floor_95(row: CellResults) -> float:
    return float(np.quantile(row.truth, 0.95)) if len(row.truth) else math.nan


def _over_floor_95(row: CellResults) -> float:
    limit = _floor_95(row)
    return row.mean / limit if limit > 0 else math.nan


def _trial(row: CellResults) -> float:
    rows = row.confirm
    return float(rows["trial"].iloc[0]) if len(rows) and "trial" in rows else math.nan


cell_columns: Columns[CellResults] = Columns()
cell_columns.ranks("rank on the dataset", lambda row: row.rank)
cell_columns["dataset", ""] = Column("Dataset.", lambda row: row.dataset)
cell_columns["method", "method"] = Column("Method.", lambda row: row.method)
cell_columns["sampler", "sampler"] = Column(
    "Sampler applied to the trained model.", lambda row: row.sampler
)
cell_columns["mean", "mean"] = Column(
    'Confirmed mean; "= floor" if it cannot be distinguished from the noise floor.',
    lambda row: row.mean,
    show_mean,
)
cell_columns["low", "95 % interval"] = Column(
    "Student's 95 % interval of the mean, from the confirmed seeds; in exports its lower limit.",
    lambda row: row.interval[0],
    lambda row: text.interval(*row.interval),
)
cell_columns["high", ""] = Column("Upper 95 % limit of the mean.", lambda row: row.interval[1])
cell_columns["seeds", "seeds"] = Column(
    "Number of confirmation runs, on seeds that no search used.", lambda row: len(row.confirm)
)
cell_columns["failed", ""] = Column("Number of failed confirmation runs.", lambda row: row.failed)
cell_columns["at_floor", ""] = Column(
    "Whether the mean cannot be distinguished from the noise floor.", lambda row: row.at_floor
)
cell_columns["ratio", "× floor"] = Column(
    "Mean divided by the noise floor; empty if the floor is not above zero.",
    lambda row: row.mean / row.floor if row.floor_is_positive else math.nan,
)
cell_columns["floor", ""] = Column(
    "Noise floor: mean of the metric between two samples of the truth.", lambda row: row.floor
)
cell_columns["floor_95", ""] = Column("95 % quantile of the noise floor.", _floor_95)
cell_columns["ratio_95", "÷ 95 % of floor"] = Column(
    "Mean divided by the 95 % quantile of the floor; below 1 if 1 in 20 true samples is worse.",
    _over_floor_95,
)
cell_columns["oracle", ""] = Column(
    "Oracle: mean of the exact score with the same sampler.",
    lambda row: float(row.oracle.mean()) if len(row.oracle) else math.nan,
)
cell_columns["over_exact", "− exact score"] = estimated(
    "Mean minus that of the exact score with the same sampler, ± 95 %: what learning adds. "
    "The rest is sampling error: no method can remove what separates the exact score from the "
    "floor.",
    lambda row: row.learning,
)
cell_columns.limits(
    "over_exact", "95 % limit of that difference", lambda row: row.learning.interval()
)
cell_columns["untrained", ""] = Column(
    "Mean of the untrained network with the same sampler.",
    lambda row: float(row.untrained.mean()) if len(row.untrained) else math.nan,
)
cell_columns["search_best", ""] = Column(
    "Best value among the trials of the search, on the validation sample.",
    lambda row: row.search_best,
)
cell_columns["optimism", "optimism"] = Column(
    "Best value of the search minus the confirmed mean: the search's optimism.", optimism
)
cell_columns["failure_rate", "failures"] = Column(
    "Share of failed runs, search and confirmation together.",
    lambda row: failure_rate(failures([row])),
    lambda row: show_failures(failures([row])),
)
cell_columns["repeats", "repeats"] = Column(
    "Of models that code of others makes: whether a second run with equal seeds is identical, "
    "within tolerance, or differs; points from a file cannot be replayed.",
    lambda row: row.repeats,
    lambda row: row.repeats or text.MISSING,
)
cell_columns["trial", ""] = Column("Number of the trial that won the search.", _trial)
cell_columns["train_evaluations", ""] = Column(
    "Network evaluations (points) in training, mean over the confirmed runs.",
    lambda row: mean_of(row, "train_evaluations"),
)
cell_columns["sample_evaluations", ""] = Column(
    "Network evaluations (points) in sampling, mean over the confirmed runs.",
    lambda row: mean_of(row, "sample_evaluations"),
)
cell_columns["train_seconds", "training"] = Column(
    "Seconds of training, mean over the confirmed runs.",
    lambda row: mean_of(row, "train_seconds"),
    form=text.seconds,
)
cell_columns["sample_seconds", "sampling"] = Column(
    "Seconds of sampling, mean over the confirmed runs.",
    lambda row: mean_of(row, "sample_seconds"),
    form=text.seconds,
)
cell_columns["parameters", "winner"] = Column(
    "Hyperparameters of the winner, which was confirmed.",
    lambda row: ", ".join(f"{name}={value}" for name, value in row.parameters.items()),
    lambda row: ", ".join(f"{name} {text.number(v, 2)}" for name, v in row.parameters.items()),
)
