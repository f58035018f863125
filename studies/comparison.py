"""Hold rows against their replays: numbers within a tolerance, stored files byte for byte."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..bench.spec import RunResult
from ..datasets.errors import UsageError
from .cell import Slot
from .execution.again import Again
from .integrity import COSTS, Findings, check_distances
from .plan import Plan
from .rundir.artifacts import ArtifactFiles, read_artifact
from .rundir.changes import Change, CodeParts, changes
from .rundir.rows import Row
from .specs.spec import TRUTH
from .stored_files import FLOOR_SHARE, RELATIVE, check_files, noise_of
from .winners import confirmed

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


def compared(
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


def compare_files(
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
    here = {run.row.slot for run in runs if not any(change.cause for change in run.changed)}
    stored = ArtifactFiles(directory)
    for cell in dict.fromkeys(row.slot.cell for row in rows if row.slot.phase == "confirm"):
        ranked = confirmed(rows, cell, plan.study.objective)
        for _ in check_files(directory, cell, ranked, found):
            """Only the files matter here; samples are compared below."""
        again = [row for row in ranked if row.slot in same]
        if again != ranked:
            # On another machine a few rows may agree by chance, but for their last bits.
            again = [row for row in again if row.slot in here]
        if not again:
            continue
        files.assemble(cell, again, plan.engine.view(ranked[0].run.dataset))
        for old, new in zip(stored.finals(cell), files.finals(cell), strict=True):
            # Fields and model are those of the best row.
            of_rows, comparable = old.parent.name in _OF_ROWS, again[0] == ranked[0]
            if again == ranked or (comparable and not of_rows):
                equal = not old.exists() or old.read_bytes() == new.read_bytes()
            else:
                equal = not of_rows or _holds(old, new)
            if not equal:
                place = f"{old.parent.name}/{old.name}"
                found.problem(place, "it is not what the replay of its rows gives")


_OF_ROWS = ("samples", "curves")


def _holds(old: Path, new: Path) -> bool:
    """Whether a file of all ranked rows holds what another has of some."""
    try:
        whole, part = read_artifact(old), read_artifact(new)
    except (OSError, UsageError):
        return True
    own = np.isin(whole.get("replicate", ()), part["replicate"])
    stacked = [name for name in ("samples", "curves", "checkpoints") if name in part]
    return all(
        name in whole
        and len(whole[name]) == len(own)
        and np.array_equal(whole[name][own], part[name], equal_nan=True)
        for name in stacked
    )


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
