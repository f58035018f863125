"""Run the rows of a study again and check whether their numbers are reproduced."""

import hashlib
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..bench.spec import Phase, RunResult
from ..datasets.errors import UsageError
from .archive import unpacked
from .cell import Cell, Slot
from .engine import Engine
from .execution.again import Again, run_again
from .execution.scheduler import lost
from .integrity import (
    COSTS,
    Findings,
    check_distances,
    check_environments,
    check_proposals,
    check_rows,
)
from .plan import Plan
from .progress import standing
from .rundir.artifacts import ArtifactFiles
from .rundir.changes import Change, CodeParts, changes
from .rundir.read import read_code, read_environments, read_rows, read_study
from .rundir.rows import Row
from .specs.check import check_device
from .specs.spec import IID, TRUTH
from .stored_files import FLOOR_SHARE, RELATIVE, check_files, noise_of
from .trust import require_trust
from .trust import trust as trust_code
from .winners import confirmed, pick_cells

Labels = tuple[str | None, str | None, str | None]
"""Labels of a method, dataset and sampler; None for all."""

VERDICTS = ("identical", "within tolerance", "differs")
"""From best to worst."""


class Number(NamedTuple):
    """A metric of a run and of its replay.

    Attributes:
        metric: Name of the metric; ``state`` if the run has no metric.
        stored: Value in the table; NaN if missing.
        replayed: Value of the replay; NaN if missing.
        tolerance: Largest difference that is within tolerance.
        verdict: One of ``VERDICTS``.
    """

    metric: str
    stored: float
    replayed: float
    tolerance: float
    verdict: str


class Replayed(NamedTuple):
    """A run and its replay: the metrics of both, and changes of code and environment between."""

    row: Row
    again: RunResult
    numbers: tuple[Number, ...]
    changed: tuple[Change, ...]
    before: Mapping[str, object]
    now: Mapping[str, object]

    @property
    def verdict(self) -> str:
        """The worst verdict of its numbers."""
        return max((number.verdict for number in self.numbers), key=VERDICTS.index)


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
    engine = engine or Engine()
    study = read_study(directory)
    check_device(study, engine)
    plan, stored, code = Plan(study, engine), read_rows(directory), read_code(directory)
    found = check_rows(plan, stored, code)
    environments = read_environments(directory)
    check_environments(plan, stored, environments, found)
    cells = frozenset(pick_cells(study, *labels))
    of_cells = [row for row in standing(plan, stored) if _concerns(row.slot.cell, cells, plan)]
    if not any(row.slot.phase == "confirm" for row in of_cells):
        raise UsageError(f"{str(directory)!r} has no confirmation runs to replay there yet")
    for cell in found.unfinished:
        if _concerns(cell, cells, plan):
            found.unchecked(cell.stem, "it is not finished")
    able = [
        row for row in of_cells if row.slot not in found.unfit and _repeatable(row, plan, found)
    ]
    chosen = _chosen(able, share)
    if share == 1:
        check_proposals(plan, able, found)
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        files = ArtifactFiles(Path(temporary))
        results = run_again(plan, chosen, workers, files)
        runs = _compared(chosen, results, plan, environments, code, found)
        if study.recorded is None:
            _compare_files(directory, files, of_cells, runs, plan, found)
    totals: dict[Phase, int] = dict.fromkeys(("confirm", "reference", "search"), 0)
    for row in of_cells:
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
    known = row.slot.phase != "reference"
    estimator = plan.engine.estimator(row.run.method.name) if known else None
    if estimator is not None and not estimator.replayable:
        found.unchecked(row.name, "its points were made elsewhere, and are read from a file")
        return False
    if lost(row.result) or row.result.state == "timeout":
        found.unchecked(row.name, "its worker was stopped or lost, which no replay repeats")
        return False
    return True


def _chosen(rows: Sequence[Row], share: float | None) -> list[Row]:
    """Choose the rows to run again: ranked and reference rows, or a share of all.

    Which rows a share holds depends on the content of all of them, so that it is not known before
    the last one is written.
    """
    order = {"confirm": 0, "reference": 1, "search": 2}
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
    in_order = [row for row in rows if row.slot in kept]
    return sorted(in_order, key=lambda row: (order[row.slot.phase], not row.ok))


def _compared(
    rows: Sequence[Row],
    results: Mapping[Slot, Again],
    plan: Plan,
    environments: Mapping[str, Mapping[str, object]],
    code: Mapping[str, CodeParts],
    found: Findings,
) -> list[Replayed]:
    """Compare rows with their replays; the tolerance rests on floors that were computed again."""
    floors: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.slot.cell.method == TRUTH:
            for metric, value in results[row.slot].result.metrics.items():
                floors.setdefault((row.slot.cell.dataset, metric), []).append(value)
    check_distances(rows, floors, found)
    noise = noise_of(floors)
    runs = []
    for row in rows:
        result, now = results[row.slot]
        before = environments.get(row.environment, {})
        parts = None
        if result.key != row.result.key:
            parts = code.get(row.slot.cell.stem, {}), plan.engine.parts(row.run)
        numbers = tuple(_compare(row, result, noise))
        runs.append(Replayed(row, result, numbers, changes(before, now, parts), before, now))
    return runs


def _compare_files(
    directory: Path,
    files: ArtifactFiles,
    rows: Sequence[Row],
    runs: Sequence[Replayed],
    plan: Plan,
    found: Findings,
) -> None:
    """Compare the stored files of cells with those of the replay, if all numbers are identical."""
    same = {
        run.row.slot
        for run in runs
        if (run.verdict, run.again.key) == (VERDICTS[0], run.row.result.key)
    }
    stored = ArtifactFiles(directory)
    for cell in dict.fromkeys(row.slot.cell for row in rows if row.slot.phase == "confirm"):
        ranked = confirmed(rows, cell, plan.study.objective)
        for _ in check_files(directory, cell, ranked, found):
            """Only the files matter here; samples are compared below."""
        if not ranked or not all(row.slot in same for row in ranked):
            continue
        files.assemble(cell, ranked, plan.engine.view(ranked[0].run.dataset))
        for old, new in zip(stored.finals(cell), files.finals(cell), strict=True):
            if old.exists() and old.read_bytes() != new.read_bytes():
                place = f"{old.parent.name}/{old.name}"
                found.problem(place, "it is not what the replay of its rows gives")


def _compare(
    row: Row, again: RunResult, noise: Mapping[tuple[str, str], float]
) -> Iterator[Number]:
    stored = row.result
    same = (stored.state, stored.failure) == (again.state, again.failure)
    for metric in sorted({*stored.metrics, *again.metrics}) or ["state"]:
        before = stored.metrics.get(metric, math.nan)
        after = again.metrics.get(metric, math.nan)
        spread = noise.get((row.slot.cell.dataset, metric), 0.0)
        tolerance = RELATIVE * abs(before) + FLOOR_SHARE * spread
        verdict = _verdict(before, after, tolerance) if same else "differs"
        yield Number(metric, before, after, tolerance, verdict)
    for cost in COSTS:
        before, after = (result.compute.get(cost, math.nan) for result in (stored, again))
        tolerance = RELATIVE * abs(before)
        verdict = _verdict(before, after, tolerance)
        if verdict != "identical":
            yield Number(cost, before, after, tolerance, verdict)


def _verdict(before: float, after: float, tolerance: float) -> str:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return "identical"
    return "within tolerance" if abs(before - after) <= tolerance < math.inf else "differs"


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
