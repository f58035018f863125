"""Run the rows of a study again and check whether their numbers are reproduced."""

import hashlib
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..bench.spec import Phase
from ..datasets.errors import UsageError
from .archive import unpacked
from .cell import Cell, Slot
from .comparison import Replayed, compare_files, compared
from .engine import Engine
from .execution.again import Again, run_again
from .execution.scheduler import lost
from .integrity import (
    Findings,
    check_environments,
    check_proposals,
    check_rows,
)
from .plan import Plan
from .progress import by_cell, standing
from .rundir.artifacts import ArtifactFiles
from .rundir.changes import CodeParts
from .rundir.read import read_code, read_environments, read_rows, read_study
from .rundir.rows import Row
from .specs.check import check_device
from .specs.spec import IID
from .trust import require_trust
from .trust import trust as trust_code
from .winners import pick_cells

Labels = tuple[str | None, str | None, str | None]
"""Labels of a method, dataset and sampler; None for all."""


class Checked(NamedTuple):
    """Rows of a run directory that were held against the plan of their study; none was run.

    Attributes:
        directory: The run directory.
        plan: The plan.
        found: What does not fit, and what could not be checked.
        rows: Rows of the chosen cells; ``able``, those that can be run again.
        environments: Environments of the rows, by identity.
        code: Fingerprints of the code behind each cell, by its stem.
    """

    directory: Path
    plan: Plan
    found: Findings
    rows: Sequence[Row]
    able: Sequence[Row]
    environments: Mapping[str, Mapping[str, object]]
    code: Mapping[str, CodeParts]


class Replay(NamedTuple):
    """A replay of some rows of a study, and what it rests on.

    Attributes:
        runs: The rows that were run again.
        rows: Number of rows by phase in the chosen cells; ``replayed``, those run again.
        problems: What does not fit the study, a sentence each.
        open: What could not be checked, a sentence each.
    """

    runs: tuple[Replayed, ...]
    rows: Mapping[Phase, int]
    problems: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def replayed(self) -> dict[Phase, int]:
        """Number of rows that were run again, by phase."""
        phases = [run.row.slot.phase for run in self.runs]
        return {phase: phases.count(phase) for phase in self.rows}


