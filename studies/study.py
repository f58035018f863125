"""Run a study in its directory, from wherever it stopped to its end."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.errors import UsageError
from .cell import Cell, Job
from .engine import Engine
from .execution.events import (
    CellFinished,
    Event,
    Listener,
    RunsFinished,
    StudyFinished,
    StudyStarted,
)
from .execution.interrupt import Interrupt
from .execution.scheduler import Scheduler
from .execution.where import Where, open_pool
from .plan import Plan, Steps
from .progress import standing, standing_in
from .rundir.artifacts import ArtifactFiles
from .rundir.files import refused
from .rundir.read import JOURNAL
from .rundir.rows import Row
from .rundir.store import Store
from .specs.check import check_names, check_options
from .specs.spec import StudySpec
from .trust import trust
from .winners import confirmed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from ..bench.artifacts import Outcome


def run(
    study: StudySpec,
    out: str | Path,
    workers: int = 1,
    listener: Listener | None = None,
    engine: Engine | None = None,
    *,
    discard: Sequence[str] = (),
    where: Where | None = None,
    storage: str | None = None,
) -> Path:
    """Carry a study out; what its directory already holds is not run again.

    The table that comes out depends on the study alone: not on ``workers``, not on how often it was
    interrupted, and not on whether the directory held a smaller version of the study before.

    Args:
        study: What to run.
        out: Run directory; made if it does not exist.
        workers: Processes to run in; 1 runs in this one.
        listener: Told what happens.
        engine: Carries runs out; the real one unless given.
        discard: Patterns of cells (``dsm-rings-langevin``, ``dsm-*``) whose rows may be set aside
            where they do not fit this study, or the code as it is now. What fits is kept.
        where: On which machines; on this one unless given.
        storage: URL of a database for Optuna (``postgresql+psycopg://...``) instead of a file in
            the directory. It is rebuilt from the table when it is lost.

    Returns:
        The run directory.

    Raises:
        UsageError: The study cannot be run, or the directory cannot be used for it.
        OutOfTime: ``limits.study_seconds`` are over.
        KeyboardInterrupt: Ctrl-C. In both cases every finished run is kept, and running again
            continues.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers cannot run anything: at least 1 is needed")
    if where is not None:
        where.check()
    engine = engine or Engine()
    trust(study.plugins)
    check_names(study, engine)
    check_options(study, engine)
    directory = Path(out)
    files = ArtifactFiles(directory)

    def discarded(cells: Sequence[Cell]) -> None:
        for cell in cells:
            files.discard(cell)

    with Store(directory, study, discard, engine.key, discarded, engine.parts) as store:
        session = _Session(
            Plan(study, engine), store, files, workers, listener or _ignore, where, storage
        )
        try:
            session.run()
        except OSError as error:
            raise refused(directory, "write to", error) from error
    return directory


def _ignore(event: Event) -> None:
    """The listener of those who do not listen."""


class _Session:
    """One call of ``run``: the scheduler's sink, and what the listener is told of it."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        files: ArtifactFiles,
        workers: int,
        listener: Listener,
        where: Where | None,
        storage: str | None,
    ) -> None:
        self._where = where
        self._url = storage
        self._plan = plan
        self._store = store
        self._workers = workers
        self._listen = listener
        self._files = files
        self._storage: BaseStorage | None = None
        self._total = sum(sum(plan.size(cell)) for cell in plan.cells)
        self._finished = 0
        self._ran = 0
        self._by_cell: dict[Cell, list[Row]] = {cell: [] for cell in plan.cells}
        for row in store.rows.values():
            self._by_cell.setdefault(row.slot.cell, []).append(row)
        # Rows that stand, by cell that is not finished.
        self._counted = {
            cell: len(standing_in(plan, cell, rows)) for cell, rows in self._by_cell.items()
        }
        self._done = sum(self._counted.values())

    def run(self) -> None:
        """From what is there to the end."""
        began = time.monotonic()
        plan, store = self._plan, self._store
        self._listen(
            StudyStarted(
                plan.study,
                store.directory,
                self._total,
                self._done,
                len(plan.cells),
                self._workers,
                {cell: sum(plan.size(cell)) - self._counted[cell] for cell in plan.cells},
                plan.tuned,
            )
        )
        limits = plan.study.limits
        pool = open_pool(
            self._workers,
            prepare=plan.engine.prepare,
            apart=limits.run_seconds is not None,
            where=self._where,
        )
        try:
            steps = ((cell, self._steps(cell)) for cell in plan.cells)
            with Interrupt() as interrupt:
                scheduler = Scheduler(
                    plan.engine,
                    pool,
                    self,
                    self._cell_finished,
                    interrupt,
                    limits.run_seconds,
                )
                scheduler.run(steps, limits.study_seconds)
            pool.close(kill=False)
        except BaseException:
            pool.close(kill=True)
            raise
        from .results import write_results

        rows = standing(plan, store.rows.values())
        write_results(store.directory, rows, plan)
        last = {row.slot.cell: row for row in rows}
        store.note_code({cell.stem: plan.engine.parts(row.run) for cell, row in last.items()})
        failures = sum(row.result.state != "ok" for row in rows)
        seconds = time.monotonic() - began
        self._listen(StudyFinished(store.directory, len(rows), failures, self._ran, seconds))

    def find(self, job: Job) -> Row | None:
        """The row of a job, unless artifacts that belong to it are missing."""
        row = self._store.rows.get(job.slot)
        if row is None:
            return None
        if row.spec != job.spec.canonical():
            raise UsageError(
                f"row {job.slot.phase} {job.slot.trial} of {job.slot.cell.stem} in "
                f"{str(self._store.directory)!r} was made with other settings than this study "
                "leads to: give another --out"
            )
        lost = job.slot.phase == "confirm" and row.result.state == "ok"
        return None if lost and not self._files.holds(row) else row

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
            row = Row(job.slot, job.spec.canonical(), outcome.result, identity, job.suggested)
            if outcome.artifacts is not None and outcome.result.state == "ok":
                self._files.keep(row, outcome.artifacts)
            rows.append(row)
        new = [row for row in rows if row.slot not in self._store.rows]
        made = self._plan.engine.parts(jobs[-1].spec)
        self._store.note_code({**self._store.code, jobs[-1].slot.cell.stem: made})
        self._store.append(new, {identity: description})
        for row in new:
            self._by_cell[row.slot.cell].append(row)
            self._counted[row.slot.cell] += 1
        self._done += len(new)
        self._ran += len(rows)
        self._listen(RunsFinished(rows, self._done, self._total))
        return [self._store.rows[row.slot] for row in rows]

    def _steps(self, cell: Cell) -> Steps:
        return self._plan.steps(cell, self._store.rows, self._open_storage)

    def _open_storage(self) -> "BaseStorage":
        if self._storage is None:
            from .rundir.optuna_storage import open_database, open_journal

            directory = self._store.directory
            self._storage = (
                open_journal(directory / JOURNAL)
                if self._url is None
                else open_database(self._url, directory)
            )
        return self._storage

    def _cell_finished(self, cell: Cell, winner: int | None, ran: bool) -> None:
        from .results import mean

        plan, objective = self._plan, self._plan.study.objective
        rows = standing_in(plan, cell, self._by_cell[cell])
        # What an earlier, smaller study confirmed may stand again.
        self._done += len(rows) - self._counted.pop(cell)
        ranked = confirmed(rows, cell, objective)
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
                mean([row.loss(objective) for row in ranked]),
                sum(row.result.state != "ok" for row in rows),
                ran,
                self._finished,
            )
        )
