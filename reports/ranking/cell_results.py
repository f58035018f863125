"""The results of one cell, a method with a sampler on a dataset, and its references."""

import json
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ...studies.cell import Cell
from .statistics import Array, Estimate, estimate, same_as_floor

STAGES = ("train_seconds", "sample_seconds", "score_seconds")
"""Columns of the time of a run, by stage."""


def failed(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Return which runs of a results table failed."""
    return rows["state"] != "ok"


def losses(rows: pd.DataFrame, objective: str, prefix: str = "") -> Array:
    """Return the values of a metric, shape (rows,); ``inf`` for every failed run."""
    values = rows[prefix + objective].to_numpy(dtype=np.float64)
    return np.where(failed(rows).to_numpy() | ~np.isfinite(values), math.inf, values)


def eligible(rows: pd.DataFrame, objective: str) -> Array:
    """Return the losses of trials, shape (rows,); ``inf`` for those that must not be chosen."""
    values = losses(rows, objective)
    if "feasible" not in rows:
        return values
    return np.where(rows["feasible"].fillna(False).to_numpy(dtype=np.bool_), values, math.inf)


def _method(spec: str) -> str:
    """Name of the method of a run in the registry."""
    named = json.loads(spec).get("method", {}) if spec.startswith("{") else {}
    return str(named.get("name", ""))


@dataclass(frozen=True)
class CellResults:
    """The runs of a cell, and the references on its dataset.

    Arrays hold losses: smaller is better, ``inf`` is a failed run.

    Attributes:
        cell: The cell.
        label: Label of its contestant.
        objective: The ranking metric.
        search: Rows of the search.
        confirm: Confirmed rows, by restart and replicate.
        truth: Losses between samples of the truth, shape (repetitions,): the noise floor.
        exact: Rows of the exact score with the same sampler.
        untrained: Losses of the untrained network with the same sampler, shape (repetitions,).
        others: Losses of further references with the same sampler, by name.
        scale: Mean loss of untrained networks minus the floor on this dataset.
        rank: Best and worst rank within the dataset that are compatible with the data.
        pooled: Mean over several restarts, with an error from all restarts of the study.
        several: Whether the study has several restarts, so that their means are compared.
    """

    cell: Cell
    label: str
    objective: str
    search: pd.DataFrame = field(repr=False)
    confirm: pd.DataFrame = field(repr=False)
    truth: Array = field(repr=False)
    exact: pd.DataFrame = field(repr=False)
    untrained: Array = field(repr=False)
    others: dict[str, Array] = field(default_factory=dict, repr=False)
    scale: float = math.nan
    rank: tuple[int, int] | None = None
    pooled: Estimate | None = None
    several: bool = False

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
    def seeds(self) -> Array:
        """Losses of the confirmed runs, shape (runs,)."""
        return losses(self.confirm, self.objective)

    @cached_property
    def losses(self) -> Array:
        """Compared losses: the mean of each restart, or of one restart the loss of each run."""
        return self._by_restart(self.seeds)

    def _by_restart(self, values: Array) -> Array:
        """Average the values of runs within restarts if the study has several."""
        if not self.several:
            return values
        restarts = self.confirm["restart"].to_numpy()
        return np.array([values[restarts == restart].mean() for restart in self.replicates])

    @cached_property
    def oracle(self) -> Array:
        """Losses of the exact score with the same sampler, shape (repetitions,)."""
        return losses(self.exact, self.objective)

    @cached_property
    def learned(self) -> Array:
        """Losses of the confirmed models sampled exactly, as ``losses``; may be empty."""
        return self.under("split")

    def under(self, sampler: str) -> Array:
        """Return losses of the models under a further sampler, as ``losses``; may be empty."""
        column = f"{sampler}.{self.objective}"
        if column not in self.confirm or self.confirm[column].isna().all():
            return np.zeros(0)
        return self._by_restart(losses(self.confirm, self.objective, f"{sampler}."))

    def exact_under(self, sampler: str) -> Array:
        """Return losses of the exact score under a further sampler; may be empty."""
        column = f"{sampler}.{self.objective}"
        return losses(self.exact.dropna(subset=column), self.objective, f"{sampler}.")

    @cached_property
    def replicates(self) -> Array:
        """Numbers of the restarts, or of the seeds of one restart, in the order of ``losses``."""
        if self.several:
            return np.unique(self.confirm["restart"].to_numpy(dtype=np.float64))
        return self.confirm["replicate"].to_numpy(dtype=np.float64)

    @property
    def missing(self) -> bool:
        """Whether nothing is confirmed."""
        return len(self.confirm) == 0

    @property
    def failed(self) -> int:
        """Number of confirmed runs without a value."""
        return int(np.isinf(self.seeds).sum())

    @cached_property
    def loss(self) -> Estimate:
        """Mean of the confirmed losses, with its error."""
        return estimate([self.losses]) if self.pooled is None else self.pooled

    @property
    def mean(self) -> float:
        """Mean of the confirmed losses."""
        return self.loss.value

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean."""
        return self.loss.interval()

    @property
    def floor(self) -> float:
        """Mean loss between two samples of the truth."""
        return estimate([self.truth]).value

    @property
    def floor_is_positive(self) -> bool:
        """Whether the floor is clearly above zero, so that ratios to it are meaningful.

        The floor of an unbiased metric scatters around zero.
        """
        values = self.truth
        if len(values) < 2 or not np.isfinite(values).all():
            return False
        return bool(values.mean() > 2 * values.std(ddof=1) / math.sqrt(len(values)))

    @property
    def at_floor(self) -> bool:
        """Whether the samples cannot be distinguished from the truth."""
        return same_as_floor(self.losses, self.truth)

    @cached_property
    def learning(self) -> Estimate:
        """Mean loss minus the oracle's, with Welch's interval: the seeds differ."""
        half = estimate([self.losses, -self.oracle])
        return Estimate(2 * half.value, 2 * half.error, half.freedom)

    @property
    def normalised(self) -> Array:
        """``losses``, scaled: 0 is the floor, 1 an untrained network."""
        return (self.losses - self.floor) / self.scale

    @property
    def repeats(self) -> str:
        """Whether a model of others' code gave the same when it was asked twice.

        ``identical``, ``within tolerance`` (1e-5 of its size) or ``differs``; ``from a file`` for
        points that nothing can make again; empty for networks that are trained here.
        """
        rows = self.confirm
        if "spec" in rows and len(rows) and _method(str(rows["spec"].iloc[0])) == "points":
            return "from a file"
        errors = rows["repeat_error"].dropna() if "repeat_error" in rows else ()
        if not len(errors):
            return ""
        worst = float(max(errors))
        return "identical" if worst == 0 else "within tolerance" if worst <= 1e-5 else "differs"

    @property
    def trials(self) -> pd.DataFrame:
        """Rows of the trials of the search, without repeat runs of finalists."""
        return self.search[self.search["replicate"] == 0]

    @cached_property
    def search_best(self) -> float:
        """Smallest loss among the trials, averaged over restarts; ``nan`` without a search."""
        trials = self.trials
        values = pd.Series(eligible(trials, self.objective), trials.index)
        best = values.groupby(trials["restart"]).min().to_numpy()
        return float(np.mean(best)) if len(best) else math.nan

    @property
    def runs(self) -> pd.DataFrame:
        """Rows of the search and of the confirmation."""
        return pd.concat([self.search, self.confirm])

    @property
    def parameters(self) -> dict[str, object]:
        """Hyperparameters of the confirmed configuration, of several restarts the best one's."""
        if self.missing:
            return {}
        rows = self.confirm
        if self.several:
            rows = rows[rows["restart"] == self.replicates[np.argmin(self.losses)]]
        names = [name for name in rows.columns if name.startswith("params.")]
        values = rows[names].astype(object).iloc[0].to_dict()
        return {
            str(name).removeprefix("params."): value
            for name, value in values.items()
            if not pd.isna(value) and value != ""
        }
