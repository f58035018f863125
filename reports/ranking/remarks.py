"""What has to be known beside the answer: who leads where, what limits it, what failed."""

import math
from collections.abc import Sequence

from .. import text
from .cell_columns import failures
from .cell_results import CellResults
from .evidence import Evidence
from .statistics import same_as_floor


def remarks(evidence: Evidence) -> list[str]:
    """What else has to be known to read the answer rightly, a sentence each.

    Args:
        evidence: The gathered results.
    """
    if not evidence.compared:
        return []
    several = _one_by_one(evidence) if len(evidence.compared) > 1 else []
    return [*several, *_distance(evidence), *_limits(evidence), *_troubles(evidence)]


def _distance(evidence: Evidence) -> list[str]:
    """How far from the truth the best of each dataset are, and the exact score with them."""
    best = [next(iter(evidence.on(name))) for name in evidence.compared]
    reached = [cell.dataset for cell in best if cell.at_floor]
    near, oracle = _ratios(best, learned=True), _ratios(best, learned=False)
    parts = []
    if near:
        where = "" if len(best) == 1 else " on each dataset"
        parts.append(f"the best mean{where} is {near} the noise floor")
    if reached:
        parts.append(f"on {text.listed(reached)} it cannot be told from the truth")
    if oracle:
        parts.append(f"the exact score with the same sampler reaches {oracle} the floor")
    if not parts:
        return []
    sentence = "; ".join(parts)
    return [f"{sentence[0].upper()}{sentence[1:]}."]


def _ratios(cells: Sequence[CellResults], learned: bool) -> str:
    ratios = []
    for cell in cells:
        top = cell.loss.value if learned else (cell.oracle.mean() if len(cell.oracle) else math.nan)
        if not cell.floor_is_positive or not math.isfinite(top):
            return ""
        ratios.append(float(top) / cell.floor)
    low, high = text.number(min(ratios), 2), text.number(max(ratios), 2)
    return f"{low} times" if low == high else f"{low} to {high} times"


def _one_by_one(evidence: Evidence) -> list[str]:
    """Who is alone in front where, when that is not who leads across the datasets."""
    leaders: dict[str, list[str]] = {}
    for dataset in evidence.compared:
        front = [c for c in evidence.on(dataset) if c.rank is not None and c.rank[0] == 1]
        if len(front) == 1:
            leaders.setdefault(front[0].label, []).append(dataset)
    first = [c.label for c in evidence.contestants if c.rank == (1, 1)]
    if not leaders or list(leaders) == first:
        return []
    said = [f"{label} on {text.listed(where)}" for label, where in leaders.items()]
    others = len(evidence.compared) - sum(len(where) for where in leaders.values())
    rest = f"; the order is open on the other {others}" if others > 1 else ""
    return [f"One by one, the best is {text.listed(said)}{rest}."]


def _limits(evidence: Evidence) -> list[str]:
    """Where the sampler, not the learner, sets the limit."""
    limited = []
    for dataset in evidence.compared:
        best = next(iter(evidence.on(dataset)))
        high = best.learning.interval()[1]
        if not same_as_floor(best.oracle, best.truth) and not best.at_floor and high < 0:
            limited.append(dataset)
    if not limited:
        return []
    return [
        f"On {text.listed(limited)} the best method scores better than the exact score does with "
        "the same sampler: there the sampler sets the limit, and ranks say little of learning."
    ]


def _troubles(evidence: Evidence) -> list[str]:
    bad, runs = failures(list(evidence.cells))
    said = [f"Failed: {bad} of {text.plural(runs, 'run')}."] if bad else []
    gaps = sum(cell.missing for cell in evidence.cells)
    if gaps:
        said.append(f"Not confirmed yet: {gaps} of {text.plural(len(evidence.cells), 'cell')}.")
    return said
