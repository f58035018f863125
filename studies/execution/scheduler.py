"""Schedule the runs of all cells on a pool of workers: keep them busy, and each cell in order."""

import heapq
import itertools
import math
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ...bench.spec import Failure, RunResult, RunSpec, State
from ...datasets.errors import UsageError
from ..cell import Cell, Job, Slot
from ..engine import Engine
from ..plan import Steps
from ..rundir.rows import Row
from .interrupt import Interrupt
from .pools import LostWorkerError, Pool, TimeLimitError

if TYPE_CHECKING:
    from ...bench.artifacts import Artifacts

OPEN = 32
"""Cells that are open at a time at most, unless there are more workers."""

RESENDS = 2
"""Times that a run is sent again after its worker was lost."""

Finished = tuple[RunResult, "Artifacts | None"]
"""The result of a run, and its artifacts if they are wanted."""

Environment = tuple[str, dict[str, object]]
"""Identity and description of the environment of a process."""


_LOST = "the worker process was lost"


def lost(result: RunResult) -> bool:
    """Whether a run ended with its worker, which says nothing about the run."""
    failure = result.failure
    return failure is not None and failure.stage == "worker" and _LOST in failure.reason


def ready(engine: Engine, used: Iterable[tuple[str, str]]) -> None:
    """Import what runs need, and look up the names that they use; called in a new worker.

    Args:
        engine: The engine.
        used: Kind and name of each plug-in.

    Raises:
        UsageError: A name is not registered in this process.
    """
    engine.prepare()
    for kind, name in used:
        if name not in engine.names(kind):
            raise UsageError(
                f"worker processes do not know the {kind} {name!r}: list the file or module that "
                "registers it under plugins, or use --workers 1 without limits.run_seconds"
            )


def work(
    engine: Engine, specs: Sequence[RunSpec], keep: bool
) -> tuple[list[Finished], Environment]:
    """Execute the runs of a task, which have equal shape; called in a worker.

    Raises:
        RuntimeError: A run called ``sys.exit``, or the engine did not return one result per run.
    """
    try:
        outcomes = engine.execute(specs, keep)
    except SystemExit as error:
        # A run must not end its worker, let alone the study.
        raise RuntimeError(f"the run called sys.exit({error.code!r})") from error
    if len(outcomes) != len(specs):
        raise RuntimeError(f"{len(specs)} runs gave {len(outcomes)} results")
    # Queried last: the description holds the number of threads, which the run has set.
    return [(outcome.result, outcome.artifacts) for outcome in outcomes], engine.environment()


class OutOfTime(Exception):  # noqa: N818
    """The time for the whole study is over; finished runs are stored."""


class Sink(Protocol):
    """The store of rows behind a scheduler."""

    def find(self, job: Job) -> Row | None:
        """Return the row of a job if it need not be executed."""

    def add(
        self, jobs: Sequence[Job], finished: Iterable[Finished], environment: Environment
    ) -> list[Row]:
        """Store results and return their rows."""

    def finish(self, cell: Cell, winner: int | None, executed: bool) -> None:
        """Complete a cell: its winning trial, and whether any of its runs was executed."""


@dataclass
class _OpenCell:
    """A cell that waits for rows of the jobs it asked for last."""

    cell: Cell
    steps: Steps
    jobs: list[Job] = field(default_factory=list)
    rows: dict[Slot, Row] = field(default_factory=dict)
    executed: bool = False


class _Run(NamedTuple):
    """A run that waits for a worker, or has one; those of earlier cells sort first.

    ``losses`` counts the workers that were lost with it.
    """

    cell: int
    number: int
    job: Job
    losses: int


_Task = list[_Run]
"""Runs that are sent to a worker together."""


