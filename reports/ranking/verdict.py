"""The answer in words: which is better, by how much, how sure; no more than intervals carry."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import text
from .cell_results import CellResults
from .evidence import Evidence
from .rank_intervals import common, simultaneous_level
from .remarks import remarks
from .statistics import Comparison, Estimate, compare

_MOST_NAMES = 4


@dataclass(frozen=True)
class _Side:
    """A contestant of a verdict."""

    label: str
    estimate: Estimate
    rank: tuple[int, int]
    failed: int
    seeds: int

    @property
    def value(self) -> str:
        if math.isinf(self.estimate.value):
            return f"none ({self.failed} failed)"
        return text.mean_of(self.estimate.value, self.estimate.half_width())


Pair = Callable[[int, int], Comparison]


def verdict(evidence: Evidence) -> str:
    """Say in one to three sentences what the study shows.

    Args:
        evidence: The gathered results.
    """
    return " ".join([answer(evidence), *remarks(evidence)])


def headline(evidence: Evidence) -> str:
    """Say in a handful of words who is best, or that nobody is.

    Args:
        evidence: The gathered results.
    """
    if not evidence.compared:
        return "No answer yet"
    alone = evidence.compared[0] if len(evidence.compared) == 1 else ""
    where = f" on {alone}" if alone else ""
    if alone:
        cells = [cell for cell in evidence.on(alone) if cell.rank is not None]
        ranks = {c.label: c.rank for c in cells if math.isfinite(c.mean)}
        several = len(cells) > 1
    else:
        ranked = [c for c in evidence.contestants if c.rank is not None]
        ranks = {c.label: c.rank for c in ranked if math.isfinite(c.score.value)}
        several = len(ranked) > 1
    front = [label for label, rank in ranks.items() if rank is not None and rank[0] == 1]
    if not front or not several:
        return f"Nothing to rank{where}"
    if len(front) == 1:
        return f"{front[0]} is best{where}"
    return f"No winner{where}: {_few(front)} are tied"


def _few(labels: Sequence[str]) -> str:
    """Names, or how many they are where names would bury the sentence."""
    if len(labels) <= _MOST_NAMES:
        return text.listed(list(labels))
    pairs = any(" · " in label for label in labels)
    return f"{len(labels)} {'pairs of method and sampler' if pairs else 'methods'}"


def answer(evidence: Evidence) -> str:
    """Say in one sentence which method is best, if the seeds carry it.

    Args:
        evidence: The gathered results.
    """
    if not evidence.compared:
        return "Nothing is confirmed yet, so there is no answer yet."
    if len(evidence.compared) == 1:
        return verdict_on(evidence, evidence.compared[0])
    return _across(evidence)


def verdict_on(evidence: Evidence, dataset: str) -> str:
    """Say in one sentence what the study shows on one dataset.

    Args:
        evidence: The gathered results.
        dataset: Name of the dataset.
    """
    cells = [cell for cell in evidence.on(dataset) if not cell.missing]
    sides = [
        _Side(c.label, c.loss, c.rank or (1, len(cells)), c.failed,
              len(c.losses))
        for c in cells
    ]  # fmt: skip

    def pair(i: int, j: int) -> Comparison:
        first, second = ([(c.replicates, c.losses)] for c in (cells[i], cells[j]))
        return compare(*common(first, second))

    every = len(evidence.on(dataset))
    where = f"On {dataset}" + _of(len(cells), every, "confirmed there")
    return _answer(where, evidence.objective.upper(), sides, pair, "", _tuned(cells))


def _across(evidence: Evidence) -> str:
    ranked = [c for c in evidence.contestants if c.rank is not None]
    sides = [
        _Side(c.label, c.score, c.rank or (1, len(ranked)),
              sum(cell.failed for cell in c.cells.values()),
              min(len(c.cells[d].losses) for d in evidence.compared))
        for c in ranked
    ]  # fmt: skip
    where = f"Across {len(evidence.compared)} datasets"
    if not sides:
        return f"{where} nobody can be ranked."
    where += _of(len(sides), len(evidence.contestants), "confirmed on all of them")

    def pair(i: int, j: int) -> Comparison:
        return evidence.pair(ranked[i], ranked[j])

    return _answer(
        where,
        "score",
        sides,
        pair,
        "; score 0 is the truth, 1 an untrained network",
        _tuned(evidence.cells),
    )


def _of(compared: int, every: int, what: str) -> str:
    """Says so when the comparison is among some only."""
    return f", of the {compared} of {every} methods {what}," if compared < every else ""


def _tuned(cells: Sequence[CellResults]) -> str:
    """Says that the seeds vouch for the configurations that were found, not for the search."""
    return ", as tuned here," if any(len(cell.search) for cell in cells) else ""


def _answer(
    where: str, quantity: str, sides: Sequence[_Side], pair: Pair, unit: str, tuned: str
) -> str:
    if not sides:
        return f"{where} nothing is confirmed yet."
    seeds = _seeds(sides)
    if len(sides) == 1:
        only = sides[0]
        half = only.estimate.half_width()
        value = text.measured(only.estimate.value, half)
        return f"{where} only {only.label} can be ranked: {quantity} {value} ({seeds}{unit})."
    front = [i for i, side in enumerate(sides) if side.rank[0] == 1]
    level = simultaneous_level(len(sides))
    if len(front) == 1:
        first = front[0]
        rival = next(i for i in range(len(sides)) if i != first)
        return (
            f"{where} {sides[first].label}{tuned} is best: {quantity} {sides[first].value}, "
            f"{_gap(sides, pair(first, rival), rival, level)} ({seeds}{unit})."
        )
    labels = _few([sides[i].label for i in front])
    if all(math.isinf(sides[i].estimate.value) for i in front):
        return f"{where} {labels} cannot be ranked: each has failed runs ({seeds}{unit})."
    values = text.listed([sides[i].value for i in front])
    if len(front) > _MOST_NAMES:
        ends = (sides[i] for i in (front[0], front[-1]))
        values = " to ".join(f"{side.value} ({side.label})" for side in ends)
    widest = pair(front[0], front[-1])
    said = f"{where} {labels} cannot be told apart: {quantity} {values}"
    half = widest.difference.half_width(level)
    if math.isfinite(half):
        apart = "difference" if len(front) == 2 else "first and last differ by"
        said += f", {apart} {text.measured(abs(widest.difference.value), half)}"
    said += f" ({seeds}{unit})"
    if behind := [side.label for i, side in enumerate(sides) if i not in front]:
        said += f"; {_few(behind)} {'is' if len(behind) == 1 else 'are'} not the best"
    return said + "."


def _gap(sides: Sequence[_Side], outcome: Comparison, rival: int, level: float) -> str:
    other = sides[rival]
    half = outcome.difference.half_width(level)
    if other.failed and not math.isfinite(other.estimate.value):
        return f"while the next, {other.label}, failed in {other.failed} confirmed runs"
    gap = text.measured(abs(outcome.difference.value), half)
    if not abs(outcome.difference.value) > half:
        return f"{gap} from {other.label}, the next"
    return f"{gap} better than {other.label}, the next"


def _seeds(sides: Sequence[_Side]) -> str:
    fewest, most = min(s.seeds for s in sides), max(s.seeds for s in sides)
    if most == 1:
        return "1 seed, which cannot decide anything"
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