def replay(
    directory: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    rows: float | None = None,
    workers: int = 1,
    engine: Engine | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Run the rows again that a leaderboard rests on; the run directory is only read.

    Args:
        directory: A run directory, or an archive of one.
        method: Label of the method (default: all).
        dataset: Label of the dataset (default: all).
        sampler: Label of the sampler (default: all).
        rows: Share of all rows of these cells to run again, search included (default: every
            confirmation run and every reference row, no search).
        workers: Number of processes.
        engine: Executes runs (default: the real one).
        trust: Trust the code of the study, which a replay runs.

    Returns:
        One line per metric of each run, with columns method, dataset, sampler, trial, replicate,
        metric, stored, replayed, verdict and changed. The verdict is ``identical`` (bitwise),
        ``within tolerance`` (0.1 % of the stored value plus 1 % of the metric's standard
        deviation between samples of the truth, which are computed again) or ``differs``;
        ``changed`` lists the changes of environment and code since the run.

    Raises:
        UsageError: The directory is not a run directory, a label is unknown, nothing is confirmed
            yet, rows are not those of the study, or an archive contains code that is not trusted.
    """
    with opened(directory, trust=trust) as folder:
        found = replayed(folder, (method, dataset, sampler), rows, workers, engine)
    if found.problems:
        raise UsageError(f"{str(directory)!r} does not fit its study: {'; '.join(found.problems)}")
    return pd.DataFrame([line for run in found.runs for line in _lines(run)])


@contextmanager
def opened(source: str | Path, *, trust: bool = False) -> Iterator[Path]:
    """Yield a run directory: the given one, or an archive unpacked into a temporary folder.

    With ``trust`` its code is trusted from now on.

    Raises:
        UsageError: The file is not an archive, or contains code that is not trusted.
    """
    with unpacked(Path(source)) as folder:
        code = read_study(folder).code
        if trust:
            trust_code(code)
        require_trust(code, str(source))
        yield folder


def replayed(
    directory: Path, labels: Labels, share: float | None, workers: int, engine: Engine | None
) -> Replay:
    """Replay rows of a directory; arguments and errors are like those of ``replay``.

    Rows that the study does not lead to are problems, and are not run.
    """
    if share is not None and not 0 < share <= 1:
        raise UsageError(f"a share of {share:g} of the rows: must be above 0, and at most 1")
    checked = check(directory, Plan(read_study(directory), engine or Engine()), labels)
    if share == 1:
        check_proposals(checked.plan, checked.able, checked.found)
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        files = ArtifactFiles(Path(temporary))
        results = run_again(checked.plan, _chosen(checked.able, share), workers, files)
        return compare(checked, results, files)


def check(directory: Path, plan: Plan, labels: Labels = (None, None, None)) -> Checked:
    """Hold rows against the plan of their study, and say which can be run again.

    Raises:
        UsageError: As ``replay``.
    """
    check_device(plan.study, plan.engine)
    stored, code = read_rows(directory), read_code(directory)
    found = check_rows(plan, by_cell(stored).items(), code)
    environments = read_environments(directory)
    check_environments(plan, stored, environments, found)
    cells = frozenset(pick_cells(plan.study, *labels))
    rows = [row for row in standing(plan, stored) if _concerns(row.slot.cell, cells, plan)]
    if not any(row.slot.phase == "confirm" for row in rows):
        raise UsageError(f"{str(directory)!r} has no confirmation runs to replay there yet")
    for cell in found.unfinished:
        if _concerns(cell, cells, plan):
            found.unchecked(cell.stem, "it is not finished")
    able = [row for row in rows if row.slot not in found.unfit and _repeatable(row, plan, found)]
    return Checked(directory, plan, found, rows, able, environments, code)


def compare(checked: Checked, results: Mapping[Slot, Again], files: ArtifactFiles) -> Replay:
    """Compare rows with what running them again gave; ``files`` hold the artifacts of that."""
    plan, found = checked.plan, checked.found
    ran = [row for row in _in_phases(checked.able) if row.slot in results]
    runs = compared(ran, results, plan, checked.environments, checked.code, found)
    if plan.study.recorded is None:
        compare_files(checked.directory, files, checked.rows, runs, plan, found)
    totals: dict[Phase, int] = dict.fromkeys(("confirm", "reference", "search"), 0)
    for row in checked.rows:
        totals[row.slot.phase] += 1
    return Replay(tuple(runs), totals, tuple(found.problems), tuple(found.open))


def _concerns(cell: Cell, cells: Iterable[Cell], plan: Plan) -> bool:
    """Whether a cell is among others, or a reference beside them."""
    if cell in cells or cell not in plan.references:
        return cell in cells
    return any(
        cell.dataset == other.dataset and cell.sampler in (IID, other.sampler) for other in cells
    )


def _repeatable(row: Row, plan: Plan, found: Findings) -> bool:
    """Whether a run would end as it did: not if it was stopped, or takes points from a file."""
    if not is_made_here(row, plan):
        found.unchecked(row.name, ELSEWHERE)
        return False
    if lost(row.result) or row.result.state == "timeout":
        found.unchecked(row.name, "its worker was stopped or lost, which no replay repeats")
        return False
    return True


ELSEWHERE = "its points were made elsewhere, and are read from a file"


def is_made_here(row: Row, plan: Plan) -> bool:
    """Whether the numbers of a row can come back without the files of its author."""
    known = row.slot.phase != "reference"
    estimator = plan.engine.estimator(row.run.method.name) if known else None
    return estimator is None or estimator.replayable


def _chosen(rows: Sequence[Row], share: float | None) -> list[Row]:
    """Choose the rows to run again: ranked and reference rows, or a share of all.

    Which rows a share holds depends on the content of all of them, so that it is not known before
    the last one is written.
    """
    chosen = [row for row in rows if row.slot.phase != "search"]
    if share is not None:
        salt = "".join(row.to_json() for row in rows)
        draw = hashlib.sha256(salt.encode())

        def rank(row: Row) -> bytes:
            own = draw.copy()
            own.update(row.to_json().encode())
            return own.digest()

        chosen = sorted(rows, key=rank)[: math.ceil(share * len(rows))]
    kept = {row.slot for row in chosen}
    return _in_phases(row for row in rows if row.slot in kept)


def _in_phases(rows: Iterable[Row]) -> list[Row]:
    order = {"confirm": 0, "reference": 1, "search": 2}
    return sorted(rows, key=lambda row: (order[row.slot.phase], not row.ok))


def _lines(run: Replayed) -> Iterator[dict[str, object]]:
    slot = run.row.slot
    for metric, stored, replayed, _, verdict in run.numbers:
        yield {
            **slot.cell.named,
            "trial": slot.trial,
            "replicate": slot.replicate,
            "metric": metric,
            "stored": stored,
            "replayed": replayed,
            "verdict": verdict,
            "changed": ", ".join(change.field for change in run.changed),
        }