class Scheduler:
    """Executes the runs of cells until all cells are finished.

    Runs of equal shape, whatever their cells, share a task. Earlier cells go first, and further
    ones are opened until the workers have full tasks, so that few are open at a time. The order
    does not affect any result.

    ``run_seconds`` limits the time of a run, and needs a pool that can stop tasks.
    """

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        sink: Sink,
        interrupt: Interrupt,
        run_seconds: float | None = None,
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._sink = sink
        self._interrupt = interrupt
        self._run_seconds = run_seconds
        self._open: dict[int, _OpenCell] = {}
        # Heaps of runs that can share a task.
        self._waiting: dict[Hashable, list[_Run]] = {}
        # Runs of a shape per task at most.
        self._most: dict[Hashable, int] = {}
        self._running: dict[Future[tuple[list[Finished], Environment]], _Task] = {}
        self._numbers = itertools.count()

    def run(self, cells: Iterable[tuple[Cell, Steps]], seconds: float | None = None) -> None:
        """Finish every cell in ``seconds``; cells are opened one by one when workers are idle.

        Raises:
            OutOfTime: The limit is reached; unfinished runs are given up.
            KeyboardInterrupt: Ctrl-C was pressed; unfinished runs are given up.
            UsageError: Results cannot be stored, or stored ones do not fit the study.
        """
        end = math.inf if seconds is None else time.monotonic() + seconds
        unopened = iter(enumerate(cells))
        while True:
            self._open_cells(unopened)
            if not self._waiting and not self._running:
                return
            left = end - time.monotonic()
            if left <= 0:
                raise OutOfTime
            while len(self._running) < self._pool.capacity and (task := self._next_task()):
                self._submit(task)
            if self._running:
                timeout = left if left < math.inf else None
                self._collect(self._interrupt.wait(self._running, timeout))

    def _open_cells(self, unopened: Iterator[tuple[int, tuple[Cell, Steps]]]) -> None:
        """Open further cells until all workers have full tasks."""
        most = max(OPEN, self._pool.capacity)
        while len(self._open) < most and self._full() + len(self._running) < self._pool.capacity:
            following = next(unopened, None)
            if following is None:
                return
            index, (cell, steps) = following
            self._open[index] = _OpenCell(cell, steps)
            self._advance(index, None)

    def _full(self) -> int:
        """Count the full tasks that wait."""
        return sum(len(runs) // self._most[shape] for shape, runs in self._waiting.items())

    def _next_task(self) -> _Task:
        """Take the next runs from the queue; none if they might share a task with later ones."""
        idle = self._pool.workers - len(self._running)
        full = [shape for shape, runs in self._waiting.items() if len(runs) >= self._most[shape]]
        shapes = full or (list(self._waiting) if idle > 0 else [])
        if not shapes:
            return []
        shape = min(shapes, key=lambda shape: self._waiting[shape][0])
        runs = self._waiting[shape]
        # What is left at the end is divided among the workers.
        parts = math.ceil(max(idle, 1) * len(runs) / sum(map(len, self._waiting.values())))
        size = min(self._most[shape], math.ceil(len(runs) / parts))
        task = [heapq.heappop(runs) for _ in range(size)]
        if not runs:
            del self._waiting[shape]
        return task

    def _advance(self, index: int, rows: list[Row] | None) -> None:
        """Continue the steps of a cell as far as stored rows allow, and queue what is missing."""
        open_cell = self._open[index]
        while True:
            try:
                jobs = next(open_cell.steps) if rows is None else open_cell.steps.send(rows)
            except StopIteration as stop:
                del self._open[index]
                self._sink.finish(open_cell.cell, stop.value, open_cell.executed)
                return
            stored = {job.slot: self._sink.find(job) for job in jobs}
            open_cell.jobs = jobs
            open_cell.rows = {slot: row for slot, row in stored.items() if row is not None}
            missing = [job for job in jobs if job.slot not in open_cell.rows]
            if missing:
                open_cell.executed = True
                for job in missing:
                    # Artifacts are those of confirmation runs.
                    shape = self._engine.shape(job.spec), job.slot.phase == "confirm"
                    self._enqueue(_Run(index, next(self._numbers), job, 0), shape)
                return
            rows = [open_cell.rows[job.slot] for job in jobs]

    def _enqueue(self, run: _Run, shape: Hashable) -> None:
        if shape not in self._most:
            self._most[shape] = self._engine.together(run.job.spec)
        heapq.heappush(self._waiting.setdefault(shape, []), run)

    def _submit(self, task: _Task) -> None:
        specs = [run.job.spec for run in task]
        keep = task[0].job.slot.phase == "confirm"
        seconds = None if self._run_seconds is None else self._run_seconds * len(specs)
        future = self._pool.submit(partial(work, self._engine, specs, keep), seconds)
        self._running[future] = task

    def _collect(self, done: Iterable[Future[tuple[list[Finished], Environment]]]) -> None:
        for future in done:
            task = self._running.pop(future)
            error = future.exception()
            if error is None:
                self._store(task, *future.result())
            elif isinstance(error, UsageError):
                # The machine or the study is to blame, not the run.
                raise error
            elif isinstance(error, LostWorkerError) and task[0].losses < RESENDS:
                self._split(task, 1)
            elif isinstance(error, LostWorkerError):
                self._fail(task, "failed", f"{_LOST} {task[0].losses + 1} times")
            elif len(task) > 1:
                # Run the members one by one, so that only the failing one becomes a failure.
                self._split(task, 0)
            elif isinstance(error, TimeLimitError):
                self._fail(task, "timeout", str(error))
            else:
                self._fail(task, "failed", f"{type(error).__name__}: {error}")

    def _split(self, task: _Task, lost: int) -> None:
        for run in task:
            # Its own number as its shape: it shares a task with no other.
            self._enqueue(run._replace(losses=run.losses + lost), run.number)

    def _fail(self, task: _Task, state: State, reason: str) -> None:
        failure = Failure(stage="worker", reason=" ".join(reason.split())[:500])
        keys = [self._engine.key(run.job.spec) for run in task]
        results = [RunResult(key=key, state=state, failure=failure) for key in keys]
        self._store(task, [(result, None) for result in results], self._engine.environment())

    def _store(self, task: _Task, finished: list[Finished], environment: Environment) -> None:
        with self._interrupt.deferred():
            rows = self._sink.add([run.job for run in task], finished, environment)
        for run, row in zip(task, rows, strict=True):
            self._open[run.cell].rows[row.slot] = row
        for index in sorted({run.cell for run in task}):
            open_cell = self._open[index]
            if len(open_cell.rows) == len(open_cell.jobs):
                self._advance(index, [open_cell.rows[job.slot] for job in open_cell.jobs])
