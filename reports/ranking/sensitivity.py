"""Which hyperparameters mattered, where failures lie, and whether a range was too narrow.

Importance is PED-ANOVA (Watanabe et al. 2023, IJCAI), as Optuna computes it. It says how far the
better tenth of the trials differs from all in each hyperparameter. After a search by TPE, which
crowds where it is good, it speaks of the good region only; a random search speaks of all of it.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import text
from .cell_results import CellResults, losses
from .evidence import Evidence
from .statistics import Array

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from ...studies.specs.spec import StudySpec

FEWEST_TRIALS = 20
"""Below this the better tenth is one trial or two, and its importance a matter of luck."""
_EDGE = 0.03
_WORST = 1e9


@dataclass(frozen=True)
class Slice:
    """One hyperparameter of a cell.

    Attributes:
        name: Of the hyperparameter.
        values: What was tried, shape (trials,); objects for choices.
        losses: What came of it, shape (trials,); ``inf`` for failed trials.
        low: Least value of the range, ``nan`` for choices.
        high: Greatest value.
        logarithmic: Whether the range is searched on a logarithmic scale.
        importance: Share of all hyperparameters of the cell, ``nan`` if it cannot be said.
        winner: The confirmed value, ``None`` without one.
        winners: Numbers of the trials that had the whole confirmed configuration.
    """

    name: str
    values: "np.ndarray[Any, Any]"
    losses: Array
    low: float
    high: float
    logarithmic: bool
    importance: float
    winner: Any
    winners: tuple[int, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it has a range, rather than choices."""
        return math.isfinite(self.low)

    @property
    def edge(self) -> str:
        """``lower`` or ``upper`` if the winner lies at that end of the range, else empty."""
        if not self.is_number or self.winner is None or self.high <= self.low:
            return ""
        turn = math.log if self.logarithmic else float
        at = (turn(self.winner) - turn(self.low)) / (turn(self.high) - turn(self.low))
        return "lower" if at <= _EDGE else "upper" if at >= 1 - _EDGE else ""


def slices(study: "StudySpec", cell: CellResults) -> list[Slice]:
    """What the trials of a cell say of each of its hyperparameters, most important first.

    Args:
        study: What was asked for; it knows the ranges.
        cell: Which.
    """
    rows = cell.search[cell.search["replicate"] == 0]
    if rows.empty:
        return []
    values = losses(rows, cell.objective)
    trials = [_parameters(row) for row in rows.to_dict("records")]
    known = _ranges(study, cell, trials)
    importance = _importance(trials, known, values)
    winner = cell.parameters
    found = []
    for name in dict.fromkeys(name for ranges in known for name in ranges):
        has = [i for i, trial in enumerate(trials) if name in known[i] and name in trial]
        if not has:
            continue
        low, high, logarithmic = _ends(known[has[0]][name])
        tried = np.array([trials[i][name] for i in has], dtype=None if low == low else object)
        found.append(
            Slice(
                name,
                tried,
                values[has],
                low,
                high,
                logarithmic,
                importance.get(name, math.nan),
                winner.get(name),
                tuple(at for at, i in enumerate(has) if trials[i] == winner),
            )
        )
    return sorted(found, key=lambda one: (-np.nan_to_num(one.importance), one.name))


COLUMNS = {
    "dataset": "Where the search was.",
    "method": "Whose search.",
    "sampler": "What turned its models into points.",
    "parameter": "The hyperparameter.",
    "importance": "Its share of what hyperparameters explain (PED-ANOVA); empty for few trials.",
    "winner": "Its value in the configuration that was confirmed.",
    "low": "Lower end of its range; empty for a choice.",
    "high": "Upper end of it.",
    "edge": "`lower` or `upper` where the winner lies at that end of the range.",
    "trials": "How many trials had it.",
    "failed": "How many of them failed.",
}
"""Of the table of hyperparameters, with what they mean."""


def sensitivity(study: "StudySpec", evidence: Evidence) -> pd.DataFrame:
    """Importance and edges of every hyperparameter of every cell.

    See ``COLUMNS``.

    Args:
        study: What was asked for.
        evidence: The gathered results.
    """
    rows = [
        {
            "dataset": cell.dataset, "method": cell.method, "sampler": cell.sampler,
            "parameter": one.name, "importance": one.importance,
            "winner": "" if one.winner is None else str(one.winner),
            "low": one.low, "high": one.high, "edge": one.edge,
            "trials": len(one.losses), "failed": int(np.isinf(one.losses).sum()),
        }
        for cell in evidence.cells
        for one in slices(study, cell)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def edge_sentences(table: pd.DataFrame) -> list[str]:
    """A warning for each hyperparameter whose best value lies at the edge of its range.

    Args:
        table: What ``sensitivity`` gave.
    """
    said = []
    at_edge = table[table["edge"] != ""]
    for (method, name, edge), some in at_edge.groupby(["method", "parameter", "edge"]):
        end = float(some["low" if edge == "lower" else "high"].iloc[0])
        said.append(
            f"The winning {name} of {method} lies at the {edge} edge of its range "
            f"({text.number(end)}) on {text.listed(list(some['dataset']))}: a wider range may "
            "hold a better one."
        )
    return said


def _parameters(row: Mapping[Any, Any]) -> dict[str, Any]:
    found = {}
    for key, value in row.items():
        if str(key).startswith("params.") and not pd.isna(value) and value != "":
            item = getattr(value, "item", None)
            found[str(key).removeprefix("params.")] = item() if callable(item) else value
    return found


def _ranges(
    study: "StudySpec", cell: CellResults, trials: Sequence[Mapping[str, Any]]
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
    trials: list[dict[str, Any]],
    known: "list[dict[str, BaseDistribution]]",
    values: Array,
) -> dict[str, float]:
    if len(trials) < FEWEST_TRIALS or np.isfinite(values).sum() < FEWEST_TRIALS:
        return {}
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    for trial, ranges, value in zip(trials, known, values, strict=True):
        chosen = {name: trial[name] for name in ranges if name in trial}
        if set(chosen) == set(ranges):
            worst = value if math.isfinite(value) else _WORST
            study.add_trial(create_trial(params=chosen, distributions=ranges, value=worst))
    try:
        evaluator = PedAnovaImportanceEvaluator()
        return dict(get_param_importances(study, evaluator=evaluator))
    except (ValueError, RuntimeError):
        # Optuna has no word for a search whose trials share no hyperparameter, or are all equal.
        return {}
