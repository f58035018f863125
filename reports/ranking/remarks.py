"""Remarks that qualify the answer: where it differs, what it costs to decide, what limits it."""

import math
from collections.abc import Sequence

from .. import text
from .cell_columns import failures
from .cell_results import CellResults
from .evidence import Evidence
from .statistics import estimate, same_as_floor


def remarks(evidence: Evidence) -> list[str]:
    """Return remarks that qualify the answer, one sentence each."""
    if not evidence.compared:
        return []
    by_dataset = _by_dataset(evidence) if len(evidence.compared) > 1 else []
    about = [*_about(evidence), *by_dataset]
    others = [*_limits(evidence), *_unrepeatable(evidence), *_gaps(evidence)]
    return [*about, *_distance(evidence), *others]


def _about(evidence: Evidence) -> list[str]:
    """Say that one restart does not compare methods, or how many more would decide a tie."""
    ranked = [c for c in evidence.contestants if c.rank is not None]
    if evidence.restarts < 2:
        if not evidence.searched or len(evidence.contestants) < 2:
            return []
        return [
            "One search per cell compares configurations only; "
            f"set search.restarts = 3 to compare {evidence.nouns}."
        ]
    front = [c for c in ranked if c.rank is not None and c.rank[0] == 1]
    if len(front) < 2:
        return []
    outcome = evidence.pair(front[0], front[-1])
    if outcome.small:
        return [f"{front[0].label} and {front[-1].label} differ by less than what matters."]
    needed = outcome.needed
    if not math.isfinite(needed):
        return []
    seconds = needed * evidence.restart_seconds
    # Recorded runs that are looked up take no time.
    cost = f", {text.seconds(seconds)} of one core," if seconds >= 1 else ""
    return [
        f"About {text.plural(int(needed), 'more restart')}{cost} would tell "
        f"{front[0].label} from {front[-1].label}, if the difference stays as it is."
    ]


def _distance(evidence: Evidence) -> list[str]:
    """Say how far the best of each dataset, and the exact score, are from the noise floor."""
    best = [next(iter(evidence.on(name))) for name in evidence.compared]
    reached = [results.dataset for results in best if results.at_floor]
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
    """Return the range of means divided by the floor; empty if a ratio is not meaningful."""
    ratios = []
    for results in cells:
        mean = results.mean if learned else estimate([results.oracle]).value
        if not results.floor_is_positive or not math.isfinite(mean):
            return ""
        ratios.append(mean / results.floor)
    low, high = text.number(min(ratios), 2), text.number(max(ratios), 2)
    return f"{low} times" if low == high else f"{low} to {high} times"


def _by_dataset(evidence: Evidence) -> list[str]:
    """Name the best methods of each dataset, if at most half of all, unless one leads everywhere.

    Unlike the headline these claims hold at 95 % for each dataset, not for all of them together.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for dataset in evidence.compared:
        ranked = [cell for cell in evidence.on(dataset) if cell.rank is not None]
        front = sorted(cell.label for cell in ranked if cell.rank and cell.rank[0] == 1)
        if 0 < 2 * len(front) <= len(ranked):
            found.setdefault(tuple(front), []).append(dataset)
    first = [(c.label,) for c in evidence.contestants if c.rank == (1, 1)]
    if not found or list(found) == first:
        return []
    names = [f"{text.listed([*front])} on {text.listed(on)}" for front, on in found.items()]
    several = "are" if any(len(front) > 1 for front in found) else "is"
    others = len(evidence.compared) - sum(len(on) for on in found.values())
    rest = f"; the order is open on the other {others}" if others > 1 else ""
    return [f"Each dataset by itself, at 95 %, the best {several} {'; '.join(names)}{rest}."]


def limited(evidence: Evidence) -> list[str]:
    """Return the datasets on which sampling error, not learning error, sets the limit."""
    found = []
    for dataset in evidence.compared:
        best = next(iter(evidence.on(dataset)))
        high = best.learning.interval()[1]
        if not same_as_floor(best.oracle, best.truth) and not best.at_floor and high < 0:
            found.append(dataset)
    return found


def _limits(evidence: Evidence) -> list[str]:
    datasets = limited(evidence)
    if not datasets:
        return []
    return [
        f"On {text.listed(datasets)} the best method scores better than the exact score does with "
        "the same sampler: there the sampler sets the limit, and ranks say little about learning."
    ]


def _unrepeatable(evidence: Evidence) -> list[str]:
    """Name the methods of others whose numbers do not come back, or only within tolerance."""
    kinds = {
        "from a file": "Not replayable: points of {} come from files that were made elsewhere.",
        "differs": "Not repeatable: a second run of {} with equal seeds differs.",
        "within tolerance": "A second run of {} with equal seeds is equal within tolerance only.",
    }
    found = {
        kind: sorted({cell.label for cell in evidence.cells if cell.repeats == kind})
        for kind in kinds
    }
    return [kinds[kind].format(text.listed(labels)) for kind, labels in found.items() if labels]


def _gaps(evidence: Evidence) -> list[str]:
    """Count failed runs and unconfirmed cells."""
    bad, runs = failures(list(evidence.cells))
    sentences = [f"Failed: {bad} of {text.plural(runs, 'run')}."] if bad else []
    missing = sum(results.missing for results in evidence.cells)
    if missing:
        cells = text.plural(len(evidence.cells), "cell")
        sentences.append(f"Not confirmed yet: {missing} of {cells}.")
    return sentences
