"""Cells on one side, workers on the other: keeps the workers busy and every cell in order."""

import heapq
import itertools
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from ...bench.spec import Failure, RunResult, RunSpec, State
from ..cell import Cell, Job, Slot
from ..engine import Engine
from ..plan import Steps
from ..rundir.rows import Row
from .interrupt import Interrupt
from .pools import LostWorker, OverTime, Pool

if TYPE_CHECKING:
    from ...bench.artifacts import Outcome

MEMBERS = {"cpu": 8, "cuda": 512}
"""Runs that travel as one task at most: as many as fit into a core's caches, or fill a GPU."""

RESENDS = 2
"""Times that a run is sent again after its worker was lost."""


class Answer(NamedTuple):
    """What a worker sends back."""

    outcomes: "Sequence[Outcome]"
    environment: tuple[str, dict[str, Any]]


class _Nothing(NamedTuple):
    """What comes of a run that gave no answer."""

    result: RunResult
    artifacts: None = None


def work(engine: Engine, specs: Sequence[RunSpec], keep: bool) -> Answer:
    """What a worker does with a task."""
    try:
        outcomes = engine.execute(specs, keep)
    except SystemExit as error:
        # A run may end itself, not its worker and least of all the study.
        raise RuntimeError(f"the run called sys.exit({error.code!r})") from error
    if len(outcomes) != len(specs):
        raise RuntimeError(f"{len(specs)} runs gave {len(outcomes)} results")
    # Asked last: by then the run has set its threads.
    return Answer(outcomes, engine.environment())


class OutOfTime(Exception):  # noqa: N818
    """The time for all runs is over; what was finished is kept."""


class Sink(Protocol):
    """Where rows are found and kept."""

    def find(self, job: Job) -> Row | None:
        """The row of a job that needs no running."""

    def keep(
        self,
        jobs: Sequence[Job],
        outcomes: "Sequence[Outcome]",
        environment: tuple[str, dict[str, Any]],
    ) -> list[Row]:
        """Store results for good and give their rows."""


@dataclass
class _Live:
    """A cell that waits for rows."""

    cell: Cell
    steps: Steps
    jobs: list[Job] = field(default_factory=list)
    rows: dict[Slot, Row] = field(default_factory=dict)
    ran: bool = False


@dataclass(frozen=True)
class _Task:
    """Runs that travel together.

    Attributes:
        cell: Index of the cell that asked for them.
        jobs: The runs.
        lost: Workers lost with it.
    """

    cell: int
    jobs: tuple[Job, ...]
    lost: int = 0


