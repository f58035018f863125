"""What a search had found after so many trials, or so many seconds.

Random search draws its trials independently, so the expected best of m of them is estimated
without bias from all n: the i-th smallest value is the smallest of m in C(n - i, m - 1) of the
C(n, m) ways to choose them (Dodge et al. 2019 use the biased cousin that draws with replacement).
TPE's later trials depend on its earlier ones; one search of it is one path, and what can be said
is what that path had found. Its error bar is the luck of one training, from the scatter of the
confirmed runs; how another search would have gone takes another search.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from ...studies.cell import Cell
from .. import text
from .cell_results import STAGES, CellResults, losses
from .evidence import Contestant, Evidence
from .rank_intervals import simultaneous_level
from .statistics import Array, Estimate

TRIALS = (5, 10, 50)
SECONDS = (10.0, 60.0, 300.0)
_NOTHING = Estimate(math.nan, math.nan, math.nan)


COLUMNS = {
    "unit": "Of the budget: trials, or seconds of computing.",
    "budget": "How many of them each cell had.",
    "dataset": "Where; `all` for the mean score over all datasets.",
    "method": "Whose search.",
    "sampler": "What turned its models into points.",
    "value": "Best of the search by then, on the validation truth; a score where dataset is `all`.",
    "low": "Lower end of its 95 % interval; empty where it cannot be known.",
    "high": "Upper end of it.",
    "leads": "Whether it is the best there, or cannot be told from it.",
}
"""Of the table of budgets, with what they mean."""


@dataclass(frozen=True)
class Path:
    """The trials of a cell in the order in which they were proposed.

    Attributes:
        losses: Shape (trials,); ``inf`` for a failed one.
        seconds: What each took, shape (trials,).
        independent: Whether they were drawn at random.
        scatter: What else the same configuration might have given, from its confirmed runs.
    """

    losses: Array
    seconds: Array
    independent: bool
    scatter: Estimate

    def after(self, trials: int) -> Estimate:
        """Best loss of so many trials; ``nan`` if there are fewer."""
        if not 1 <= trials <= len(self.losses):
            return _NOTHING
        if not self.independent:
            best = float(self.losses[:trials].min())
            return Estimate(best, self.scatter.error, self.scatter.freedom)
        value = expected_best(self.losses, trials)
        n = len(self.losses)
        if not np.isfinite(self.losses).all() or trials > n // 3:
            return Estimate(value, math.nan, math.nan)
        without = [expected_best(np.delete(self.losses, i), trials) for i in range(n)]
        error = math.sqrt((n - 1) * float(np.var(without)))
        # Few of the values ever are among the smallest: they, not all n, carry the error.
        return Estimate(value, error, 2 * n / trials)

    def within(self, seconds: float) -> Estimate:
        """Best loss of the trials that so many seconds are enough for."""
        if len(self.losses) == 0 or seconds > self.seconds.sum():
            return _NOTHING
        if self.independent:
            return self.after(math.floor(seconds / self.seconds.mean()))
        return self.after(int((np.cumsum(self.seconds) <= seconds).sum()))


def expected_best(values: Array, trials: int) -> float:
    """Expected smallest of ``trials`` values drawn without replacement.

    Args:
        values: Losses of independent trials, shape (n,).
        trials: At most n.
    """
    n = len(values)
    left = np.arange(n - 1, trials - 2, -1, dtype=np.float64)
    weights = np.exp(_log_choose(left, trials - 1) - _log_choose(np.array(float(n)), trials))
    return float(weights @ np.sort(values)[: len(weights)])


def path(cell: CellResults, independent: bool) -> Path:
    """The search of a cell.

    Args:
        cell: Which.
        independent: Whether the trials were drawn at random.
    """
    rows = cell.search[cell.search["replicate"] == 0]
    rows = rows.sort_values("trial", kind="stable") if "trial" in rows else rows
    known = [name for name in STAGES if name in rows]
    seconds = rows[known].fillna(0.0).sum(axis=1).to_numpy(dtype=np.float64)
    n = len(cell.losses)
    error = float(cell.losses.std(ddof=1)) if n > 1 and np.isfinite(cell.losses).all() else math.nan
    scatter = Estimate(math.nan, error, n - 1.0)
    return Path(losses(rows, cell.objective), seconds, independent, scatter)


def budgets(evidence: Evidence, independent: bool) -> pd.DataFrame:
    """Who had found what after given budgets per cell.

    One row per budget, dataset and contestant, and with the dataset ``all`` the mean normalised
    score over all datasets; see ``COLUMNS``. Budgets that no cell of a dataset reached are left
    out.

    Args:
        evidence: The gathered results.
        independent: Whether the trials were drawn at random.
    """
    rows: list[dict[str, object]] = []
    paths = {cell.cell: path(cell, independent) for cell in evidence.cells}
    for unit, budget in _all_budgets():
        found = {
            place: one.after(int(budget)) if unit == "trials" else one.within(budget)
            for place, one in paths.items()
        }
        for dataset in evidence.datasets:
            cells = [c.cells[dataset] for c in evidence.contestants]
            rows += _rows(
                (unit, budget, dataset),
                evidence.contestants,
                [found[cell.cell] for cell in cells],
            )
        if len(evidence.datasets) > 1:
            scores = [_score(evidence, c, found) for c in evidence.contestants]
            rows += _rows((unit, budget, "all"), evidence.contestants, scores)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def budget_sentences(evidence: Evidence, table: pd.DataFrame) -> list[str]:
    """Who leads after each budget, a sentence each.

    Args:
        evidence: The gathered results.
        table: What ``budgets`` gave.
    """
    where = "all" if len(evidence.datasets) > 1 else next(iter(evidence.datasets), "")
    labels = {(c.method, c.sampler): c.label for c in evidence.contestants}
    said = []
    for (unit, budget), some in table[table["dataset"] == where].groupby(
        ["unit", "budget"], sort=False
    ):
        leading = some[some["leads"]]
        who = zip(leading["method"], leading["sampler"], strict=True)
        names = [labels[place] for place in who]
        if not names:
            continue
        lost = len(some) - int(some["value"].notna().sum())
        much = f"{budget:g} trials" if unit == "trials" else f"{budget:g} s of computing"
        rest = f"; {text.plural(lost, 'method')} had not got so far" if lost else ""
        if len(names) == len(some) - lost > 1:
            found = "nobody is ahead of anybody"
        else:
            tie = "leads" if len(names) == 1 else "lead, not to be told apart"
            found = f"{text.listed(names)} {tie}"
        said.append(f"After {much} per cell {found}{rest}.")
    return said


def _all_budgets() -> Iterator[tuple[str, float]]:
    yield from (("trials", float(count)) for count in TRIALS)
    yield from (("seconds", seconds) for seconds in SECONDS)


def _rows(
    head: tuple[str, float, str],
    contestants: Sequence[Contestant],
    found: Sequence[Estimate],
) -> Iterator[dict[str, object]]:
    present = [one for one in found if not math.isnan(one.value)]
    if not present:
        return
    best = min(present, key=lambda one: one.value)
    level = simultaneous_level(len(present))
    for contestant, one in zip(contestants, found, strict=True):
        low, high = one.interval()
        yield {
            "unit": head[0], "budget": head[1], "dataset": head[2],
            "method": contestant.method, "sampler": contestant.sampler,
            "value": one.value,
            "low": low, "high": high,
            "leads": one is best or _open(one, best, level),
        }  # fmt: skip


def _open(one: Estimate, best: Estimate, level: float) -> bool:
    """Whether the order of two independent estimates is open."""
    if math.isnan(one.value) or math.isinf(one.value):
        return False
    if one.value == best.value:
        return True
    parts = [one.error**2, best.error**2]
    total = sum(parts)
    if not total > 0:
        return math.isnan(total)
    share = [part / total for part in parts]
    freedom = 1 / (share[0] ** 2 / one.freedom + share[1] ** 2 / best.freedom)
    gap = Estimate(one.value - best.value, math.sqrt(total), freedom)
    return gap.p_value() > 1 - level


def _score(evidence: Evidence, contestant: Contestant, found: dict[Cell, Estimate]) -> Estimate:
    cells = [contestant.cells[name] for name in evidence.datasets]
    each = [found[cell.cell] for cell in cells]
    scaled = [(one.value - c.floor) / c.scale for one, c in zip(each, cells, strict=True)]
    value = float(np.mean(scaled))
    if math.isnan(value):
        return _NOTHING
    parts = np.array([(one.error / c.scale) ** 2 for one, c in zip(each, cells, strict=True)])
    total = float(parts.sum())
    if not total > 0:
        return Estimate(value, math.nan, math.nan)
    freedoms = np.array([one.freedom for one in each])
    freedom = 1.0 / float(((parts / total) ** 2 / freedoms).sum())
    return Estimate(value, math.sqrt(total) / len(cells), freedom)


def _log_choose(n: Array, k: int) -> Array:
    chosen: Array = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return chosen
