"""Run a study in its directory, or resume it where it stopped."""

import time
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

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
from .execution.forecast import notes_on_data, warnings
from .execution.interrupt import Interrupt
from .execution.scheduler import Environment, Finished, Scheduler, ready
from .execution.where import Where, open_pool
from .plan import Plan
from .progress import standing_in
from .rundir.files import refused
from .rundir.rows import Row
from .rundir.store import RETRIED, Store
from .specs.check import check, used
from .specs.spec import StudySpec
from .winners import confirmed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def run(
    study: StudySpec,
    out: str | Path,
    workers: int = 1,
    listener: Listener | None = None,
    engine: Engine | None = None,
    *,
    discard: Sequence[str] = (),
    retry: Sequence[str] = (),
    where: Where | None = None,
    storage: str | None = None,
) -> Path:
    """Run a study; runs that its directory already holds are not executed again.

    The resulting table depends on the study alone: not on ``workers``, not on how often the study
    was interrupted, and not on whether the directory held a smaller version of it before.

    Args:
        study: The study.
        out: Run directory; created if it does not exist.
        workers: Number of processes; 1 runs in this process.
        listener: Called with the events of the study.
        engine: Executes runs (default: the real one).
        discard: Patterns of cells (``dsm-rings-langevin``, ``dsm-*``) whose rows may be excluded if
            they do not fit this study or the present code. Rows that fit are never excluded.
        retry: Patterns of cells whose failed runs are run again. Later runs of their cells come out
            as if the failures had never been.
        where: Machines to run on (default: this one).
        storage: URL of a database for Optuna (``postgresql+psycopg://...``) instead of a file in
            the directory. If it is lost, it is rebuilt from the table.

    Returns:
        The run directory.

    Raises:
        UsageError: The study cannot be run, its code is not trusted, or the directory cannot be
            used for it.
        OutOfTime: ``limits.study_seconds`` reached. As after Ctrl-C, every finished run is stored
            and running again resumes the study.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers cannot run anything: at least 1 is needed")
    where = where or Where()
    where.check()
    if storage is not None:
        # Imported on first use: slow to load.
        from .rundir.optuna_storage import check_url

        check_url(storage)
    plan = _checked(study, engine or Engine())
    directory = Path(out)
    with Store(directory, study, discard, plan.engine, retry) as store:
        session = _Session(plan, store, listener or _ignore, storage)
        try:
            session.run(workers, where)
        except OSError as error:
            raise refused(directory, "write to", error) from error
    return directory


def _checked(study: StudySpec, engine: Engine) -> Plan:
    check(study, engine)
    plan = Plan(study, engine)
    plan.rehearse()
    return plan


def _ignore(event: Event) -> None:
    """Do nothing: the default listener."""


class _Session:
    """One call of ``run``: stores what the scheduler hands it, and reports it to the listener."""

    def __init__(self, plan: Plan, store: Store, listen: Listener, storage_url: str | None) -> None:
        self._plan = plan
        self._store = store
        self._listen = listen
        self._storage_url = storage_url
        # Rows that count, by unfinished cell.
        self._counts = dict.fromkeys(plan.cells, 0)
        for cell, rows in store.rows.cells():
            self._counts[cell] = len(standing_in(plan, cell, rows))
        self._runs_total = sum(sum(plan.size(cell)) for cell in plan.cells)
        self._runs_done = sum(self._counts.values())
        self._runs_executed = 0
        self._cells_finished = 0

    def run(self, workers: int, where: Where) -> None:
        """Execute the missing runs and write the tables."""
        began = time.monotonic()
        plan = self._plan
        if plan.engine.lookup is not None:
            # A recorded run is found in less time than another process is asked for it.
            workers = 1
        self._listen(
            StudyStarted(
                plan.study,
                self._store.directory,
                self._runs_total,
                self._runs_done,
                len(plan.cells),
                workers,
                {cell: sum(plan.size(cell)) - self._counts[cell] for cell in plan.cells},
                plan.tuned,
                warnings(plan, workers) if where.backend == "local" else (),
                notes_on_data(plan),
            )
        )
        limits = plan.study.limits
        isolated = limits.run_seconds is not None
        prepare = partial(ready, plan.engine, sorted(used(plan.study)))
        with (
            open_pool(workers, prepare=prepare, isolated=isolated, where=where) as pool,
            Interrupt() as interrupt,
        ):
            scheduler = Scheduler(plan.engine, pool, self, interrupt, limits.run_seconds)
            cells = (
                (cell, plan.steps(cell, self._store.rows, self._storage)) for cell in plan.cells
            )
            scheduler.run(cells, limits.study_seconds)
        runs, failures = self._write_results()
        seconds = time.monotonic() - began
        self._listen(
            StudyFinished(self._store.directory, runs, failures, self._runs_executed, seconds)
        )

    def _write_results(self) -> tuple[int, int]:
        """Write the results table and the code behind its rows; count all and the failed ones."""
        from .results import write_results

        plan, store = self._plan, self._store
        counts = write_results(store.directory, store.rows, plan)
        counting = ((cell, standing_in(plan, cell, rows)) for cell, rows in store.rows.cells())
        last = {cell: rows[-1] for cell, rows in counting if rows}
        store.note_code({cell.stem: plan.engine.parts(row.run) for cell, row in last.items()})
        return counts

    def find(self, job: Job) -> Row | None:
        """Return the stored row of a job; None if it or artifacts that belong to it are missing."""
        row = self._store.rows.get(job.slot) or self._restored(job)
        if row is None:
            return None
        if row.spec != job.spec.canonical():
            raise UsageError(
                f"row {job.slot.phase} {job.slot.trial} of {job.slot.cell.stem} in "
                f"{str(self._store.directory)!r} was made with other settings than this study "
                "has: give another --out"
            )
        recorded = self._plan.study.recorded is not None
        has_artifacts = job.slot.phase == "confirm" and row.ok and not recorded
        return None if has_artifacts and not self._store.artifacts.holds(row) else row

    def _restored(self, job: Job) -> Row | None:
        """Let a row that was set aside with an earlier one count again if it is the job's."""
        row = self._store.aside.get(job.slot)
        if row is None or row.result.state in RETRIED or row.suggested != job.suggested:
            return None
        if row.result.key != self._plan.engine.key(job.spec):
            return None
        self._append([row], {})
        return row

    def _append(self, rows: list[Row], environments: dict[str, dict[str, object]]) -> None:
        self._store.append(rows, environments)
        for row in rows:
            self._counts[row.slot.cell] += 1
        self._runs_done += len(rows)

    def add(
        self, jobs: Sequence[Job], finished: Iterable[Finished], environment: Environment
    ) -> list[Row]:
        """Store artifacts, then rows, so that the artifacts of every stored row exist."""
        store = self._store
        identity, description = environment
        rows = []
        for job, (result, artifacts) in zip(jobs, finished, strict=True):
            row = Row(job.slot, job.spec.canonical(), result, identity, job.suggested)
            if artifacts is not None and row.ok:
                store.artifacts.keep(row, artifacts)
            rows.append(row)
        # A run whose artifacts were lost is executed again; its row is there already.
        new = [row for row in rows if row.slot not in store.rows]
        last = {job.slot.cell: job.spec for job in jobs}
        parts = {cell.stem: self._plan.engine.parts(spec) for cell, spec in last.items()}
        store.note_code({**store.code, **parts})
        self._append(new, {identity: description})
        self._runs_executed += len(rows)
        self._listen(RunsFinished(rows, self._runs_done, self._runs_total))
        return [store.rows[row.slot] for row in rows]

    def finish(self, cell: Cell, winner: int | None, executed: bool) -> None:
        """Write the files of a finished cell and correct the number of runs."""
        from .results import mean

        plan, objective = self._plan, self._plan.study.objective
        rows = standing_in(plan, cell, self._store.rows.of(cell))
        self._store.rows.pack(cell)
        # Confirmation runs of an earlier, smaller study may count again.
        self._runs_done += len(rows) - self._counts.pop(cell)
        # A cell whose trials failed takes fewer runs than expected.
        self._runs_total -= sum(plan.size(cell)) - len(rows)
        ranked = confirmed(rows, cell, objective)
        if ranked and plan.study.recorded is None:
            view = plan.engine.view(ranked[0].run.dataset)
            self._store.artifacts.assemble(cell, ranked, view)
        self._cells_finished += 1
        self._listen(
            CellFinished(
                cell,
                winner,
                mean([row.loss(objective) for row in ranked]),
                sum(not row.ok for row in rows),
                executed,
                self._cells_finished,
            )
        )

    def _storage(self) -> "BaseStorage":
        from .rundir.optuna_storage import open_memory

        if self._plan.study.recorded is not None and self._storage_url is None:
            # Trials take no time, so that a journal of them would take most of it. A storage per
            # cell is forgotten with the cell.
            return open_memory()
        return self._shared_storage

    @cached_property
    def _shared_storage(self) -> "BaseStorage":
        from .rundir.optuna_storage import open_storage

        return open_storage(self._store.directory, self._storage_url)
