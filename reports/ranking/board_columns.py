"""Columns of the leaderboard: one row per method across the datasets."""

import math

import numpy as np

from .. import text
from .cell_columns import failures, mean_of, optimism, show_failures
from .cell_results import STAGES
from .columns import Columns
from .evidence import Contestant

board_columns: Columns[Contestant] = Columns()
_on_board = board_columns.add


@_on_board("rank_low", "rank", show=lambda row: text.ranks(row.rank))
def _board_rank_low(row: Contestant) -> float:
    """Best overall rank compatible with the seeds (joint 95 %)."""
    return row.rank[0] if row.rank else math.nan


@_on_board("rank_high")
def _board_rank_high(row: Contestant) -> float:
    """Worst overall rank compatible with the seeds (joint 95 %)."""
    return row.rank[1] if row.rank else math.nan


@_on_board("method", "method")
def _board_method(row: Contestant) -> str:
    """Method."""
    return row.method


@_on_board("sampler", "sampler")
def _board_sampler(row: Contestant) -> str:
    """Sampler applied to the trained model."""
    return row.sampler


def show_score(row: Contestant) -> str:
    """Return the score with half its interval, or why there is none."""
    if row.missing:
        return f"missing on {row.missing[0] if len(row.missing) == 1 else len(row.missing)}"
    return text.measured(row.score.value, row.score.half_width())


@_on_board("score", "score ± 95 %", show=show_score)
def _score(row: Contestant) -> float:
    """Mean over the datasets of (value − floor) / (untrained − floor).

    0 is the noise floor, 1 an untrained network. The 95 % interval reflects seed variation.
    """
    return row.score.value


@_on_board("score_low")
def _score_low(row: Contestant) -> float:
    """Lower 95 % limit of the score."""
    return row.score.interval()[0]


@_on_board("score_high")
def _score_high(row: Contestant) -> float:
    """Upper 95 % limit of the score."""
    return row.score.interval()[1]


def show_iqm(row: Contestant) -> str:
    """Return the interquartile mean with its interval."""
    return text.spanned(row.middle.value, row.middle.low, row.middle.high)


@_on_board("iqm", "IQM, 95 %", show=show_iqm)
def _iqm(row: Contestant) -> float:
    """Interquartile mean of the scores: mean of the middle half of all runs on all datasets.

    A clear difference from the mean shows that a few runs or one dataset decide the mean.
    """
    return row.middle.value


@_on_board("iqm_low")
def _iqm_low(row: Contestant) -> float:
    """Lower 95 % limit of the interquartile mean."""
    return row.middle.low


@_on_board("iqm_high")
def _iqm_high(row: Contestant) -> float:
    """Upper 95 % limit of the interquartile mean."""
    return row.middle.high


@_on_board("probability_best", "Pr(best)", form=text.percent)
def _probability_best(row: Contestant) -> float:
    """Probability that the true mean score is the smallest of all methods."""
    return row.best


def show_tied(row: Contestant) -> str:
    """Return the names of tied contestants, or their number if there are many."""
    return ", ".join(row.tied) if len(row.tied) < 4 else f"{len(row.tied)} others"


@_on_board("tied_with", "tied with", show=show_tied)
def _tied_with(row: Contestant) -> str:
    """Methods whose scores the seeds cannot distinguish from this one."""
    return " ".join(row.tied)


@_on_board("missing")
def _missing(row: Contestant) -> str:
    """Datasets confirmed for other methods but not for this one, which is then not ranked."""
    return " ".join(row.missing)


@_on_board("at_floor", "at floor")
def _board_at_floor(row: Contestant) -> int:
    """Number of datasets on which its samples cannot be distinguished from the truth."""
    return sum(cell.at_floor for cell in row.cells.values())


@_on_board("failure_rate", "failures", show=lambda row: show_failures(_row_failures(row)))
def _board_failure_rate(row: Contestant) -> float:
    """Share of failed runs, search and confirmation together."""
    bad, all_runs = _row_failures(row)
    return bad / all_runs if all_runs else math.nan


def _row_failures(row: Contestant) -> tuple[int, int]:
    return failures(list(row.cells.values()))


@_on_board("optimism", "optimism", form=lambda value: text.number(value, 2))
def _board_optimism(row: Contestant) -> float:
    """Best value of the search minus the confirmed mean, in units of the score.

    Mean over the datasets; negative if the search value beats the confirmed mean.
    """
    gaps = [optimism(c) / c.scale for c in row.cells.values() if not c.missing]
    return float(np.mean(gaps)) if gaps else math.nan


def _sum(row: Contestant, column: str) -> float:
    sums = [c.runs[column].sum() for c in row.cells.values() if column in c.search]
    return float(sum(sums)) if sums else math.nan


def _sum_of_means(row: Contestant, column: str) -> float:
    return sum((mean_of(c, column) for c in row.cells.values() if not c.missing), 0.0)


def _show_cost(row: Contestant, stage: str) -> str:
    points = _sum_of_means(row, f"{stage}_evaluations")
    if not points > 0:
        return text.MISSING
    return f"{text.count(points)} · {text.seconds(_sum_of_means(row, f'{stage}_seconds'))}"


@_on_board("train_evaluations", "training", show=lambda row: _show_cost(row, "train"))
def _train_cost(row: Contestant) -> float:
    """Network evaluations and seconds to train the winner once per dataset."""
    return _sum_of_means(row, "train_evaluations")


@_on_board("sample_evaluations", "sampling", show=lambda row: _show_cost(row, "sample"))
def _sample_cost(row: Contestant) -> float:
    """Network evaluations and seconds to sample from the winner once per dataset."""
    return _sum_of_means(row, "sample_evaluations")


@_on_board("train_seconds")
def _board_train_seconds(row: Contestant) -> float:
    """Seconds to train the winner once per dataset."""
    return _sum_of_means(row, "train_seconds")


@_on_board("sample_seconds")
def _board_sample_seconds(row: Contestant) -> float:
    """Seconds to sample from the winner once per dataset."""
    return _sum_of_means(row, "sample_seconds")


@_on_board("total_seconds", "all runs", form=text.seconds)
def _total_seconds(row: Contestant) -> float:
    """Seconds of all runs, search included: training, sampling and scoring."""
    return sum(_sum(row, stage) for stage in STAGES)
