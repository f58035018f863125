"""Importance of hyperparameters, failed trials, and winners at the edge of a range.

Importance is PED-ANOVA (Watanabe et al. 2023, IJCAI), computed by Optuna: the difference between
the best tenth of the trials and all trials in each hyperparameter. TPE concentrates on good
values, so that importance then describes only the well-performing region; after a random search
it describes the whole space. Its interval is that of a jackknife over the restarts of the search,
or over fifths of the trials of fewer than three (Shao and Tu 1995, section 2.3).
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ...studies.cell import Cell
from .. import text
from .cell_results import CellResults, losses
from .evidence import Evidence
from .statistics import Array

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from ...studies.specs.spec import StudySpec

FEWEST_TRIALS = 20
"""With fewer, the best tenth is one or two trials, and importance is mostly noise."""
_EDGE = 0.03
_GROUPS = 5


@dataclass(frozen=True)
class Slice:
    """The trials of a cell, seen along one hyperparameter.

    Attributes:
        name: Name of the hyperparameter.
        values: Its value in each trial, shape (trials,); objects for choices.
        losses: Loss of each trial, shape (trials,); ``inf`` for failed trials.
        low: Lower end of the range, ``nan`` for choices.
        high: Upper end of the range, ``nan`` for choices.
        logarithmic: Whether the range is searched on a logarithmic scale.
        importance: Share of all hyperparameters of the cell, ``nan`` if unknown.
        error: Half of the 95 % interval of the importance, ``nan`` if unknown.
        winner: The confirmed value, ``None`` without one.
        winners: Indices of the trials with the whole confirmed configuration.
    """

    name: str
    values: "np.ndarray[Any, Any]"
    losses: Array
    low: float
    high: float
    logarithmic: bool
    importance: float
    error: float
    winner: Any
    winners: tuple[int, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it has a range, not choices."""
        return math.isfinite(self.low)

    @property
    def edge(self) -> str:
        """``lower`` or ``upper`` if the winner is at that end of the range, else empty."""
        if not self.is_number or self.winner is None or self.high <= self.low:
            return ""
        scale = math.log if self.logarithmic else float
        low, high = scale(self.low), scale(self.high)
        position = (scale(self.winner) - low) / (high - low)
        return "lower" if position <= _EDGE else "upper" if position >= 1 - _EDGE else ""


def slices(study: "StudySpec", cell: CellResults) -> list[Slice]:
    """Return the trials of a cell along each of its hyperparameters, most important first."""
    rows = cell.trials
    if rows.empty:
        return []
    values = losses(rows, cell.objective)
    trials = [_parameters(row) for row in rows.to_dict("records")]
    known = _ranges(study, cell, trials)
    importance = _importance(trials, known, values, rows["restart"].to_numpy())
    winner = cell.parameters
    parts = []
    for name in dict.fromkeys(name for ranges in known for name in ranges):
        with_name = [i for i, trial in enumerate(trials) if name in known[i] and name in trial]
        if not with_name:
            continue
        ends = _ends(known[with_name[0]][name])
        kind = object if math.isnan(ends[0]) else None
        tried = np.array([trials[i][name] for i in with_name], dtype=kind)
        share = importance.get(name, (math.nan, math.nan))
        winners = tuple(at for at, i in enumerate(with_name) if trials[i] == winner)
        parts.append(
            Slice(name, tried, values[with_name], *ends, *share, winner.get(name), winners)
        )
    return sorted(parts, key=lambda part: (-np.nan_to_num(part.importance), part.name))


COLUMNS = {
    "dataset": "Dataset.",
    "method": "Method.",
    "sampler": "Sampler applied to the trained models.",
    "parameter": "Name of the hyperparameter.",
    "importance": "Share of the effect of all hyperparameters (PED-ANOVA); empty for few trials.",
    "importance_low": "Lower end of its 95 % interval.",
    "importance_high": "Upper end of its 95 % interval.",
    "winner": "Its value in the winner.",
    "low": "Lower end of its range; empty for choices.",
    "high": "Upper end of its range; empty for choices.",
    "edge": "`lower` or `upper` if the winner is at that end of the range.",
    "trials": "Number of trials with it.",
    "failed": "Number of those that failed.",
}
"""Columns of the table of hyperparameters, with their meanings."""


