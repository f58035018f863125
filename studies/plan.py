"""What each cell runs, in which order, as generators that know nothing of workers.

A cell yields the runs it needs next, is sent their rows, and returns the number of its winner. What
it asks for depends on the rows alone, so cells may advance in any order and at any speed.
"""

import itertools
import math
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..bench.spec import EvaluationSpec, Phase, Plugin, RunSpec, TrainingSpec
from .cell import Cell, Job, Slot
from .engine import Engine
from .front import front, spread
from .rundir.rows import Row
from .specs.check import resolve
from .specs.entries import Entry
from .specs.space import Common, Proposal, common, example, explore, propose
from .specs.spec import IID, TRUTH, StudySpec
from .specs.sweep import applied

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

Steps = Generator[list[Job], list[Row], int | None]
Table = Mapping[Slot, Row]


class Size(NamedTuple):
    """Runs of a cell by phase, if it finds a winner."""

    reference: int = 0
    search: int = 0
    confirm: int = 0


@dataclass(frozen=True)
class Plan:
    """The cells of a study and what they run.

    Attributes:
        study: The study.
        engine: Where methods, datasets and samplers are found.
    """

    study: StudySpec
    engine: Engine

    def __post_init__(self) -> None:
        self.engine.equip(self.study.plugins)

    @cached_property
    def references(self) -> list[Cell]:
        """Cells of the reference rows, those that are asked for."""
        spec, reference = self.study, self.study.reference
        datasets = [entry.label for entry in spec.datasets]
        floors = [Cell(TRUTH, dataset, IID) for dataset in datasets if reference.floors]
        samplers = [entry.label for entry in spec.samplers]
        anchors = itertools.product(reference.labels, datasets, samplers)
        return floors + [Cell(*labels) for labels in anchors if reference.seeds]

    @cached_property
    def tuned(self) -> list[Cell]:
        """Cells of the comparison, in the study's order."""
        return [
            Cell(method.label, dataset.label, sampler.label)
            for method in self.study.methods
            for dataset in self.study.datasets
            for sampler in self.study.samplers
        ]

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order in which they are started and tabulated."""
        return self.references + self.tuned

    def size(self, cell: Cell) -> Size:
        """How many runs a cell takes if no trial of it fails."""
        spec = self.study
        if cell.method == TRUTH:
            return Size(reference=spec.reference.floors)
        if cell not in self._tuned:
            return Size(reference=spec.reference.seeds)
        if not self.searched(cell):
            return Size(confirm=spec.confirm.seeds)
        finalists = min(spec.search.finalists, spec.search.trials)
        again = finalists * spec.search.repeats if finalists > 1 else 0
        return Size(search=spec.search.trials + again, confirm=spec.confirm.seeds)

    def searched(self, cell: Cell) -> bool:
        """Whether anything of the cell's method is left open."""
        return self.study.search.trials > 0 and self._free[cell.method, cell.sampler]

    def swept(self, cell: Cell) -> Collection[str]:
        """Fields of training, network and sampler that are searched in a cell, by dotted name."""
        return self._common(cell).swept if cell in self._tuned else ()

    def steps(self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]) -> Steps:
        """The runs of a cell.

        Args:
            cell: One of ``cells``.
            table: Rows that exist, while the generator runs too.
            storage: Opens the Optuna storage, called only if something is left to search.
        """
        if cell in self._tuned:
            return self._compare(cell, table, storage)
        return self._refer(cell)

    def example(self, cell: Cell) -> RunSpec:
        """A run like those of a cell, in the middle of its search space; for timing."""
        if cell not in self._tuned:
            return self._reference(cell, 0)
        return self._spec(
            cell, example(self.engine, self._entries[cell.method], self._common(cell))
        )

    def _refer(self, cell: Cell) -> Steps:
        yield [
            Job(Slot(cell, "reference", None, replicate), self._reference(cell, replicate))
            for replicate in range(self.size(cell).reference)
        ]
        return None

    def _reference(self, cell: Cell, replicate: int) -> RunSpec:
        iid = Plugin(name=IID)
        return RunSpec(
            phase="reference",
            seed=self.study.seed,
            replicate=replicate,
            method=Plugin(name=TRUTH) if cell.method == TRUTH else self._known[cell.method],
            dataset=self._datasets[cell.dataset],
            sampler=iid if cell.sampler == IID else self._samplers[cell.sampler],
            network=self.study.network,
            training=self._training(1e-3).model_copy(update={"steps": 0}),
            evaluation=self._evaluation("reference"),
            device=self.study.device,
        )

    def _compare(self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]) -> Steps:
        if self.searched(cell):
            trials = yield from self._search(cell, table, storage)
            winner = yield from self._choose(cell, trials)
            if winner is None:
                return None
            spec, number = winner.run, winner.slot.trial
        else:
            from optuna.trial import FixedTrial

            fixed = propose(
                self.engine, self._entries[cell.method], self._common(cell), FixedTrial({})
            )
            spec, number = self._spec(cell, fixed), 0
        yield [
            self._job(cell, "confirm", number, replicate, spec)
            for replicate in range(self.study.confirm.seeds)
        ]
        return number

    def _search(
        self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]
    ) -> Generator[list[Job], list[Row], list[Row]]:
        """All trials; finished batches are taken from the table without asking Optuna again."""
        trials: list[Row] = []
        slots = [Slot(cell, "search", n, 0) for n in range(self.study.search.trials)]
        search = None
        for start in range(0, len(slots), self.study.search.batch):
            batch = slots[start : start + self.study.search.batch]
            known = [table.get(slot) for slot in batch]
            finished = [row for row in known if row is not None]
            if len(finished) == len(batch):
                trials += finished
                continue
            if search is None:
                from .search import CellSearch

                entry = self._entries[cell.method]
                search = CellSearch(self.engine, self.study, entry, cell, storage())
            jobs = []
            suggestions = search.ask(trials, len(batch))
            for slot, row, (proposal, suggested) in zip(batch, known, suggestions, strict=True):
                # A row stands even if another version of Optuna would now propose otherwise.
                spec = row.run if row is not None else self._spec(cell, proposal)
                jobs.append(Job(slot, spec, suggested))
            rows = yield jobs
            if all(row.suggested == job.suggested for row, job in zip(rows, jobs, strict=True)):
                search.tell(start, rows)
            trials += rows
        if search is not None:
            search.sync(trials)
        return trials

    def _choose(
        self, cell: Cell, trials: Sequence[Row]
    ) -> Generator[list[Job], list[Row], Row | None]:
        """Train the best configurations again and take the one that is best on average.

        The values that made them finalists do not count: they were selected for their luck.
        """
        settings = self.study.search
        ranked = sorted(trials, key=self._loss)
        distinct: dict[str, Row] = {}
        for row in ranked:
            if self._loss(row) < math.inf:
                distinct.setdefault(row.spec, row)
        finalists = self._finalists(list(distinct.values()))
        if len(finalists) < 2 or not settings.repeats:
            return finalists[0] if finalists else None
        rows = yield [
            self._job(cell, "search", row.slot.trial, replicate, row.run)
            for row in finalists
            for replicate in range(1, settings.repeats + 1)
        ]
        repeats: dict[int | None, list[float]] = {}
        for row in rows:
            repeats.setdefault(row.slot.trial, []).append(self._loss(row))

        def merit(finalist: Row) -> tuple[int, float]:
            losses = repeats[finalist.slot.trial]
            good = [loss for loss in losses if loss < math.inf]
            return len(losses) - len(good), math.fsum(good) / max(len(good), 1)

        return min(finalists, key=merit)

    def _finalists(self, candidates: Sequence[Row]) -> list[Row]:
        """The best ones; where costs count, first those along the Pareto front of the trials.

        Args:
            candidates: Trials that ended well, best first.
        """
        count = self.study.search.finalists
        if not self.study.costs:
            return list(candidates[:count])
        names = (self.study.objective, *self.study.costs)
        points = [[row.loss(name) for name in names] for row in candidates]
        chosen = spread(front(points), count)
        others = (i for i in range(len(candidates)) if i not in chosen)
        chosen += itertools.islice(others, count - len(chosen))
        return [candidates[i] for i in sorted(chosen)]

    def _loss(self, row: Row) -> float:
        return row.loss(self.study.objective)

    def _job(
        self, cell: Cell, phase: Phase, trial: int | None, replicate: int, spec: RunSpec
    ) -> Job:
        slot = Slot(cell, phase, trial, replicate)
        update = {"phase": phase, "replicate": replicate, "evaluation": self._evaluation(phase)}
        return Job(slot, spec.model_copy(update=update))

    def _spec(self, cell: Cell, proposal: Proposal) -> RunSpec:
        method = self._entries[cell.method]
        spec = RunSpec(
            phase="search",
            seed=self.study.seed,
            method=Plugin(name=method.name, options=proposal.options),
            dataset=self._datasets[cell.dataset],
            sampler=self._samplers[cell.sampler],
            network=self.study.network,
            training=self._training(proposal.learning_rate),
            evaluation=self._evaluation("search"),
            device=self.study.device,
        )
        return applied(spec, proposal.chosen) if proposal.chosen else spec

    def _training(self, learning_rate: float) -> TrainingSpec:
        given = self.study.training
        return TrainingSpec(
            steps=given.steps,
            batch_size=given.batch_size,
            learning_rate=learning_rate,
            clip=given.clip,
            points=given.points,
            schedule=given.schedule,
            ema=given.ema,
        )

    def _evaluation(self, phase: Phase) -> EvaluationSpec:
        given = self.study.evaluation
        split = self.study.reference.split and phase != "search"
        looks = given.checkpoints if phase == "confirm" else 0
        return EvaluationSpec(
            samples=given.samples, metrics=given.metrics, split=split, checkpoints=looks
        )

    @cached_property
    def _tuned(self) -> frozenset[Cell]:
        return frozenset(self.tuned)

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return {entry.label: entry for entry in self.study.methods}

    @cached_property
    def _free(self) -> dict[tuple[str, str], bool]:
        return {
            (entry.label, label): bool(explore(self.engine, entry, shared).free)
            for entry in self.study.methods
            for label, shared in self._shared.items()
        }

    def _common(self, cell: Cell) -> Common:
        return self._shared[cell.sampler]

    @cached_property
    def _shared(self) -> dict[str, Common]:
        labels = [entry.label for entry in self.study.samplers]
        return {label: common(self.engine, self.study, label) for label in labels}

    @cached_property
    def _known(self) -> dict[str, Plugin]:
        entries = self.study.reference.methods
        return {e.label: resolve("reference", e, self.engine) for e in entries}

    @cached_property
    def _datasets(self) -> dict[str, Plugin]:
        return {e.label: resolve("dataset", e, self.engine) for e in self.study.datasets}

    @cached_property
    def _samplers(self) -> dict[str, Plugin]:
        return {e.label: resolve("sampler", e, self.engine) for e in self.study.samplers}
