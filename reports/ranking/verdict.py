"""The answer in words: which method is best, by how much, with what certainty."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import text
from .evidence import Evidence
from .rank_intervals import simultaneous_level
from .remarks import limited, remarks
from .statistics import Comparison, Estimate

_MOST_NAMES = 4


@dataclass(frozen=True)
class _Side:
    """A contestant of a verdict.

    Attributes:
        label: Its label.
        estimate: Its score across datasets, or its loss on one dataset.
        rank: Best and worst rank compatible with the data.
        failed: Number of failed confirmation runs.
        count: Number of restarts, or of one restart's seeds, on the dataset with the fewest.
    """

    label: str
    estimate: Estimate
    rank: tuple[int, int]
    failed: int
    count: int

    @property
    def value(self) -> str:
        """The estimate in words."""
        if math.isinf(self.estimate.value):
            return f"none ({self.failed} failed)"
        return text.mean_of(self.estimate.value, self.estimate.half_width())


Compare = Callable[[int, int], Comparison]


def verdict(evidence: Evidence) -> str:
    """Say in one to three sentences what the study shows."""
    return " ".join([answer(evidence), *remarks(evidence)])


def headline(evidence: Evidence) -> str:
    """Say in a few words which method is best, or that there is no winner."""
    if not evidence.compared:
        return "No answer yet"
    only = evidence.compared[0] if len(evidence.compared) == 1 else ""
    where = f" on {only}" if only else ""
    if only:
        ranked = [(c.label, c.mean, c.rank) for c in evidence.on(only) if c.rank is not None]
    else:
        ranked = [(c.label, c.score.value, c.rank) for c in evidence.contestants if c.rank]
    limits = limited(evidence)
    if 2 * len(limits) >= len(evidence.compared):
        return f"Ranks say little about learning: the sampler is the limit on {text.listed(limits)}"
    # A method with a failed run may still be tied with the front, so it counts.
    front = [label for label, _, rank in ranked if rank[0] == 1]
    # Methods of which each has a failure have no score, but pairs may be decided by failures.
    undecided = len(front) == len(ranked)
    if len(ranked) < 2 or (undecided and not any(math.isfinite(value) for _, value, _ in ranked)):
        return f"Nothing to rank{where}"
    if evidence.restarts > 1:
        alone, tied = f"{front[0]} is best{where}", f"No winner{where}"
    else:
        alone, tied = f"Best configuration{where}: {front[0]}", f"No best configuration{where}"
    return alone if len(front) == 1 else f"{tied}: {_few(front, evidence.nouns)} are tied"


def _few(labels: Sequence[str], nouns: str) -> str:
    """Return the names, or their number if there are many."""
    if len(labels) <= _MOST_NAMES:
        return text.listed(list(labels))
    return f"{len(labels)} {nouns}"


def answer(evidence: Evidence) -> str:
    """Say in one sentence which method is best, if the data support it."""
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
        _Side(c.label, c.loss, c.rank or (1, len(cells)), c.failed, len(c.losses)) for c in cells
    ]

    def pair(i: int, j: int) -> Comparison:
        return evidence.pair_on(cells[i], cells[j])

    some = f"{len(evidence.on(dataset))} {evidence.nouns} confirmed there"
    where = f"On {dataset}" + _of(len(cells), len(evidence.on(dataset)), some)
    return _answer(where, evidence.objective.upper(), sides, pair, "", _subject(evidence))


def _across(evidence: Evidence) -> str:
    ranked = [c for c in evidence.contestants if c.rank is not None]
    sides = [
        _Side(
            c.label,
            c.score,
            c.rank or (1, len(ranked)),
            sum(results.failed for results in c.cells.values()),
            min(len(c.cells[d].losses) for d in evidence.compared),
        )
        for c in ranked
    ]
    where = f"Across {len(evidence.compared)} datasets"
    if not sides:
        return f"{where} no ranking is possible."
    some = f"{len(evidence.contestants)} {evidence.nouns} confirmed on all of them"
    where += _of(len(sides), len(evidence.contestants), some)

    def pair(i: int, j: int) -> Comparison:
        return evidence.pair(ranked[i], ranked[j])

    unit = "; score 0 is the truth, 1 an untrained network"
    return _answer(where, "score", sides, pair, unit, _subject(evidence))


def _of(compared: int, total: int, some: str) -> str:
    """Return a remark if only some of the contestants are compared."""
    return f", of the {compared} of {some}," if compared < total else ""


@dataclass(frozen=True)
class _Subject:
    """The subject of a sentence: methods, or one configuration of each.

    Attributes:
        one: Words before the label of one method.
        several: Words before the labels of several methods.
        verb: Verb after one method.
        unit: Unit of the confirmation, "restart" or "seed".
        nouns: What they are, if they are many.
    """

    one: str
    several: str
    verb: str
    unit: str
    nouns: str


def _subject(evidence: Evidence) -> _Subject:
    """Return methods for several restarts, configurations for one."""
    if evidence.restarts > 1:
        return _Subject("", "", "is", "restart", evidence.nouns)
    if evidence.searched:
        found = "found for "
        return _Subject(
            f"the configuration {found}",
            f"the configurations {found}",
            "is",
            "seed",
            evidence.nouns,
        )
    given = "the settings given for "
    return _Subject(given, given, "are", "seed", evidence.nouns)


def _answer(
    where: str, quantity: str, sides: Sequence[_Side], pair: Compare, unit: str, subject: _Subject
) -> str:
    if not sides:
        return f"{where} nothing is confirmed yet."
    seeds = _counted(sides, subject.unit)
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
            f"{where} {subject.one}{sides[first].label} {subject.verb} best: "
            f"{quantity} {sides[first].value}, "
            f"{_gap(sides, pair(first, rival), rival, level)} ({seeds}{unit})."
        )
    labels = subject.several + _few([sides[i].label for i in front], subject.nouns)
    if all(math.isinf(sides[i].estimate.value) for i in front):
        return f"{where} {labels} cannot be ranked: each has failed runs ({seeds}{unit})."
    values = text.listed([sides[i].value for i in front])
    if len(front) > _MOST_NAMES:
        ends = (sides[i] for i in (front[0], front[-1]))
        values = " to ".join(f"{side.value} ({side.label})" for side in ends)
    widest = pair(front[0], front[-1])
    sentence = f"{where} {labels} cannot be told apart: {quantity} {values}"
    half = widest.difference.half_width(level)
    if math.isfinite(half):
        noun = "difference" if len(front) == 2 else "first and last differ by"
        sentence += f", {noun} {_distance_of(widest.difference, level)}"
    sentence += f" ({seeds}{unit})"
    if behind := [side.label for i, side in enumerate(sides) if i not in front]:
        sentence += (
            f"; {_few(behind, subject.nouns)} {'is' if len(behind) == 1 else 'are'} not the best"
        )
    return sentence + "."


def _gap(sides: Sequence[_Side], outcome: Comparison, rival: int, level: float) -> str:
    other = sides[rival]
    half = outcome.difference.half_width(level)
    if outcome.decided is not None and not other.failed:
        return f"{_distance_of(outcome.difference, level)} better than {other.label}, the next"
    if other.failed and not math.isfinite(other.estimate.value):
        return f"while the next, {other.label}, failed in {other.failed} confirmed runs"
    gap = _distance_of(outcome.difference, level)
    if not abs(outcome.difference.value) > half:
        return f"{gap} from {other.label}, the next"
    return f"{gap} better than {other.label}, the next"


def _distance_of(difference: Estimate, level: float) -> str:
    """Return the size of a difference with its interval."""
    if difference.limits is None:
        return text.measured(abs(difference.value), difference.half_width(level))
    sign = -1.0 if difference.value < 0 else 1.0
    low, high = sorted(sign * end for end in difference.interval(level))
    return text.spanned(sign * difference.value, low, high)


def _counted(sides: Sequence[_Side], noun: str) -> str:
    fewest, most = min(s.count for s in sides), max(s.count for s in sides)
    if most == 1:
        return f"1 {noun}, which cannot decide anything"
    return f"{most} {noun}s" if fewest == most else f"{fewest} to {most} {noun}s"
