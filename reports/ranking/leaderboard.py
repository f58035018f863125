"""The leaderboard and the table of cells as DataFrames."""

import pandas as pd

from ..text import ranks
from .board_columns import board_columns
from .cell_columns import cell_columns
from .evidence import Evidence

PER_DATASET = {
    "mean.DATASET": "Confirmed mean on that dataset.",
    "low.DATASET": "Lower 95 % limit of that mean.",
    "high.DATASET": "Upper 95 % limit of that mean.",
    "floor.DATASET": "Noise floor of that dataset.",
    "rank.DATASET": "Ranks on that dataset compatible with the seeds.",
}
"""Further columns of the leaderboard, with their meanings; capitals are placeholders."""


def board_frame(evidence: Evidence) -> pd.DataFrame:
    """Return the leaderboard: one row per contestant, best score first.

    Columns are those of ``board_columns`` and ``PER_DATASET``; contestants that miss a dataset
    have no score and no rank.
    """
    rows = []
    for contestant in evidence.contestants:
        row = board_columns.values(contestant)
        for dataset in evidence.datasets:
            values = cell_columns.values(contestant.cells[dataset])
            row |= {f"{name}.{dataset}": values[name] for name in ("mean", "low", "high", "floor")}
            row[f"rank.{dataset}"] = ranks(contestant.cells[dataset].rank)
        rows.append(row)
    return pd.DataFrame(rows)


def cell_frame(evidence: Evidence) -> pd.DataFrame:
    """Return the table of cells: one row per cell, by dataset and mean.

    Columns are those of ``cell_columns`` and the winner's hyperparameters as ``params.NAME``;
    cells without a confirmed run are empty.
    """
    rows = [
        cell_columns.values(results)
        | {f"params.{name}": value for name, value in results.parameters.items()}
        for results in evidence.cells
    ]
    return pd.DataFrame(rows)
