"""Run a study in its directory, from wherever it stopped to its end."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError
from .artifacts import ArtifactFiles
from .best import confirmed
from .cells import Plan, Steps
from .check import check_names, check_options
from .engine import Engine
from .events import CellFinished, Event, Listener, RunsFinished, StudyFinished, StudyStarted
from .pools import open_pool
from .rows import Cell, Job, Row
from .scheduler import Scheduler
from .spec import StudySpec
from .store import JOURNAL, Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from ..bench.run import Outcome


def run(
    study: StudySpec,
    out: str | Path,
    workers: int = 1,
    listener: Listener | None = None,
    engine: Engine | None = None,
) -> Path:
    """Carry a study out; what its directory already holds is not run again.

    The table that comes out depends on the study alone: not on ``workers``, and not on how often
    it was interrupted.

    Args:
        study: What to run.
        out: Run directory; made if it does not exist.
        workers: Processes to run in; 1 runs in this one.
        listener: Told what happens.
        engine: Carries runs out; the real one unless given.

    Returns:
        The run directory.

    Raises:
        UsageError: The study cannot be run, or the directory cannot be used for it.
        KeyboardInterrupt: Ctrl-C; every finished run is kept, running again continues.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers cannot run anything: at least 1 is needed")
    engine = engine or Engine()
    check_names(study, engine)
    check_options(study, engine)
    with Store(Path(out), study) as store:
        session = _Session(Plan(study, engine), store, workers, listener or _ignore)
        session.run()
    return Path(out)


def _ignore(event: Event) -> None:
    """The listener of those who do not listen."""


class _Session:
    """One call of ``run``: the scheduler's sink, and what the listener is told of it."""

    def __init__(self, plan: Plan, store: Store, workers: int, listener: Listener) -> None:
        self._plan = plan
        self._store = store
        self._workers = workers
        self._listen = listener
        self._files = ArtifactFiles(store.directory)
        self._storage: BaseStorage | None = None
        self._total = sum(sum(plan.size(cell)) for cell in plan.cells)
        self._finished = 0
        self._ran = 0
        self._by_cell: dict[Cell, list[Row]] = {cell: [] for cell in plan.cells}
        for row in store.rows.values():
            self._by_cell[row.place.cell].append(row)
        self._check_code()

    def run(self) -> None:
        """From what is there to the end."""
        began = time.monotonic()
        plan, store = self._plan, self._store
        done = len(store.rows)
        self._listen(
            StudyStarted(
                plan.study, store.directory, self._total, done, len(plan.cells), self._workers
            )
        )
        pool = open_pool(self._workers)
        try:
            scheduler = Scheduler(plan.engine, pool, self, self._cell_finished)
            scheduler.run((cell, self._steps(cell)) for cell in plan.cells)
        except BaseException:
            pool.close(kill=True)
            raise
        pool.close(kill=False)
        from .table import write_results

        rows = list(store.rows.values())
        write_results(store.directory, rows, plan)
        failures = sum(row.result.state != "ok" for row in rows)
        seconds = time.monotonic() - began
        self._listen(StudyFinished(store.directory, len(rows), failures, self._ran, seconds))

    def find(self, job: Job) -> Row | None:
        """The row of a job, unless artifacts that belong to it are missing."""
        row = self._store.rows.get(job.place)
        if row is None:
            return None
        if row.spec != job.spec.canonical():
            raise UsageError(
                f"row {job.place.phase} {job.place.trial} of {job.place.cell.stem} in "
                f"{str(self._store.directory)!r} was made with other settings than this study "
                "leads to: give another --out"
            )
        lost = job.place.phase == "confirm" and row.result.state == "ok"
        return None if lost and not self._files.holds(job.place) else row

    def keep(
        self,
        jobs: Sequence[Job],
        outcomes: "Sequence[Outcome]",
        environment: tuple[str, dict[str, Any]],
    ) -> list[Row]:
        """Store artifacts, then rows: a row promises that its artifacts are there."""
        identity, description = environment
        rows = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.artifacts is not None and outcome.result.state == "ok":
                self._files.keep(job.place, outcome.artifacts)
            rows.append(
                Row(job.place, job.spec.canonical(), outcome.result, identity, job.suggested)
            )
        new = [row for row in rows if row.place not in self._store.rows]
        self._store.append(new, {identity: description})
        for row in new:
            self._by_cell[row.place.cell].append(row)
        self._ran += len(rows)
        self._listen(RunsFinished(rows, len(self._store.rows), self._total))
        return [self._store.rows[row.place] for row in rows]

    def _steps(self, cell: Cell) -> Steps:
        return self._plan.steps(cell, self._store.rows, self._open_storage)

    def _open_storage(self) -> "BaseStorage":
        if self._storage is None:
            from .search import open_journal

            self._storage = open_journal(self._store.directory / JOURNAL)
        return self._storage

    def _cell_finished(self, cell: Cell, winner: int | None, ran: bool) -> None:
        from .table import mean

        plan, objective = self._plan, self._plan.study.objective
        sign = plan.engine.sign(objective)
        rows = self._by_cell[cell]
        ranked = confirmed(rows, cell, plan.study, plan.engine)
        if ranked:
            extent = plan.engine.extent(ranked[0].run.dataset)
            self._files.assemble(cell, ranked, extent)
        # A cell whose trials failed takes fewer runs than were foreseen.
        self._total -= sum(plan.size(cell)) - len(rows)
        self._finished += 1
        self._listen(
            CellFinished(
                cell,
                winner,
                mean([sign * row.loss(objective, sign) for row in ranked]),
                sum(row.result.state != "ok" for row in rows),
                ran,
                self._finished,
            )
        )

    def _check_code(self) -> None:
        """Rows made by other code than would run now must not be mixed with new ones."""
        changed = Counter(
            f"{run.method.name} on {run.dataset.name} with {run.sampler.name}"
            for run, key in self._stored()
            if self._plan.engine.key(run) != key
        )
        if changed:
            example, count = changed.most_common(1)[0]
            others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise UsageError(
                f"the code behind {sum(changed.values())} rows in "
                f"{str(self._store.directory)!r} has changed since they were made "
                f"({example}: {count}{others}): give another --out to run the study anew"
            )

    def _stored(self) -> list[tuple[RunSpec, str]]:
        return [(row.run, row.result.key) for row in self._store.rows.values()]
