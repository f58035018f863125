"""Columns of the tables that have a row per method and dataset, in the order they are shown."""

import math

import numpy as np

from .. import text
from .cell_results import CellResults
from .columns import Columns

cell_columns: Columns[CellResults] = Columns()
_on_cell = cell_columns.add


@_on_cell("rank_low", "rank", show=lambda cell: text.ranks(cell.rank))
def _rank_low(cell: CellResults) -> float:
    """Places within the dataset that the seeds leave open, all claims together at 95 %."""
    return cell.rank[0] if cell.rank else math.nan


@_on_cell("rank_high")
def _rank_high(cell: CellResults) -> float:
    """The last of those places."""
    return cell.rank[1] if cell.rank else math.nan


@_on_cell("dataset")
def _dataset(cell: CellResults) -> str:
    """What was to be learned."""
    return cell.dataset


@_on_cell("method", "method")
def _method(cell: CellResults) -> str:
    """What was trained."""
    return cell.method


@_on_cell("sampler", "sampler")
def _sampler(cell: CellResults) -> str:
    """What turned the trained model into points."""
    return cell.sampler


def show_mean(cell: CellResults) -> str:
    """The confirmed mean in words: a number, how many failed, or that it is missing."""
    if cell.missing:
        return "missing"
    if cell.failed:
        return f"{cell.failed} of {len(cell.losses)} failed"
    mark = " = floor" if cell.at_floor else ""
    return text.mean_of(cell.mean, cell.loss.half_width()) + mark


@_on_cell("mean", "mean", show=show_mean)
def _mean(cell: CellResults) -> float:
    """Mean over the confirmed seeds; "= floor" where it cannot be told from fresh truth."""
    return cell.mean


@_on_cell("low", "95 % interval", show=lambda cell: text.interval(*cell.interval))
def _low(cell: CellResults) -> float:
    """Student's interval of the mean, from the confirmed seeds."""
    return cell.interval[0]


@_on_cell("high")
def _high(cell: CellResults) -> float:
    """Upper end of it."""
    return cell.interval[1]


@_on_cell("seeds", "seeds")
def _seeds(cell: CellResults) -> int:
    """Confirmed runs; no search ever saw their seeds."""
    return len(cell.losses)


@_on_cell("failed")
def _failed(cell: CellResults) -> int:
    """Confirmed runs without a value."""
    return cell.failed


@_on_cell("at_floor")
def _at_floor(cell: CellResults) -> bool:
    """Whether the mean cannot be told from fresh truth."""
    return cell.at_floor


@_on_cell("ratio", "× floor")
def _ratio(cell: CellResults) -> float:
    """Mean in units of the mean floor; empty where the floor itself is not above zero."""
    return cell.mean / _floor(cell) if cell.floor_is_positive else math.nan


@_on_cell("floor")
def _floor(cell: CellResults) -> float:
    """Mean of the metric between two samples of the truth."""
    return cell.floor


@_on_cell("floor_95")
def _floor_95(cell: CellResults) -> float:
    """What 95 of 100 samples of the truth stay below."""
    return float(np.quantile(cell.truth, 0.95)) if len(cell.truth) else math.nan


@_on_cell("ratio_95", "÷ 95 % of floor")
def _ratio_95(cell: CellResults) -> float:
    """Mean over the floor's 95 % quantile: below 1 where one sample of 20 of the truth is worse."""
    limit = _floor_95(cell)
    return cell.mean / limit if limit > 0 else math.nan


@_on_cell("oracle")
def _oracle(cell: CellResults) -> float:
    """Mean of the exact score with the same sampler."""
    return float(cell.oracle.mean()) if len(cell.oracle) else math.nan


def _show_learning(cell: CellResults) -> str:
    return text.measured(cell.learning.value, cell.learning.half_width())


