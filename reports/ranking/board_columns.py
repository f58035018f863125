"""Columns of the leaderboard: one row per method across the datasets."""

import math

import numpy as np

from .. import text
from .cell_columns import failure_rate, failures, mean_of, optimism, show_failures
from .cell_results import STAGES
from .columns import Column, Columns, measured
from .evidence import Contestant


def _show_score(row: Contestant) -> str:
    if row.missing:
        return f"missing on {row.missing[0] if len(row.missing) == 1 else len(row.missing)}"
    return measured(row.score)


def _failures(row: Contestant) -> tuple[int, int]:
    return failures(list(row.cells.values()))


def _optimism(row: Contestant) -> float:
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


board_columns: Columns[Contestant] = Columns()
board_columns.ranks("overall rank", lambda row: row.rank)
board_columns["method", "method"] = Column("Method.", lambda row: row.method)
board_columns["sampler", "sampler"] = Column(
    "Sampler applied to the trained model.", lambda row: row.sampler
)
board_columns["score", "score ± 95 %"] = Column(
    "Mean over the datasets of (value − floor) / (untrained − floor). "
    "0 is the noise floor, 1 an untrained network. The 95 % interval reflects seed variation.",
    lambda row: row.score.value,
    _show_score,
)
board_columns.limits("score", "95 % limit of the score", lambda row: row.score.interval())
board_columns["iqm", "IQM, 95 %"] = Column(
    "Interquartile mean of the scores: mean of the middle half of all runs on all datasets. "
    "A clear difference from the mean shows that a few runs or one dataset decide the mean.",
    lambda row: row.middle.value,
    lambda row: text.spanned(row.middle.value, row.middle.low, row.middle.high),
)
board_columns.limits(
    "iqm", "95 % limit of the interquartile mean", lambda row: (row.middle.low, row.middle.high)
)
board_columns["probability_best", "Pr(best)"] = Column(
    "Probability that the true mean score is the smallest of all methods.",
    lambda row: row.best,
    form=text.percent,
)
board_columns["tied_with", "tied with"] = Column(
    "Methods whose scores the seeds cannot distinguish from this one.",
    lambda row: " ".join(row.tied),
    lambda row: ", ".join(row.tied) if len(row.tied) < 4 else f"{len(row.tied)} others",
)
board_columns["missing", ""] = Column(
    "Datasets confirmed for other methods but not for this one, which is then not ranked.",
    lambda row: " ".join(row.missing),
)
board_columns["at_floor", "at floor"] = Column(
    "Number of datasets on which its samples cannot be distinguished from the truth.",
    lambda row: sum(cell.at_floor for cell in row.cells.values()),
)
board_columns["failure_rate", "failures"] = Column(
    "Share of failed runs, search and confirmation together.",
    lambda row: failure_rate(_failures(row)),
    lambda row: show_failures(_failures(row)),
)
board_columns["optimism", "optimism"] = Column(
    "Best value of the search minus the confirmed mean, in units of the score. "
    "Mean over the datasets; negative if the search value beats the confirmed mean.",
    _optimism,
    form=lambda value: text.number(value, 2),
)
board_columns["train_evaluations", "training"] = Column(
    "Network evaluations and seconds to train the winner once per dataset.",
    lambda row: _sum_of_means(row, "train_evaluations"),
    lambda row: _show_cost(row, "train"),
)
board_columns["sample_evaluations", "sampling"] = Column(
    "Network evaluations and seconds to sample from the winner once per dataset.",
    lambda row: _sum_of_means(row, "sample_evaluations"),
    lambda row: _show_cost(row, "sample"),
)
board_columns["train_seconds", ""] = Column(
    "Seconds to train the winner once per dataset.", lambda row: _sum_of_means(row, "train_seconds")
)
board_columns["sample_seconds", ""] = Column(
    "Seconds to sample from the winner once per dataset.",
    lambda row: _sum_of_means(row, "sample_seconds"),
)
board_columns["total_seconds", "all runs"] = Column(
    "Seconds of all runs, search included: training, sampling and scoring.",
    lambda row: sum(_sum(row, stage) for stage in STAGES),
    form=text.seconds,
)
