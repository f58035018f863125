"""Rounds of repeat runs that choose the winner of a cell: configurations race over paired seeds.

Runs with the same replicate number share data, noise and validation sample, so differences between
configurations are less noisy than their values (common random numbers). A round drops finished
configurations by their means, never by learning curves, which favour fast starters.

How many continue is a schedule and not a test, because few paired runs cannot reject anything: a
signed-rank test of four pairs has p >= 1/16. The errors of the schedule are measured instead, by
``tests/calibration/racing.py``. Nearest relatives: successive halving (Karnin et al. 2013), irace
(López-Ibáñez et al. 2016), Optuna's ``WilcoxonPruner``.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from .front import front, spread
from .rundir.rows import Row
from .specs.tables import Search


class Round(NamedTuple):
    """Repeat runs of the best configurations.

    Attributes:
        configurations: Number of configurations that take part.
        replicates: Numbers of the runs of each.
    """

    configurations: int
    replicates: range

    @property
    def runs(self) -> int:
        """Number of runs; one configuration alone has no competitor and is not repeated."""
        return self.configurations * len(self.replicates) if self.configurations > 1 else 0


def rounds(search: Search) -> list[Round]:
    """Return the rounds after the trials; at least one, which may have no replicates.

    Without a race the finalists take part in all repeats: their number does not shrink.
    """
    least = min(search.finalists, search.trials)
    if search.race is None or not search.repeats:
        return [Round(least, range(1, search.repeats + 1))]
    counts = [
        max(least, math.ceil(search.trials / search.race**replicate))
        for replicate in range(1, search.repeats + 1)
    ]
    found = []
    start = 1
    for count, equal in itertools.groupby(counts):
        end = start + len(list(equal))
        found.append(Round(count, range(start, end)))
        start = end
    return found


class Candidate(NamedTuple):
    """A configuration that can still win.

    Attributes:
        trial: Row of its trial.
        runs: Rows that it is judged by.
    """

    trial: Row
    runs: tuple[Row, ...]

    def mean(self, objective: str) -> float:
        """Return the mean loss; infinite if a run failed."""
        return math.fsum(row.loss(objective) for row in self.runs) / len(self.runs)

    def average(self, name: str) -> float:
        """Return the mean of a number over the runs that did not fail; 0 if all did."""
        good = [loss for row in self.runs if (loss := row.loss(name)) < math.inf]
        return math.fsum(good) / max(len(good), 1)

    def merit(self, objective: str) -> tuple[int, float]:
        """Return the number of failed runs, and the mean loss of the others; less is better."""
        failed = sum(row.loss(objective) == math.inf for row in self.runs)
        return failed, self.average(objective)


def entrants(trials: Sequence[Row], objective: str) -> list[Candidate]:
    """Return the distinct configurations with a finite loss, best first."""
    distinct: dict[str, Row] = {}
    for row in sorted(trials, key=lambda row: row.loss(objective)):
        if row.loss(objective) < math.inf:
            distinct.setdefault(row.spec, row)
    return [Candidate(row, (row,)) for row in distinct.values()]


def survivors(
    candidates: Sequence[Candidate], count: int, objectives: Sequence[str], race: bool
) -> list[Candidate]:
    """Choose the candidates of a round.

    With several objectives those along the Pareto front of the means come first. If it is short, a
    race continues with the front of the others; finalists are filled up by the first objective.

    Args:
        candidates: Candidates, best first.
        count: Most candidates that are chosen.
        objectives: What is to be small.
        race: Whether this is a round of a race.
    """
    if len(objectives) == 1:
        return list(candidates[:count])
    points = [[candidate.mean(name) for name in objectives] for candidate in candidates]
    chosen = spread(front(points), count)
    rest = [i for i in range(len(candidates)) if i not in chosen]
    while rest and len(chosen) < count:
        room = count - len(chosen)
        layer = [rest[i] for i in front([points[i] for i in rest])] if race else []
        chosen += spread(layer, room) or rest[:room]
        rest = [i for i in rest if i not in chosen]
    return [candidates[i] for i in sorted(chosen)]


def judged(
    candidates: Sequence[Candidate], rows: Sequence[Row], objective: str, race: bool
) -> list[Candidate]:
    """Return candidates with the rows of a round, best first.

    The trial counts in a race: all that are left have the same seeds, and of these the mean of all
    predicts best. A value that alone chose the finalists is optimistic, and does not count.
    """
    new: dict[int | None, list[Row]] = {}
    for row in rows:
        new.setdefault(row.slot.trial, []).append(row)
    known = [
        candidate._replace(
            runs=(*(candidate.runs if race else ()), *new[candidate.trial.slot.trial])
        )
        for candidate in candidates
    ]
    return sorted(known, key=lambda candidate: candidate.merit(objective))
