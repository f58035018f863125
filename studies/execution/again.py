"""Run stored rows again, grouped and retried as a study runs them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from ...bench.spec import RunResult
from ...datasets.errors import UsageError
from ..cell import Cell, Job, Slot
from ..plan import Plan, Steps
from ..progress import by_cell
from ..rundir.artifacts import ArtifactFiles
from ..rundir.rows import Row
from ..specs.check import used
from .interrupt import Interrupt
from .scheduler import Environment, Finished, Scheduler, lost, ready
from .where import open_pool


class Again(NamedTuple):
    """The result of a run that was executed again, and the environment it ran in."""

    result: RunResult
    environment: Mapping[str, object]


def run_again(
    plan: Plan, rows: Sequence[Row], workers: int, files: ArtifactFiles
) -> dict[Slot, Again]:
    """Execute the runs of rows, whose settings must be those of the plan.

    Args:
        plan: The plan of the study.
        rows: The rows.
        workers: Number of processes.
        files: Where the artifacts of confirmation runs are kept.

    Returns:
        Results by slot.
    """
    engine = plan.engine
    sink = _Collected(files)
    prepare = partial(ready, engine, sorted(used(plan.study)))
    with open_pool(workers, prepare=prepare) as pool, Interrupt() as interrupt:
        scheduler = Scheduler(engine, pool, sink, interrupt, None)
        scheduler.run((cell, _steps(own)) for cell, own in by_cell(rows).items())
    return sink.results


def _steps(rows: Sequence[Row]) -> Steps:
    """Ask for the runs of rows, a phase at a time: artifacts are those of confirmation runs."""
    for phase in ("reference", "search", "confirm"):
        jobs = [Job(row.slot, row.run, row.suggested) for row in rows if row.slot.phase == phase]
        if jobs:
            yield jobs
    return None


class _Collected:
    """The sink of a scheduler that holds no rows and keeps results."""

    def __init__(self, files: ArtifactFiles) -> None:
        self.results: dict[Slot, Again] = {}
        self._files = files

    def find(self, job: Job) -> Row | None:
        """Return None: every run is executed."""

    def add(
        self, jobs: Sequence[Job], finished: Iterable[Finished], environment: Environment
    ) -> list[Row]:
        """Keep results, and the artifacts that came with them."""
        identity, description = environment
        rows = []
        for job, (result, artifacts) in zip(jobs, finished, strict=True):
            if lost(result) and result.failure is not None:
                raise UsageError(f"{result.failure.reason}: run the same command again")
            row = Row(job.slot, job.spec.canonical(), result, identity, job.suggested)
            if artifacts is not None and row.ok:
                self._files.keep(row, artifacts)
            self.results[job.slot] = Again(result, description)
            rows.append(row)
        return rows

    def finish(self, cell: Cell, winner: int | None, executed: bool) -> None:
        """Do nothing: results are kept one by one."""
