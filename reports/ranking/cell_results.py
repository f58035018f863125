"""A cell: what the rows of one method, dataset and sampler say, beside its references."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ...studies.cell import Cell
from .statistics import Array, Estimate, estimate, same_as_floor

SPLIT = "split."
"""Begins the columns of metrics of models that were sampled exactly."""

STAGES = ("train_seconds", "sample_seconds", "score_seconds")
"""What the time of a run goes into."""


def losses(rows: pd.DataFrame, objective: str, prefix: str = "") -> Array:
    """Values of a metric, shape (rows,); ``inf`` for every failed run."""
    values = rows[prefix + objective].to_numpy(dtype=np.float64)
    bad = (rows["state"] != "ok").to_numpy() | ~np.isfinite(values)
    return np.where(bad, math.inf, values)


@dataclass(frozen=True)
class CellResults:
    """One method with one sampler on one dataset, and the references beside it.

    Arrays hold losses (better is smaller, ``inf`` is a failed run).

    Attributes:
        cell: Which cell.
        label: Name of its contestant.
        objective: The metric.
        search: Its rows of the search.
        confirm: Its confirmed rows, by replicate.
        truth: Fresh truth samples, shape (repetitions,): the noise floor.
        oracle: Exact score with the same sampler, shape (repetitions,).
        untrained: The network as it was initialised, with the same sampler.
        others: Further references with the same sampler, by name.
        scale: Loss on this dataset that separates an untrained network from the floor.
        rank: Best and worst rank within the dataset that the seeds leave open.
    """

    cell: Cell
    label: str
    objective: str
    search: pd.DataFrame = field(repr=False)
    confirm: pd.DataFrame = field(repr=False)
    truth: Array = field(repr=False)
    oracle: Array = field(repr=False)
    untrained: Array = field(repr=False)
    others: dict[str, Array] = field(default_factory=dict, repr=False)
    scale: float = math.nan
    rank: tuple[int, int] | None = None

    @property
    def method(self) -> str:
        """Label of the method."""
        return self.cell.method

    @property
    def dataset(self) -> str:
        """Label of the dataset."""
        return self.cell.dataset

    @property
    def sampler(self) -> str:
        """Label of the sampler."""
        return self.cell.sampler

    @cached_property
    def losses(self) -> Array:
        """Confirmed losses, shape (seeds,)."""
        return losses(self.confirm, self.objective)

    @cached_property
    def learned(self) -> Array:
        """Losses of the confirmed models sampled exactly, shape (seeds,); empty if none was."""
        column = SPLIT + self.objective
        if column not in self.confirm or self.confirm[column].isna().all():
            return np.zeros(0)
        return losses(self.confirm, self.objective, SPLIT)

    @cached_property
    def replicates(self) -> Array:
        """Numbers of the confirmed seeds, shape (seeds,)."""
        return self.confirm["replicate"].to_numpy(dtype=np.float64)

    @property
    def missing(self) -> bool:
        """Whether nothing is confirmed."""
        return len(self.confirm) == 0

    @property
    def failed(self) -> int:
        """Confirmed runs without a value."""
        return int(np.isinf(self.losses).sum())

    @cached_property
    def loss(self) -> Estimate:
        """Mean of the confirmed losses."""
        return estimate([self.losses])

    @property
    def mean(self) -> float:
        """Mean of the confirmed values of the metric."""
        return self.loss.value

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return self.loss.interval()

    @property
    def floor(self) -> float:
        """Mean loss between two samples of the truth."""
        return estimate([self.truth]).value

    @property
    def floor_is_positive(self) -> bool:
        """Whether the floor is clearly above zero, so that ratios to it mean something.

        Unbiased metrics scatter around zero there.
        """
        values = self.truth
        if len(values) < 2 or not np.isfinite(values).all():
            return False
        return bool(values.mean() > 2 * values.std(ddof=1) / math.sqrt(len(values)))

    @property
    def at_floor(self) -> bool:
        """Whether the samples cannot be told from the truth."""
        return same_as_floor(self.losses, self.truth)

    @cached_property
    def learning(self) -> Estimate:
        """Mean loss minus the oracle's, whose seeds are others: Welch's interval."""
        half = estimate([self.losses, -self.oracle])
        return Estimate(2 * half.value, 2 * half.error, half.freedom)

    @property
    def normalised(self) -> Array:
        """Confirmed losses with 0 at the floor and 1 at an untrained network, shape (seeds,)."""
        return (self.losses - self.floor) / self.scale

    @property
    def search_best(self) -> float:
        """Smallest loss of the search's trials, ``nan`` without a search."""
        trials = self.search[self.search["replicate"] == 0]
        return float(losses(trials, self.objective).min()) if len(trials) else math.nan

    @property
    def runs(self) -> pd.DataFrame:
        """Rows of the search and of the confirmation."""
        return pd.concat([self.search, self.confirm])

    @property
    def parameters(self) -> dict[str, Any]:
        """Hyperparameters of the confirmed configuration."""
        if self.missing:
            return {}
        names = [name for name in self.confirm.columns if name.startswith("params.")]
        values = self.confirm[names].astype(object).iloc[0].to_dict()
        return {
            str(name).removeprefix("params."): value
            for name, value in values.items()
            if not pd.isna(value) and value != ""
        }
