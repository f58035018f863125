"""A cell: what the rows of one method, dataset and sampler say, beside its references."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .statistics import Array, Estimate, estimate, same_as_floor

DIRECTIONS = {"mmd": "min", "sw1": "min", "sw2": "min"}
"""Of the built-in metrics, known here so that a table is printed without importing them."""

SPLIT = "split."
"""Begins the columns of metrics of models that were sampled exactly."""

Place = tuple[str, str, str]

STAGES = ("train_seconds", "sample_seconds", "score_seconds")
"""What the time of a run goes into."""


def sign_of(objective: str) -> int:
    """1 if smaller values of the metric are better, -1 if larger ones are."""
    direction = DIRECTIONS.get(objective)
    if direction is None:
        from ...bench.metrics import metrics

        direction = metrics.get(objective).direction
    return -1 if direction == "max" else 1


def losses(rows: pd.DataFrame, objective: str, prefix: str = "") -> Array:
    """Values with the better ones smaller, shape (rows,); ``inf`` for every failed run."""
    values = sign_of(objective) * rows[prefix + objective].to_numpy(dtype=np.float64)
    bad = (rows["state"] != "ok").to_numpy() | ~np.isfinite(values)
    return np.where(bad, math.inf, values)


@dataclass(frozen=True)
class Cell:
    """One method with one sampler on one dataset, and the references beside it.

    Arrays hold losses (better is smaller, ``inf`` is a failed run).

    Attributes:
        objective: The metric.
        sign: 1 if smaller values of the metric are better, -1 otherwise.
        search: Its rows of the search.
        confirm: Its confirmed rows, by replicate.
        truth: Fresh truth samples, shape (repetitions,): the noise floor.
        oracle: Exact score with the same sampler, shape (repetitions,).
        untrained: The network as it was initialised, with the same sampler.
        others: Further references with the same sampler, by name.
        scale: Loss on this dataset that separates an untrained network from the floor.
        rank: Best and worst rank within the dataset that the seeds leave open.
    """

    dataset: str
    method: str
    sampler: str
    objective: str
    sign: int
    search: pd.DataFrame = field(repr=False)
    confirm: pd.DataFrame = field(repr=False)
    truth: Array = field(repr=False)
    oracle: Array = field(repr=False)
    untrained: Array = field(repr=False)
    others: dict[str, Array] = field(default_factory=dict, repr=False)
    scale: float = math.nan
    rank: tuple[int, int] | None = None

    @property
    def place(self) -> Place:
        """What the cell is called: method, dataset, sampler."""
        return self.method, self.dataset, self.sampler

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
        return self.sign * self.loss.value

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        low, high = self.loss.interval()
        return (low, high) if self.sign > 0 else (-high, -low)

    @property
    def floor(self) -> float:
        """Mean loss between two samples of the truth."""
        return estimate([self.truth]).value

    @property
    def floor_is_positive(self) -> bool:
        """Whether the floor is clearly above zero, so that ratios to it mean something.

        Unbiased metrics scatter around zero there.
        """
        values = self.sign * self.truth
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
