"""Two studies side by side: what was asked, what it ran on, and which ranks really moved."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..studies.rundir.changes import difference
from . import text
from .ranking.columns import Columns
from .ranking.evidence import Contestant
from .ranking.statistics import Estimate
from .source import Source


@dataclass(frozen=True)
class Move:
    """One contestant, or one cell, in both studies.

    Attributes:
        label: What it is.
        where: A dataset, or that it is across all of them.
        old: Loss in the first study.
        new: Loss in the second.
        old_rank: Places the seeds leave open in the first.
        new_rank: In the second.
    """

    label: str
    where: str
    old: Estimate
    new: Estimate
    old_rank: tuple[int, int] | None
    new_rank: tuple[int, int] | None

    @property
    def change(self) -> Estimate:
        """New minus old, as of two studies that share nothing; Welch's interval."""
        value = 0.0 if self.new.value == self.old.value else self.new.value - self.old.value
        parts = [self.old.error**2, self.new.error**2]
        total = sum(parts)
        if not total > 0:
            return Estimate(value, math.nan if math.isnan(total) else 0.0, math.inf)
        ends = ((part / total) ** 2 for part in parts)
        freedoms = (self.old.freedom, self.new.freedom)
        freedom = 1.0 / sum(end / free for end, free in zip(ends, freedoms, strict=True))
        return Estimate(value, math.sqrt(total), freedom)

    @property
    def rank_moved(self) -> bool:
        """Whether the two rank intervals exclude each other."""
        if self.old_rank is None or self.new_rank is None:
            return False
        return self.old_rank[1] < self.new_rank[0] or self.new_rank[1] < self.old_rank[0]

    @property
    def value_moved(self) -> bool:
        """Whether the change is more than both studies' seeds explain, at 95 %."""
        half = self.change.half_width()
        return math.isfinite(half) and abs(self.change.value) > half

    @property
    def what(self) -> str:
        """What moved: ``rank``, ``value`` only, or ``no``."""
        return "rank" if self.rank_moved else "value" if self.value_moved else "no"


@dataclass(frozen=True)
class Difference:
    """What two run directories differ in.

    Attributes:
        settings: Fields of the studies, as ``field: old -> new``.
        environment: What they ran on, likewise.
        moves: Contestants across the datasets, then cells, that both have.
        gone: Cells of the first study that the second does not have, and the other way round.
    """

    settings: list[str]
    environment: list[str]
    moves: list[Move]
    gone: list[str]

    @property
    def answer(self) -> str:
        """What of it matters, in a sentence."""
        ranks = [m for m in self.moves if m.rank_moved]
        values = [m for m in self.moves if m.value_moved and not m.rank_moved]
        if not self.moves:
            return "The two studies have nothing in common that could be compared."
        if not ranks and not values:
            return "No rank and no value moved by more than its uncertainty."
        said = []
        if ranks:
            names = [f"{m.label} {m.where} ({text.ranks(m.old_rank)} → {text.ranks(m.new_rank)})"
                     for m in ranks]  # fmt: skip
            said.append(f"Ranks that moved by more than their uncertainty: {text.listed(names)}.")
        else:
            said.append("No rank moved by more than its uncertainty.")
        if values:
            names = [f"{m.label} {m.where}" for m in values]
            said.append(f"Only the value moved of {text.listed(names)}.")
        return " ".join(said)


move_columns: Columns[Move] = Columns()
_on_move = move_columns.add


@_on_move("where", "where")
def _where(move: Move) -> str:
    return move.where


@_on_move("label", "method")
def _label(move: Move) -> str:
    return move.label


@_on_move("old_rank", "old rank", show=lambda move: text.ranks(move.old_rank))
def _old_rank(move: Move) -> float:
    return move.old_rank[0] if move.old_rank else math.nan


@_on_move("new_rank", "new rank", show=lambda move: text.ranks(move.new_rank))
def _new_rank(move: Move) -> float:
    return move.new_rank[0] if move.new_rank else math.nan


@_on_move("old", "old", show=lambda m: text.measured(m.old.value, m.old.half_width()))
def _old(move: Move) -> float:
    return move.old.value


@_on_move("new", "new", show=lambda m: text.measured(m.new.value, m.new.half_width()))
def _new(move: Move) -> float:
    return move.new.value


@_on_move(
    "change",
    "new − old",
    show=lambda m: text.measured(m.change.value, m.change.half_width()),
)
def _change(move: Move) -> float:
    return move.change.value


@_on_move("moved", "moved")
def _moved(move: Move) -> str:
    return move.what


def diff(old: Source, new: Source) -> Difference:
    """Compare two run directories.

    Args:
        old: The first.
        new: The second.
    """
    same = old.study.objective == new.study.objective
    mine, theirs = ({c.cell: c for c in s.evidence.cells if not c.missing} for s in (old, new))
    gone = [f"{' on '.join(place[:2])} ({place[2]}) only in the {which}"
            for which, some, others in (("old", mine, theirs), ("new", theirs, mine))
            for place in some if place not in others]  # fmt: skip
    settings = difference(old.study, new.study)
    moves = list(_moves(old, new)) if same else []
    return Difference(settings, _environments(old, new), moves, gone)


def _moves(old: Source, new: Source) -> Iterator[Move]:
    def by_place(source: Source) -> dict[tuple[str, str], Contestant]:
        return {(c.method, c.sampler): c for c in source.evidence.contestants}

    mine, theirs = by_place(old), by_place(new)
    shared = [place for place in mine if place in theirs]
    if old.evidence.compared == new.evidence.compared:
        for place in shared:
            a, b = mine[place], theirs[place]
            if a.rank is not None and b.rank is not None:
                yield Move(a.label, "across datasets", a.score, b.score, a.rank, b.rank)
    for dataset in old.evidence.datasets:
        for place in shared:
            left, right = mine[place].cells[dataset], theirs[place].cells.get(dataset)
            if right is not None and not left.missing and not right.missing:
                yield Move(mine[place].label, f"on {dataset}", left.loss, right.loss,
                           left.rank, right.rank)  # fmt: skip


def _environments(old: Source, new: Source) -> list[str]:
    before, after = (dict(_lines(source.environment)) for source in (old, new))
    return [
        f"{name}: {', '.join(sorted(before.get(name, {'nothing'})))} -> "
        f"{', '.join(sorted(after.get(name, {'nothing'})))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _lines(environments: dict[str, Any]) -> dict[str, set[str]]:
    """Every setting of any of the environments of a study, with the values it had."""
    found: dict[str, set[str]] = {}

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key in value:
                walk(value[key], f"{name}.{key}" if name else str(key))
        else:
            found.setdefault(name, set()).add(str(value))

    for one in environments.values():
        walk(one, "")
    return found