def sensitivity(evidence: Evidence, slices: Mapping[Cell, Sequence[Slice]]) -> pd.DataFrame:
    """Return importance and edge of every hyperparameter of every cell; see ``COLUMNS``."""
    rows = [
        {
            "dataset": cell.dataset, "method": cell.method, "sampler": cell.sampler,
            "parameter": part.name, "importance": part.importance,
            "importance_low": max(part.importance - part.error, 0.0),
            "importance_high": min(part.importance + part.error, 1.0),
            "winner": "" if part.winner is None else str(part.winner),
            "low": part.low, "high": part.high, "edge": part.edge,
            "trials": len(part.losses), "failed": int(np.isinf(part.losses).sum()),
        }
        for cell in evidence.cells
        for part in slices[cell.cell]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def edge_sentences(table: pd.DataFrame) -> list[str]:
    """Return a warning for each winning value at the edge of its range (table ``sensitivity``)."""
    warnings = []
    at_edge = table[table["edge"] != ""]
    for (method, name, edge), rows in at_edge.groupby(["method", "parameter", "edge"]):
        end = float(rows["low" if edge == "lower" else "high"].iloc[0])
        warnings.append(
            f"The winning {name} of {method} is at the {edge} edge of its range "
            f"({text.number(end)}) on {text.listed(list(rows['dataset']))}: a wider range may "
            "contain a better value."
        )
    return warnings


def _parameters(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the hyperparameters of a row, as Python's own types."""
    parameters = {}
    for key, value in row.items():
        if str(key).startswith("params.") and not pd.isna(value) and value != "":
            item = getattr(value, "item", None)
            parameters[str(key).removeprefix("params.")] = item() if callable(item) else value
    return parameters


def _ranges(
    study: "StudySpec", cell: CellResults, trials: Sequence[Mapping[str, object]]
) -> list[dict[str, "BaseDistribution"]]:
    """Ranges of the places that were open on the way to each configuration.

    A plug-in that is missing or has changed since gives those that still hold.
    """
    from optuna.trial import FixedTrial

    from ...datasets.errors import UsageError
    from ...studies.engine import Engine
    from ...studies.specs.open import Template

    if cell.method not in [entry.label for entry in study.methods]:
        return [{} for _ in trials]
    template = Template(Engine(), study, cell.cell)
    ranges = []
    for values in trials:
        trial = FixedTrial(dict(values))
        for suggest in (template.suggest_hyperparameters, template.suggest_fields):
            with suppress(UsageError, ValueError):
                suggest(trial)
        ranges.append(dict(trial.distributions))
    return ranges


def _ends(distribution: "BaseDistribution") -> tuple[float, float, bool]:
    low = getattr(distribution, "low", math.nan)
    high = getattr(distribution, "high", math.nan)
    return float(low), float(high), bool(getattr(distribution, "log", False))


def _importance(
    trials: list[dict[str, object]], known: "list[dict[str, BaseDistribution]]",
    values: Array, restarts: Array,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """Return the importance of each hyperparameter and half of its interval, if there is one."""
    if np.isfinite(values).sum() < FEWEST_TRIALS:
        return {}
    groups = np.unique(restarts, return_inverse=True)[1]
    if groups.max() < 2:
        groups = np.arange(len(trials)) % _GROUPS
    count = int(groups.max()) + 1
    shares = _shares(trials, known, values)
    whole = shares(np.full(len(trials), True))
    without = pd.DataFrame([shares(groups != group) for group in range(count)])
    variance = (without - without.mean()).pow(2).sum(min_count=count) * (count - 1) / count
    half = float(stats.t.ppf(0.975, count - 1)) * variance.pow(0.5)
    return {name: (share, float(half.get(name, math.nan))) for name, share in whole.items()}


def _shares(
    trials: list[dict[str, object]], known: "list[dict[str, BaseDistribution]]", values: Array
) -> Callable[[NDArray[np.bool_]], dict[str, float]]:
    """Return a function of the trials that count, (trials,), that gives the importances.

    They are empty if they cannot be computed.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import FrozenTrial, create_trial

    from ...studies.specs.require import WORST

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    places = []
    for place, (trial, ranges) in enumerate(zip(trials, known, strict=True)):
        chosen = {name: trial[name] for name in ranges if name in trial}
        if set(chosen) == set(ranges):
            finite = values[place] if math.isfinite(values[place]) else WORST
            study.add_trial(create_trial(params=chosen, distributions=ranges, value=finite))
            places.append(place)

    def shares(kept: NDArray[np.bool_]) -> dict[str, float]:
        def value(trial: FrozenTrial) -> float:
            # Optuna leaves out what is not finite.
            return float(trial.values[0]) if kept[places[trial.number]] else math.inf

        try:
            with warnings.catch_warnings():
                # That small values are good.
                warnings.simplefilter("ignore", UserWarning)
                evaluator = PedAnovaImportanceEvaluator()
                return dict(get_param_importances(study, evaluator=evaluator, target=value))
        except (ValueError, RuntimeError):
            # Optuna refuses trials that share no hyperparameter, or are all equal.
            return {}

    return shares
