"""The leaderboard and the table of cells, as DataFrames."""

import pandas as pd

from ..text import ranks
from .board_columns import board_columns
from .cell_columns import cell_columns
from .evidence import Evidence, gather

PER_DATASET = {
    "mean.DATASET": "Confirmed mean on that dataset.",
    "low.DATASET": "Lower end of its 95 % interval.",
    "high.DATASET": "Upper end of it.",
    "floor.DATASET": "Mean of the metric between two samples of the truth there.",
    "rank.DATASET": "Places within that dataset that the seeds leave open.",
}
"""Further columns of the leaderboard, with what they mean; capitals stand for names."""


def leaderboard(results: pd.DataFrame, objective: str) -> pd.DataFrame:
    """Rank every method, with its sampler, across the datasets.

    One row per contestant, best score first; columns are those of ``board_columns``, and
    ``PER_DATASET``. Rows that miss a dataset have no score and no rank.

    Args:
        results: One row per run, as ``results.csv`` of a run directory has them.
        objective: Metric to rank by.

    Raises:
        UsageError: The table is not that of a study.
    """
    return board_frame(gather(results, objective))


def cells(results: pd.DataFrame, objective: str) -> pd.DataFrame:
    """Tell what is known of each method on each dataset.

    One row per cell, by dataset and best mean first: confirmed mean, interval, floor, oracle,
    optimism gap, failures, cost, and the winner's hyperparameters as ``params.<name>``. Cells of
    the grid without a confirmed run are there, empty.

    Args:
        results: One row per run.
        objective: Metric to rank by.

    Raises:
        UsageError: The table is not that of a study.
    """
    return cell_frame(gather(results, objective))


def board_frame(evidence: Evidence) -> pd.DataFrame:
    """The leaderboard of evidence that was already gathered."""
    rows = []
    for contestant in evidence.contestants:
        row = board_columns.values(contestant)
        for dataset in evidence.datasets:
            known = cell_columns.values(contestant.cells[dataset])
            row |= {f"{name}.{dataset}": known[name] for name in ("mean", "low", "high", "floor")}
            row[f"rank.{dataset}"] = ranks(contestant.cells[dataset].rank)
        rows.append(row)
    return pd.DataFrame(rows)


def cell_frame(evidence: Evidence) -> pd.DataFrame:
    """The table of cells of evidence that was already gathered."""
    rows = [
        cell_columns.values(cell)
        | {f"params.{name}": value for name, value in cell.parameters.items()}
        for cell in evidence.cells
    ]
    return pd.DataFrame(rows)
