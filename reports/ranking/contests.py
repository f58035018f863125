"""Contests: the statistics of the leaderboard, with another axis of a study in place of methods.

Searchers compete by what they find after a number of trials, samplers by how near they come to the
data with a number of evaluations. Each place where they meet is what a dataset is on the
leaderboard, and restarts are random.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from .. import text
from .cell_columns import optimism
from .columns import Column, Columns
from .evidence import Contestant, Evidence
from .statistics import Estimate, estimate

T = TypeVar("T")

ALL = "all"
"""Stands for all places together."""

Contests = dict[int, Evidence]
"""The contestants, ranked after each effort: a number of trials or of evaluations."""


@dataclass(frozen=True)
class Standing:
    """A contestant after an effort, at a place or at all together.

    Attributes:
        effort: Number of trials or evaluations.
        place: Label of the place, or ``ALL``.
        contestant: Label of the contestant.
        score: Normalised loss, the smaller the better.
        rank: Best and worst rank compatible with the data; ``None`` with one restart.
        best: Probability that its true score is the smallest; ``nan`` at single places.
        optimism: Score by the value that chose what is scored, minus ``score``.
        needed: Further restarts that would tell it from the leader, or the leader from the next.
    """

    effort: int
    place: str
    contestant: str
    score: Estimate
    rank: tuple[int, int] | None
    best: float
    optimism: float
    needed: float


def swapped(rows: pd.DataFrame, axis: str, place: str, references: pd.DataFrame) -> pd.DataFrame:
    """Give the column ``axis`` of runs at one place the role of methods, beside references."""
    own = rows.assign(method=rows[axis])
    return pd.concat([own, references], ignore_index=True).assign(dataset=place, sampler="")


def standings(contests: Contests) -> list[Standing]:
    """List the contestants by effort, at all places together first, best first."""
    return [
        standing
        for effort, evidence in contests.items()
        for standing in (*_overall(effort, evidence), *_by_place(effort, evidence))
    ]


def _overall(effort: int, evidence: Evidence) -> Iterator[Standing]:
    ranked = [c for c in evidence.contestants if c.rank is not None]
    several = evidence.restarts > 1
    for contestant in evidence.contestants:
        gaps = [optimism(c) / c.scale for c in contestant.cells.values() if not c.missing]
        yield Standing(
            effort,
            ALL,
            contestant.method,
            contestant.score,
            contestant.rank if several else None,
            contestant.best if several else math.nan,
            float(np.mean(gaps)) if gaps else math.nan,
            _needed(evidence, None, contestant.label, [c.label for c in ranked]),
        )


def _by_place(effort: int, evidence: Evidence) -> Iterator[Standing]:
    several = evidence.restarts > 1
    for place in evidence.datasets:
        cells = evidence.on(place)
        ranked = [cell.label for cell in cells if cell.rank is not None]
        for cell in cells:
            yield Standing(
                effort,
                place,
                cell.method,
                estimate([cell.normalised]),
                cell.rank if several else None,
                math.nan,
                optimism(cell) / cell.scale if not cell.missing else math.nan,
                _needed(evidence, place, cell.label, ranked),
            )


def _needed(evidence: Evidence, place: str | None, label: str, ranked: Sequence[str]) -> float:
    """Return the restarts that would tell one from the leader, or the leader from others."""
    others = [other for other in ranked[:2] if other != label]
    outcome = evidence.comparisons.get((place, label, others[0])) if others else None
    return math.nan if outcome is None else outcome.needed


def sentences(contests: Contests, who: str, when: Callable[[int], str]) -> list[str]:
    """Say which contestants, called ``who``, lead after each effort, one sentence each."""
    found = []
    for effort, evidence in contests.items():
        ranked = [c for c in evidence.contestants if c.rank is not None]
        if evidence.restarts < 2 or len(ranked) < 2:
            continue
        leading = [c for c in ranked if c.rank is not None and c.rank[0] == 1]
        found.append(f"{when(effort)}: {_outcome(leading, ranked)}.")
    if contests and contests[max(contests)].restarts < 2:
        found.append(
            f"One restart does not compare {who}: set search.restarts = 5 to compare them."
        )
    return found


def _outcome(leading: Sequence[Contestant], ranked: Sequence[Contestant]) -> str:
    first = ranked[0]
    chance = f"Pr(best) {text.percent(first.best)}"
    if len(leading) == 1:
        return f"{first.label} is best ({chance})"
    if len(leading) == len(ranked):
        return f"none is better than all others for certain ({first.label} looks best, {chance})"
    return f"{text.listed([c.label for c in leading])} are tied for the lead"


def decided(columns: Columns[T], who: str, of: Callable[[T], Standing]) -> None:
    """Add the columns on what is certain of contestants called ``who``."""
    columns["probability_best", "Pr(best)"] = Column(
        f"Probability that the true mean score is the smallest of all {who}.",
        lambda row: of(row).best,
        form=text.percent,
    )
    columns["needed", "more needed"] = Column(
        "Further restarts that would tell it from the leader (the leader from the second) with a "
        "probability of 80 %, if the difference stays as it is.",
        lambda row: of(row).needed,
        form=text.further,
    )
