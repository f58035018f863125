"""The best value of a search after a given number of trials or seconds.

Random search draws its trials independently, so the expected best of m trials is estimated
without bias from all n: the i-th smallest value is the smallest of m in C(n - i, m - 1) of the
C(n, m) ways to choose them (Dodge et al. 2019 use the biased estimator that draws with
replacement). Later trials of TPE depend on earlier ones: one search is one path, and its value is
the best on that path. Its error bar is the variation of one training, from the scatter of the
confirmed runs; with several restarts it is the variation between their searches.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from ...studies.cell import Cell
from .. import text
from .cell_results import STAGES, CellResults, eligible
from .evidence import Contestant, Evidence
from .rank_intervals import simultaneous_level
from .statistics import Array, Estimate, estimate, welch

_BUDGETS = (
    *(("trials", count) for count in (5.0, 10.0, 50.0)),
    *(("seconds", time) for time in (10.0, 60.0, 300.0)),
)
_UNKNOWN = Estimate(math.nan, math.nan, math.nan)

COLUMNS = {
    "unit": "Unit of the budget: trials, or seconds of computing.",
    "budget": "Budget of each cell, in that unit.",
    "dataset": "Dataset; `all` for the mean score over all datasets.",
    "method": "Method.",
    "sampler": "Sampler applied to the trained models.",
    "value": "Best value within the budget, on the validation sample; a score if dataset is `all`.",
    "low": "Lower 95 % limit of the value; empty if unknown.",
    "high": "Upper 95 % limit of the value.",
    "leads": "Whether it is the best, or tied with the best.",
}
"""Columns of the table of budgets, with their meanings."""


@dataclass(frozen=True)
class SearchPath:
    """The trials of a cell in the order in which they were proposed.

    Attributes:
        losses: Loss of each trial, shape (trials,); ``inf`` if it failed or is not feasible.
        seconds: Duration of each trial, shape (trials,).
        independent: Whether the trials were drawn at random.
        scatter: Variation of a configuration between seeds, from the confirmed runs.
        parts: The searches of several restarts, which show the variation between searches.
    """

    losses: Array
    seconds: Array
    independent: bool
    scatter: Estimate
    parts: tuple["SearchPath", ...] = ()

    def after(self, trials: int) -> Estimate:
        """Return the best loss of a number of trials; ``nan`` if there are fewer."""
        if self.parts:
            return estimate([np.array([part.after(trials).value for part in self.parts])])
        if not 1 <= trials <= len(self.losses):
            return _UNKNOWN
        if not self.independent:
            best = float(self.losses[:trials].min())
            return Estimate(best, self.scatter.error, self.scatter.freedom)
        value = expected_best(self.losses, trials)
        n = len(self.losses)
        if not np.isfinite(self.losses).all() or trials > n // 3:
            return Estimate(value, math.nan, math.nan)
        without = [expected_best(np.delete(self.losses, i), trials) for i in range(n)]
        error = math.sqrt((n - 1) * float(np.var(without)))
        # Only the few smallest values determine the error, not all n.
        return Estimate(value, error, 2 * n / trials)

    def within(self, seconds: float) -> Estimate:
        """Return the best loss of the trials that fit into a number of seconds."""
        if self.parts:
            return estimate([np.array([part.within(seconds).value for part in self.parts])])
        if len(self.losses) == 0 or seconds > self.seconds.sum():
            return _UNKNOWN
        if self.independent:
            return self.after(math.floor(seconds / self.seconds.mean()))
        return self.after(int((np.cumsum(self.seconds) <= seconds).sum()))


def expected_best(values: Array, trials: int) -> float:
    """Return the expected smallest of ``trials`` losses drawn without replacement.

    The losses of all independent trials have shape (n,); at most n are drawn.
    """
    n = len(values)
    left = np.arange(n - 1, trials - 2, -1, dtype=np.float64)
    weights = np.exp(_log_choose(left, trials - 1) - _log_choose(np.array(float(n)), trials))
    return float(weights @ np.sort(values)[: len(weights)])


def path(results: CellResults, independent: bool) -> SearchPath:
    """Return the search of a cell; ``independent`` trials were drawn at random."""
    rows = results.trials
    if results.several and not independent:
        by_restart = [part for _, part in rows.groupby("restart")]
        parts = tuple(path(replace(results, search=r, several=False), False) for r in by_restart)
        if parts:
            return replace(parts[0], parts=parts)
    rows = rows.sort_values("trial", kind="stable") if "trial" in rows else rows
    stages = [name for name in STAGES if name in rows]
    seconds = rows[stages].fillna(0.0).sum(axis=1).to_numpy(dtype=np.float64)
    confirmed = results.losses
    n = len(confirmed)
    error = float(confirmed.std(ddof=1)) if n > 1 and np.isfinite(confirmed).all() else math.nan
    scatter = Estimate(math.nan, error, n - 1.0)
    return SearchPath(eligible(rows, results.objective), seconds, independent, scatter)


def budgets(evidence: Evidence, independent: bool) -> pd.DataFrame:
    """Return the best value of every search within several budgets per cell.

    One row per budget, dataset and contestant; rows of the dataset ``all`` have the mean score
    over all datasets; see ``COLUMNS``. Budgets that no cell of a dataset reached are left out.
    ``independent`` says whether the trials were drawn at random.
    """
    rows: list[dict[str, object]] = []
    contestants = evidence.contestants
    paths = {results.cell: path(results, independent) for results in evidence.cells}
    for unit, budget in _BUDGETS:
        best = {
            cell: search.after(int(budget)) if unit == "trials" else search.within(budget)
            for cell, search in paths.items()
        }
        for dataset in evidence.datasets:
            values = [best[contestant.cells[dataset].cell] for contestant in contestants]
            rows += _rows((unit, budget, dataset), contestants, values)
        if len(evidence.datasets) > 1:
            scores = [_score(evidence, contestant, best) for contestant in contestants]
            rows += _rows((unit, budget, "all"), contestants, scores)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def budget_sentences(evidence: Evidence, table: pd.DataFrame) -> list[str]:
    """Say which methods lead after each budget of the table ``budgets``, one sentence each."""
    dataset = "all" if len(evidence.datasets) > 1 else next(iter(evidence.datasets), "")
    labels = {(c.method, c.sampler): c.label for c in evidence.contestants}
    sentences = []
    rows = table[table["dataset"] == dataset]
    for (unit, budget), group in rows.groupby(["unit", "budget"], sort=False):
        leading = group[group["leads"]]
        leaders = [labels[key] for key in zip(leading["method"], leading["sampler"], strict=True)]
        if not leaders:
            continue
        behind = len(group) - int(group["value"].notna().sum())
        spent = f"{budget:g} trials" if unit == "trials" else f"{budget:g} s of computing"
        some = f"{behind} of {len(group)} {evidence.nouns}"
        rest = f"; {some} had not reached it" if behind else ""
        if len(leaders) == len(group) - behind > 1:
            outcome = "none leads"
        elif len(leaders) == 1:
            outcome = f"{leaders[0]} leads"
        else:
            outcome = f"{text.listed(leaders)} are tied for the lead"
        sentences.append(f"After {spent} per cell {outcome}{rest}.")
    return sentences


def _rows(
    head: tuple[str, float, str], contestants: Sequence[Contestant], estimates: Sequence[Estimate]
) -> Iterator[dict[str, object]]:
    present = [estimate for estimate in estimates if not math.isnan(estimate.value)]
    if not present:
        return
    best = min(present, key=lambda estimate: estimate.value)
    level = simultaneous_level(len(present))
    for contestant, value in zip(contestants, estimates, strict=True):
        low, high = value.interval()
        yield {
            "unit": head[0],
            "budget": head[1],
            "dataset": head[2],
            "method": contestant.method,
            "sampler": contestant.sampler,
            "value": value.value,
            "low": low,
            "high": high,
            "leads": value is best or _tied(value, best, level),
        }


def _tied(estimate: Estimate, best: Estimate, level: float) -> bool:
    """Whether two independent estimates cannot be distinguished."""
    if not math.isfinite(estimate.value):
        return False
    if estimate.value == best.value:
        return True
    variances = [estimate.error**2, best.error**2]
    gap = welch(estimate.value - best.value, variances, [estimate.freedom, best.freedom])
    return math.isnan(gap.error) or gap.p_value() > 1 - level


def _score(evidence: Evidence, contestant: Contestant, best: dict[Cell, Estimate]) -> Estimate:
    """Return the mean score over the datasets."""
    cells = [contestant.cells[name] for name in evidence.datasets]
    pairs = [(best[results.cell], results) for results in cells]
    value = float(np.mean([(loss.value - c.floor) / c.scale for loss, c in pairs]))
    if math.isnan(value):
        return _UNKNOWN
    variances = [(loss.error / c.scale) ** 2 for loss, c in pairs]
    total = welch(value, variances, [loss.freedom for loss, _ in pairs])
    if not total.error > 0:
        return Estimate(value, math.nan, math.nan)
    return Estimate(value, total.error / len(cells), total.freedom)


def _log_choose(n: Array, k: int) -> Array:
    chosen: Array = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return chosen
