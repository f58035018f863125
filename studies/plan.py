"""The runs of each cell and their order, as generators that know nothing of workers.

A cell yields the runs it needs next, is sent their rows, and returns the number of its winner. Its
runs depend on the rows alone, so cells may advance in any order and at any speed.
"""

import itertools
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..bench.spec import Phase, RunSpec
from .anytime import best_so_far, looks
from .cell import Cell, Job, Slot, numbered
from .engine import Engine
from .race import entrants, judged, rounds, survivors
from .rundir.rows import Row
from .specs.open import Template
from .specs.require import met
from .specs.spec import IID, TRUTH, StudySpec

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
    """The cells of a study and their runs.

    Attributes:
        study: The study.
        engine: Where methods, datasets and samplers are found.
    """

    study: StudySpec
    engine: Engine

    def __post_init__(self) -> None:
        self.engine.equip(self.study)

    @cached_property
    def references(self) -> list[Cell]:
        """Cells of the reference rows, without those whose budget is 0."""
        spec, reference = self.study, self.study.reference
        datasets = [entry.label for entry in spec.datasets]
        floors = [Cell(TRUTH, dataset, IID) for dataset in datasets if reference.floors]
        samplers = [entry.label for entry in spec.samplers]
        anchors = itertools.product(reference.labels, datasets, samplers)
        return floors + [Cell(*labels) for labels in anchors if reference.seeds]

    @cached_property
    def tuned(self) -> list[Cell]:
        """Cells of the comparison, in the study's order, one restart after the other."""
        return [
            Cell(method.label, dataset.label, sampler.label, restart, searcher)
            for restart in range(self.study.search.restarts)
            for method in self.study.methods
            for dataset in self.study.datasets
            for sampler in self.study.samplers
            for searcher in self.study.search.axis
            # Where nothing is searched, all searchers would do the same.
            if not searcher or self._open[method.label, sampler.label]
        ]

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, in the order in which they are started and tabulated."""
        return self.references + self.tuned

    def size(self, cell: Cell) -> Size:
        """Count the runs of a cell, if no trial fails and each is the best for one look only."""
        spec = self.study
        if cell.method == TRUTH:
            return Size(reference=spec.reference.floors)
        if cell not in self._tuned:
            return Size(reference=spec.reference.seeds)
        if not self.searched(cell):
            return Size(confirm=spec.confirm.seeds)
        again = sum(stage.runs for stage in rounds(spec.search))
        again += len(self._looks) * spec.search.repeats
        return Size(search=spec.search.trials + again, confirm=spec.confirm.seeds)

    def searched(self, cell: Cell) -> bool:
        """Whether a cell has open places and trials to fill them."""
        return self.study.search.trials > 0 and self._open[cell.method, cell.sampler]

    def template(self, cell: Cell) -> Template:
        """Give the runs of a cell, with open places."""
        if cell not in self._templates:
            self._templates[cell] = Template(self.engine, self.study, cell)
        return self._templates[cell]

    def steps(self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]) -> Steps:
        """Yield the runs of a cell, as lists of jobs.

        Args:
            cell: One of ``cells``.
            table: Existing rows; it may grow while the generator runs.
            storage: Opens the Optuna storage; called only if trials are missing.
        """
        if cell in self._tuned:
            return self._compare(cell, table, storage)
        return self._refer(cell)

    def rehearse(self) -> None:
        """Try searchers on every method without a run, but for those of Optuna as they are.

        Raises:
            UsageError: It fails, or does not propose the same when it is asked again.
        """
        search, dataset = self.study.search, self.study.datasets[0].label
        for label in search.axis:
            entry = search.searcher(label)
            if not entry.settings and ":" not in entry.name and entry.name != "brute_force":
                continue
            from .search import rehearse

            for method in self.study.methods:
                cell = Cell(method.label, dataset, self.study.samplers[0].label, 0, label)
                if self.searched(cell):
                    rehearse(self.template(cell))

    def example(self, cell: Cell) -> RunSpec:
        """Give a run from the middle of a cell's search space."""
        template = self.template(cell)
        run = template.close(template.middle())
        if cell in self._tuned:
            return run
        # References are not trained: their keys must not depend on how the methods are.
        training = run.training.model_copy(update={"learning_rate": 1e-3, "steps": 0})
        return run.model_copy(update={"training": training})

    def _refer(self, cell: Cell) -> Steps:
        run = self.example(cell)
        yield [
            self._job(cell, "reference", None, replicate, run)
            for replicate in range(self.size(cell).reference)
        ]
        return None

    def _compare(self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]) -> Steps:
        if self.searched(cell):
            trials = yield from self._search(cell, table, storage)
            yield from self._look_back(cell, trials)
            winner = yield from self._choose(cell, trials)
            if winner is None:
                return None
            spec, number = winner.run, winner.slot.trial
        else:
            spec, number = self.example(cell), 0
        yield [
            self._job(cell, "confirm", number, replicate, spec)
            for replicate in range(self.study.confirm.seeds)
        ]
        return number

    def _search(
        self, cell: Cell, table: Table, storage: Callable[[], "BaseStorage"]
    ) -> Generator[list[Job], list[Row], list[Row]]:
        """Yield the trials; finished batches are taken from the table without asking Optuna."""
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

                search = CellSearch(self.template(cell), storage())
            jobs = []
            suggestions = search.ask(trials, len(batch), known)
            for slot, row, suggestion in zip(batch, known, suggestions, strict=True):
                # A row stands even if another version of Optuna would now propose otherwise.
                spec = row.run if row is not None else suggestion.run
                jobs.append(Job(slot, spec, suggestion.suggested))
            rows = yield jobs
            if all(row.suggested == job.suggested for row, job in zip(rows, jobs, strict=True)):
                search.tell(start, rows)
            trials += rows
        if search is not None:
            search.sync(trials)
        return trials

    def _look_back(self, cell: Cell, trials: Sequence[Row]) -> Generator[list[Job], list[Row]]:
        """Repeat what was best after part of the trials, where searchers are compared."""
        limits, objective = self.study.search.requirements, self.study.objective
        losses = [row.loss(objective) if met(limits, row.loss) else math.inf for row in trials]
        best = {best_so_far(losses[:count]) for count in self._looks}
        jobs = [
            self._job(cell, "search", number, replicate, trials[number].run)
            for number in sorted(best)
            if losses[number] < math.inf
            for replicate in range(1, self.study.search.repeats + 1)
        ]
        if jobs:
            yield jobs

    @property
    def _looks(self) -> list[int]:
        search = self.study.search
        return looks(search.trials) if len(search.sampler) > 1 else []

    def _choose(
        self, cell: Cell, trials: Sequence[Row]
    ) -> Generator[list[Job], list[Row], Row | None]:
        """Repeat the best trials, round by round, and return the best one, if there is one."""
        search, objectives = self.study.search, (self.study.objective, *self.study.costs)
        race = search.race is not None
        limits = search.requirements
        allowed = [row for row in trials if met(limits, row.loss)]
        candidates = entrants(allowed, self.study.objective)
        for configurations, replicates in rounds(search):
            candidates = survivors(candidates, configurations, objectives, race)
            if len(candidates) < 2 or not replicates:
                break
            rows = yield [
                self._job(cell, "search", candidate.trial.slot.trial, number, candidate.trial.run)
                for candidate in candidates
                for number in replicates
            ]
            candidates = [
                candidate
                for candidate in judged(candidates, rows, self.study.objective, race)
                if met(limits, candidate.average)
            ]
        return candidates[0].trial if candidates else None

    def _job(
        self, cell: Cell, phase: Phase, trial: int | None, replicate: int, spec: RunSpec
    ) -> Job:
        slot = Slot(cell, phase, trial, replicate)
        scored = self.template(cell).evaluation(phase)
        number = replicate + cell.restart * self.size(cell).confirm
        options = numbered(spec.method.options, number) if "part" in spec.method.options else {}
        method = spec.method.model_copy(update={"options": {**spec.method.options, **options}})
        update = {
            "phase": phase, "replicate": replicate, "evaluation": scored, "method": method
        }  # fmt: skip
        return Job(slot, spec.model_copy(update=update))

    @cached_property
    def _tuned(self) -> frozenset[Cell]:
        return frozenset(self.tuned)

    @cached_property
    def _templates(self) -> dict[Cell, Template]:
        return {}

    @cached_property
    def _open(self) -> dict[tuple[str, str], bool]:
        """Whether a method with a sampler has open places; datasets make no difference."""
        dataset = self.study.datasets[0].label
        labels = [
            (method.label, sampler.label)
            for method in self.study.methods
            for sampler in self.study.samplers
        ]
        return {
            (method, sampler): not self.template(Cell(method, dataset, sampler)).is_closed
            for method, sampler in labels
        }