@_on_cell("over_exact", "− exact score", show=_show_learning)
def _over_exact(cell: CellResults) -> float:
    """Mean minus that of the exact score with the same sampler, ± 95 %: what learning adds.

    The rest is the sampler's: what lies between the floor and the exact score no method can mend.
    """
    return cell.learning.value


@_on_cell("over_exact_low")
def _over_exact_low(cell: CellResults) -> float:
    """Lower end of the 95 % interval of that difference."""
    ends = cell.learning.interval()
    return ends[0]


@_on_cell("over_exact_high")
def _over_exact_high(cell: CellResults) -> float:
    """Upper end of it."""
    ends = cell.learning.interval()
    return ends[1]


@_on_cell("untrained")
def _untrained(cell: CellResults) -> float:
    """Mean of the untrained network with the same sampler."""
    return float(cell.untrained.mean()) if len(cell.untrained) else math.nan


@_on_cell("search_best")
def _search_best(cell: CellResults) -> float:
    """Best value among the trials of the search, on the validation truth."""
    return cell.search_best


@_on_cell("optimism", "optimism")
def optimism(cell: CellResults) -> float:
    """Best value of the search minus the confirmed mean: how much the search flattered itself."""
    if not math.isfinite(cell.search_best) or not math.isfinite(cell.mean):
        return math.nan
    return cell.search_best - cell.mean


@_on_cell("failure_rate", "failures", show=lambda cell: show_failures(failures([cell])))
def _failure_rate(cell: CellResults) -> float:
    """Runs without a value, of all runs of the search and of the confirmation."""
    bad, all_runs = failures([cell])
    return bad / all_runs if all_runs else math.nan


def failures(cells: list[CellResults]) -> tuple[int, int]:
    """Runs that are not ok, and all runs, of some cells."""
    states = [state for cell in cells for state in (*cell.search["state"], *cell.confirm["state"])]
    return sum(state != "ok" for state in states), len(states)


def show_failures(counts: tuple[int, int]) -> str:
    """``2 of 27``."""
    return text.MISSING if counts[1] == 0 else f"{counts[0]} of {counts[1]}"


@_on_cell("trial")
def _trial(cell: CellResults) -> float:
    """Number of the trial that won the search and was confirmed."""
    confirmed = cell.confirm
    return (
        float(confirmed["trial"].iloc[0]) if len(confirmed) and "trial" in confirmed else math.nan
    )


def mean_of(cell: CellResults, column: str) -> float:
    """Mean of a column over the confirmed runs, ``nan`` without it."""
    confirmed = cell.confirm
    return float(confirmed[column].mean()) if column in confirmed else math.nan


@_on_cell("train_evaluations")
def _train_evaluations(cell: CellResults) -> float:
    """Points pushed through the network in training, mean over the confirmed runs."""
    return mean_of(cell, "train_evaluations")


@_on_cell("sample_evaluations")
def _sample_evaluations(cell: CellResults) -> float:
    """Points pushed through the network in sampling, mean over the confirmed runs."""
    return mean_of(cell, "sample_evaluations")


@_on_cell("train_seconds", "training", form=text.seconds)
def _train_seconds(cell: CellResults) -> float:
    """Seconds that training took, mean over the confirmed runs."""
    return mean_of(cell, "train_seconds")


@_on_cell("sample_seconds", "sampling", form=text.seconds)
def _sample_seconds(cell: CellResults) -> float:
    """Seconds that sampling took, mean over the confirmed runs."""
    return mean_of(cell, "sample_seconds")


def show_parameters(cell: CellResults) -> str:
    """``sigma 0.1, learning_rate 0.001``."""
    return ", ".join(f"{name} {text.number(value, 2)}" for name, value in cell.parameters.items())


@_on_cell("parameters", "winner", show=show_parameters)
def _parameters(cell: CellResults) -> str:
    """The configuration that the search chose and that was confirmed."""
    return ", ".join(f"{name}={value}" for name, value in cell.parameters.items())
