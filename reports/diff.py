"""Comparison of two studies: settings, environments, and ranks that moved."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..studies.rundir.changes import difference
from . import text
from .ranking.columns import Column, Columns, estimated
from .ranking.statistics import Estimate, welch
from .source import Source


@dataclass(frozen=True)
class Move:
    """A contestant in both studies, across the datasets or on one.

    Attributes:
        label: Label of the contestant.
        where: ``on DATASET``, or ``across datasets``.
        old: Loss or score in the first study.
        new: Loss or score in the second study.
        old_rank: Best and worst rank compatible with the seeds of the first study.
        new_rank: Best and worst rank compatible with the seeds of the second study.
    """

    label: str
    where: str
    old: Estimate
    new: Estimate
    old_rank: tuple[int, int] | None
    new_rank: tuple[int, int] | None

    @property
    def change(self) -> Estimate:
        """New minus old, with Welch's interval: the studies are taken as independent."""
        value = 0.0 if self.new.value == self.old.value else self.new.value - self.old.value
        variances = [self.old.error**2, self.new.error**2]
        return welch(value, variances, [self.old.freedom, self.new.freedom])

    @property
    def rank_moved(self) -> bool:
        """Whether the two rank intervals exclude each other."""
        if self.old_rank is None or self.new_rank is None:
            return False
        return self.old_rank[1] < self.new_rank[0] or self.new_rank[1] < self.old_rank[0]

    @property
    def value_moved(self) -> bool:
        """Whether the change exceeds the seed variation of both studies, at 95 %."""
        half = self.change.half_width()
        return math.isfinite(half) and abs(self.change.value) > half

    @property
    def what(self) -> str:
        """What changed: ``rank``, ``value`` only, or ``no``."""
        return "rank" if self.rank_moved else "value" if self.value_moved else "no"


@dataclass(frozen=True)
class Difference:
    """The difference of two run directories.

    Attributes:
        settings: Fields of the studies, as ``field: old -> new``.
        environment: Fields of the environments, as ``field: old -> new``.
        moves: Contestants of both studies, across the datasets and then on each.
        unmatched: Cells that only one of the studies has.
    """

    settings: list[str]
    environment: list[str]
    moves: list[Move]
    unmatched: list[str]

    @property
    def answer(self) -> str:
        """The changes beyond the uncertainty, in a sentence or two."""
        ranks = [move for move in self.moves if move.rank_moved]
        values = [move for move in self.moves if move.value_moved and not move.rank_moved]
        if not self.moves:
            return "The two studies share nothing that can be compared."
        if not ranks and not values:
            return "No rank and no value moved by more than its uncertainty."
        answer = "No rank moved by more than its uncertainty."
        if ranks:
            names = [
                f"{move.label} {move.where} "
                f"({text.ranks(move.old_rank)} → {text.ranks(move.new_rank)})"
                for move in ranks
            ]
            answer = f"Ranks that moved by more than their uncertainty: {text.listed(names)}."
        if values:
            names = [f"{move.label} {move.where}" for move in values]
            answer += f" Only the value changed for {text.listed(names)}."
        return answer


move_columns: Columns[Move] = Columns()
move_columns["where", "where"] = Column("", lambda move: move.where)
move_columns["label", "method"] = Column("", lambda move: move.label)
move_columns["old_rank", "old rank"] = Column(
    "",
    lambda move: move.old_rank[0] if move.old_rank else math.nan,
    lambda move: text.ranks(move.old_rank),
)
move_columns["new_rank", "new rank"] = Column(
    "",
    lambda move: move.new_rank[0] if move.new_rank else math.nan,
    lambda move: text.ranks(move.new_rank),
)
move_columns["old", "old"] = estimated("", lambda move: move.old)
move_columns["new", "new"] = estimated("", lambda move: move.new)
move_columns["change", "new − old"] = estimated("", lambda move: move.change)
move_columns["moved", "moved"] = Column("", lambda move: move.what)


def diff(old: Source, new: Source) -> Difference:
    """Compare two run directories."""
    old_cells, new_cells = (
        [results.cell for results in source.evidence.cells if not results.missing]
        for source in (old, new)
    )
    unmatched = [
        f"{cell.method} on {cell.dataset} ({cell.sampler}) only in the {study}"
        for study, cells, others in (("old", old_cells, new_cells), ("new", new_cells, old_cells))
        for cell in cells
        if cell not in others
    ]
    moves = list(_moves(old, new)) if old.study.objective == new.study.objective else []
    return Difference(difference(old.study, new.study), _environments(old, new), moves, unmatched)


def _moves(old: Source, new: Source) -> Iterator[Move]:
    in_new = {(c.method, c.sampler): c for c in new.evidence.contestants}
    pairs = [
        (contestant, in_new[contestant.method, contestant.sampler])
        for contestant in old.evidence.contestants
        if (contestant.method, contestant.sampler) in in_new
    ]
    if old.evidence.compared == new.evidence.compared:
        for a, b in pairs:
            if a.rank is not None and b.rank is not None:
                yield Move(a.label, "across datasets", a.score, b.score, a.rank, b.rank)
    for dataset in old.evidence.datasets:
        for a, b in pairs:
            before, after = a.cells[dataset], b.cells.get(dataset)
            if after is not None and not before.missing and not after.missing:
                losses, ranks = (before.loss, after.loss), (before.rank, after.rank)
                yield Move(a.label, f"on {dataset}", *losses, *ranks)


def _environments(old: Source, new: Source) -> list[str]:
    before, after = (dict(_lines(source.environment)) for source in (old, new))
    return [
        f"{name}: {', '.join(sorted(before.get(name, {'nothing'})))} -> "
        f"{', '.join(sorted(after.get(name, {'nothing'})))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _lines(environments: dict[str, object]) -> dict[str, set[str]]:
    """Return every field of the environments of a study, with its values."""
    values: dict[str, set[str]] = {}

    def walk(value: object, name: str) -> None:
        if isinstance(value, dict):
            for key in value:
                walk(value[key], f"{name}.{key}" if name else str(key))
        else:
            values.setdefault(name, set()).add(str(value))

    for environment in environments.values():
        walk(environment, "")
    return values
