"""Columns of the leaderboard, which has a row per method across the datasets."""

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
    """Places across the datasets that the seeds leave open, all claims together at 95 %."""
    return row.rank[0] if row.rank else math.nan


@_on_board("rank_high")
def _board_rank_high(row: Contestant) -> float:
    """The last of those places."""
    return row.rank[1] if row.rank else math.nan


@_on_board("method", "method")
def _board_method(row: Contestant) -> str:
    """What was trained."""
    return row.method


@_on_board("sampler", "sampler")
def _board_sampler(row: Contestant) -> str:
    """What turned the trained model into points."""
    return row.sampler


def show_score(row: Contestant) -> str:
    """The score with half its interval, or why there is none."""
    if row.missing:
        return f"missing on {row.missing[0] if len(row.missing) == 1 else len(row.missing)}"
    return text.measured(row.score.value, row.score.half_width())


@_on_board("score", "score ± 95 %", show=show_score)
def _score(row: Contestant) -> float:
    """Mean over the datasets of (value − floor) / (untrained − floor).

    0 is the truth, 1 is no training. The 95 % interval is from the seeds within each dataset.
    """
    return row.score.value


@_on_board("score_low")
def _score_low(row: Contestant) -> float:
    """Lower end of the 95 % interval of the score."""
    return row.score.interval()[0]


@_on_board("score_high")
def _score_high(row: Contestant) -> float:
    """Upper end of it."""
    return row.score.interval()[1]


def show_iqm(row: Contestant) -> str:
    """The interquartile mean with its interval."""
    return text.spanned(row.middle.value, row.middle.low, row.middle.high)


@_on_board("iqm", "IQM, 95 %", show=show_iqm)
def _iqm(row: Contestant) -> float:
    """Interquartile mean: of the middle half of all runs on all datasets.

    Beside the mean it shows whether a few runs, or the easiest and hardest dataset, decide it.
    """
    return row.middle.value


@_on_board("iqm_low")
def _iqm_low(row: Contestant) -> float:
    """Lower end of the 95 % interval of the interquartile mean."""
    return row.middle.low


@_on_board("iqm_high")
def _iqm_high(row: Contestant) -> float:
    """Upper end of it."""
    return row.middle.high


@_on_board("probability_best", "Pr(best)", form=text.percent)
def _probability_best(row: Contestant) -> float:
    """Probability that its true mean score is the smallest of all."""
    return row.best


def show_tied(row: Contestant) -> str:
    """Names of the others, or how many they are where the names would fill the table."""
    return ", ".join(row.tied) if len(row.tied) < 4 else f"{len(row.tied)} others"


@_on_board("tied_with", "tied with", show=show_tied)
def _tied_with(row: Contestant) -> str:
    """Contestants whose scores the seeds cannot separate from this one."""
    return " ".join(row.tied)


@_on_board("missing")
def _missing(row: Contestant) -> str:
    """Datasets that others have confirmed and this one has not; then it is not ranked."""
    return " ".join(row.missing)


@_on_board("at_floor", "at floor")
def _board_at_floor(row: Contestant) -> int:
    """Datasets on which its samples cannot be told from fresh truth."""
    return sum(cell.at_floor for cell in row.cells.values())


@_on_board("failure_rate", "failures", show=lambda row: show_failures(_row_failures(row)))
def _board_failure_rate(row: Contestant) -> float:
    """Runs without a value, of all runs of the search and of the confirmation."""
    bad, all_runs = _row_failures(row)
    return bad / all_runs if all_runs else math.nan


def _row_failures(row: Contestant) -> tuple[int, int]:
    return failures(list(row.cells.values()))


@_on_board("optimism", "optimism", form=lambda value: text.number(value, 2))
def _board_optimism(row: Contestant) -> float:
    """Best value of the search minus the confirmed mean, in units of the score.

    Mean over the datasets; negative where the search promised more than it kept.
    """
    gaps = [optimism(c) / c.scale for c in row.cells.values() if not c.missing]
    return float(np.mean(gaps)) if gaps else math.nan


def _total(row: Contestant, column: str) -> float:
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
    """Network evaluations and seconds to train what was confirmed once on every dataset."""
    return _sum_of_means(row, "train_evaluations")


@_on_board("sample_evaluations", "sampling", show=lambda row: _show_cost(row, "sample"))
def _sample_cost(row: Contestant) -> float:
    """Network evaluations and seconds to sample from it once on every dataset."""
    return _sum_of_means(row, "sample_evaluations")


@_on_board("train_seconds")
def _board_train_seconds(row: Contestant) -> float:
    """Seconds of that training."""
    return _sum_of_means(row, "train_seconds")


@_on_board("sample_seconds")
def _board_sample_seconds(row: Contestant) -> float:
    """Seconds of that sampling."""
    return _sum_of_means(row, "sample_seconds")


@_on_board("total_seconds", "all runs", form=text.seconds)
def _total_seconds(row: Contestant) -> float:
    """Seconds of training, sampling and scoring of all its runs, search included."""
    return sum(_total(row, stage) for stage in STAGES)
