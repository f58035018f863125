"""Columns of the table of cells: one row per method and dataset."""

import math

import numpy as np

from .. import text
from .cell_results import CellResults, failed
from .columns import Columns

cell_columns: Columns[CellResults] = Columns()
_on_cell = cell_columns.add


@_on_cell("rank_low", "rank", show=lambda row: text.ranks(row.rank))
def _rank_low(row: CellResults) -> float:
    """Best rank on the dataset compatible with the seeds (joint 95 %)."""
    return row.rank[0] if row.rank else math.nan


@_on_cell("rank_high")
def _rank_high(row: CellResults) -> float:
    """Worst rank on the dataset compatible with the seeds (joint 95 %)."""
    return row.rank[1] if row.rank else math.nan


@_on_cell("dataset")
def _dataset(row: CellResults) -> str:
    """Dataset."""
    return row.dataset


@_on_cell("method", "method")
def _method(row: CellResults) -> str:
    """Method."""
    return row.method


@_on_cell("sampler", "sampler")
def _sampler(row: CellResults) -> str:
    """Sampler applied to the trained model."""
    return row.sampler


def show_mean(row: CellResults) -> str:
    """Return the confirmed mean, the number of failures, or that it is missing."""
    if row.missing:
        return "missing"
    if row.failed:
        return f"{row.failed} of {len(row.confirm)} failed"
    mark = " = floor" if row.at_floor else ""
    return text.mean_of(row.mean, row.loss.half_width()) + mark


@_on_cell("mean", "mean", show=show_mean)
def _mean(row: CellResults) -> float:
    """Confirmed mean; "= floor" if it cannot be distinguished from the noise floor."""
    return row.mean


@_on_cell("low", "95 % interval", show=lambda row: text.interval(*row.interval))
def _low(row: CellResults) -> float:
    """Student's 95 % interval of the mean, from the confirmed seeds; in exports its lower limit."""
    return row.interval[0]


@_on_cell("high")
def _high(row: CellResults) -> float:
    """Upper 95 % limit of the mean."""
    return row.interval[1]


@_on_cell("seeds", "seeds")
def _seeds(row: CellResults) -> int:
    """Number of confirmation runs, on seeds that no search used."""
    return len(row.confirm)


@_on_cell("failed")
def _failed(row: CellResults) -> int:
    """Number of failed confirmation runs."""
    return row.failed


@_on_cell("at_floor")
def _at_floor(row: CellResults) -> bool:
    """Whether the mean cannot be distinguished from the noise floor."""
    return row.at_floor


@_on_cell("ratio", "× floor")
def _ratio(row: CellResults) -> float:
    """Mean divided by the noise floor; empty if the floor is not above zero."""
    return row.mean / _floor(row) if row.floor_is_positive else math.nan


@_on_cell("floor")
def _floor(row: CellResults) -> float:
    """Noise floor: mean of the metric between two samples of the truth."""
    return row.floor


@_on_cell("floor_95")
def _floor_95(row: CellResults) -> float:
    """95 % quantile of the noise floor."""
    return float(np.quantile(row.truth, 0.95)) if len(row.truth) else math.nan


@_on_cell("ratio_95", "÷ 95 % of floor")
def _ratio_95(row: CellResults) -> float:
    """Mean divided by the 95 % quantile of the floor; below 1 if 1 in 20 true samples is worse."""
    limit = _floor_95(row)
    return row.mean / limit if limit > 0 else math.nan


@_on_cell("oracle")
def _oracle(row: CellResults) -> float:
    """Oracle: mean of the exact score with the same sampler."""
    return float(row.oracle.mean()) if len(row.oracle) else math.nan


def _show_learning(row: CellResults) -> str:
    return text.measured(row.learning.value, row.learning.half_width())


@_on_cell("over_exact", "− exact score", show=_show_learning)
def _over_exact(row: CellResults) -> float:
    """Mean minus that of the exact score with the same sampler, ± 95 %: what learning adds.

    The rest is sampling error: no method can remove what separates the exact score from the floor.
    """
    return row.learning.value


@_on_cell("over_exact_low")
def _over_exact_low(row: CellResults) -> float:
    """Lower 95 % limit of that difference."""
    return row.learning.interval()[0]


@_on_cell("over_exact_high")
def _over_exact_high(row: CellResults) -> float:
    """Upper 95 % limit of that difference."""
    return row.learning.interval()[1]


@_on_cell("untrained")
def _untrained(row: CellResults) -> float:
    """Mean of the untrained network with the same sampler."""
    return float(row.untrained.mean()) if len(row.untrained) else math.nan


@_on_cell("search_best")
def _search_best(row: CellResults) -> float:
    """Best value among the trials of the search, on the validation sample."""
    return row.search_best


@_on_cell("optimism", "optimism")
def optimism(row: CellResults) -> float:
    """Best value of the search minus the confirmed mean: the search's optimism."""
    if not math.isfinite(row.search_best) or not math.isfinite(row.mean):
        return math.nan
    return row.search_best - row.mean


@_on_cell("failure_rate", "failures", show=lambda row: show_failures(failures([row])))
def _failure_rate(row: CellResults) -> float:
    """Share of failed runs, search and confirmation together."""
    bad, all_runs = failures([row])
    return bad / all_runs if all_runs else math.nan


def failures(cells: list[CellResults]) -> tuple[int, int]:
    """Return the number of failed runs and of all runs of some cells."""
    tables = [results.runs for results in cells]
    return sum(int(failed(rows).sum()) for rows in tables), sum(map(len, tables))


def show_failures(counts: tuple[int, int]) -> str:
    """Return ``2 of 27``."""
    return text.MISSING if counts[1] == 0 else f"{counts[0]} of {counts[1]}"


@_on_cell("trial")
def _trial(row: CellResults) -> float:
    """Number of the trial that won the search."""
    rows = row.confirm
    return float(rows["trial"].iloc[0]) if len(rows) and "trial" in rows else math.nan


def mean_of(row: CellResults, column: str) -> float:
    """Return the mean of a column over the confirmed runs, ``nan`` without it."""
    confirmed = row.confirm
    return float(confirmed[column].mean()) if column in confirmed else math.nan


@_on_cell("train_evaluations")
def _train_evaluations(row: CellResults) -> float:
    """Network evaluations (points) in training, mean over the confirmed runs."""
    return mean_of(row, "train_evaluations")


@_on_cell("sample_evaluations")
def _sample_evaluations(row: CellResults) -> float:
    """Network evaluations (points) in sampling, mean over the confirmed runs."""
    return mean_of(row, "sample_evaluations")


@_on_cell("train_seconds", "training", form=text.seconds)
def _train_seconds(row: CellResults) -> float:
    """Seconds of training, mean over the confirmed runs."""
    return mean_of(row, "train_seconds")


@_on_cell("sample_seconds", "sampling", form=text.seconds)
def _sample_seconds(row: CellResults) -> float:
    """Seconds of sampling, mean over the confirmed runs."""
    return mean_of(row, "sample_seconds")


def show_parameters(row: CellResults) -> str:
    """Return ``sigma 0.1, learning_rate 0.001``."""
    return ", ".join(f"{name} {text.number(value, 2)}" for name, value in row.parameters.items())


@_on_cell("parameters", "winner", show=show_parameters)
def _parameters(row: CellResults) -> str:
    """Hyperparameters of the winner, which was confirmed."""
    return ", ".join(f"{name}={value}" for name, value in row.parameters.items())