class Scheduler:
    """Drives cells until all are finished.

    Earlier cells go first, later ones fill what they leave idle, so few cells are under way at a
    time and they finish one after the other. None of this changes any result.

    Args:
        engine: Carries runs out.
        pool: Where.
        sink: Where rows are kept.
        finished: Called with each finished cell, its winner, and whether anything of it was run.
        interrupt: Hears of Ctrl-C.
        run_seconds: Time that a run may take; the pool has to be one that can stop it.
    """

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        sink: Sink,
        finished: Callable[[Cell, int | None, bool], None],
        interrupt: Interrupt,
        run_seconds: float | None = None,
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._sink = sink
        self._finished = finished
        self._interrupt = interrupt
        self._run_seconds = run_seconds
        self._live: dict[int, _Live] = {}
        self._ready: list[tuple[int, int, _Task]] = []
        self._under_way: dict[Future[Answer], _Task] = {}
        self._ticket = itertools.count()

    def run(self, cells: Iterable[tuple[Cell, Steps]], seconds: float | None = None) -> None:
        """Finish every cell.

        Args:
            cells: Each with what it runs; taken one by one when there is room.
            seconds: Time that all of it may take.

        Raises:
            OutOfTime: It took longer; runs that were under way are given up.
            KeyboardInterrupt: Ctrl-C was pressed; the same.
            UsageError: Results cannot be stored, or stored ones are not this study's.
        """
        end = math.inf if seconds is None else time.monotonic() + seconds
        waiting = enumerate(cells)
        exhausted = False
        while True:
            while not exhausted and self._idle():
                following = next(waiting, None)
                exhausted = following is None
                if following is not None:
                    index, (cell, steps) = following
                    self._live[index] = _Live(cell, steps)
                    self._advance(index, None)
            if exhausted and not self._ready and not self._under_way:
                return
            left = end - time.monotonic()
            if left <= 0:
                raise OutOfTime
            self._submit()
            if self._under_way:
                timeout = left if left < math.inf else None
                self._collect(self._interrupt.wait(self._under_way, timeout))

    def _idle(self) -> bool:
        return len(self._ready) + len(self._under_way) < self._pool.capacity

    def _advance(self, index: int, rows: list[Row] | None) -> None:
        """Move a cell on as far as stored rows carry it."""
        live = self._live[index]
        while True:
            try:
                live.jobs = next(live.steps) if rows is None else live.steps.send(rows)
            except StopIteration as stop:
                del self._live[index]
                self._finished(live.cell, stop.value, live.ran)
                return
            found = {job.slot: self._sink.find(job) for job in live.jobs}
            live.rows = {slot: row for slot, row in found.items() if row is not None}
            missing = [job for job in live.jobs if job.slot not in live.rows]
            if missing:
                live.ran = True
                for jobs in self._pack(missing):
                    self._queue(_Task(index, jobs))
                return
            rows = [live.rows[job.slot] for job in live.jobs]

    def _pack(self, jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
        """Group runs of equal shape, in as many tasks as idle workers can use."""
        groups: dict[Hashable, list[Job]] = {}
        for job in jobs:
            groups.setdefault(self._engine.shape(job.spec), []).append(job)
        parts = math.ceil(self._pool.workers / max(len(self._live), 1) / len(groups))
        packed = []
        for group in groups.values():
            size = min(MEMBERS[group[0].spec.device], math.ceil(len(group) / parts))
            packed += [tuple(group[i : i + size]) for i in range(0, len(group), size)]
        return packed

    def _queue(self, task: _Task) -> None:
        heapq.heappush(self._ready, (task.cell, next(self._ticket), task))

    def _submit(self) -> None:
        while self._ready and len(self._under_way) < self._pool.capacity:
            self._send(heapq.heappop(self._ready)[-1])

    def _send(self, task: _Task) -> None:
        specs = [job.spec for job in task.jobs]
        keep = task.jobs[0].slot.phase == "confirm"
        seconds = None if self._run_seconds is None else self._run_seconds * len(specs)
        future = self._pool.submit(partial(work, self._engine, specs, keep), seconds)
        self._under_way[future] = task

    def _collect(self, done: Iterable[Future[Answer]]) -> None:
        for future in done:
            task = self._under_way.pop(future)
            error = future.exception()
            if error is None:
                answer = future.result()
                self._store(task, answer.outcomes, answer.environment)
            elif isinstance(error, LostWorker):
                self._lose(task)
            elif len(task.jobs) > 1:
                # Find out which of its runs it is, and make that one a row.
                self._split(task, task.lost)
            elif isinstance(error, OverTime):
                self._fail(task, "timeout", str(error))
            else:
                self._fail(task, "failed", f"{type(error).__name__}: {error}")

    def _lose(self, task: _Task) -> None:
        if task.lost >= RESENDS:
            self._fail(task, "failed", f"the worker process was lost {task.lost + 1} times")
        else:
            self._split(task, task.lost + 1)

    def _split(self, task: _Task, lost: int) -> None:
        for job in task.jobs:
            self._queue(_Task(task.cell, (job,), lost))

    def _fail(self, task: _Task, state: State, reason: str) -> None:
        failure = Failure(stage="worker", reason=" ".join(reason.split())[:500])
        keys = [self._engine.key(job.spec) for job in task.jobs]
        results = [RunResult(key=key, state=state, failure=failure) for key in keys]
        # An ``Outcome``, for which torch would have to be imported here.
        outcomes = [cast("Outcome", _Nothing(result)) for result in results]
        self._store(task, outcomes, self._engine.environment())

    def _store(
        self,
        task: _Task,
        outcomes: "Sequence[Outcome]",
        environment: tuple[str, dict[str, Any]],
    ) -> None:
        with self._interrupt.held():
            rows = self._sink.keep(task.jobs, outcomes, environment)
        live = self._live[task.cell]
        live.rows |= {row.slot: row for row in rows}
        if len(live.rows) == len(live.jobs):
            self._advance(task.cell, [live.rows[job.slot] for job in live.jobs])
