"""Hold the numbers of rows against the files beside them: seconds, where training takes hours."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..bench.spec import RunSpec
from ..datasets.errors import UsageError
from .cell import Cell, Slot
from .engine import Engine
from .integrity import Findings, check_distances, check_environments, check_rows
from .plan import Plan
from .progress import follow, standing_in
from .results import csv_pieces, ordered
from .rundir.artifacts import ArtifactFiles, read_artifact
from .rundir.files import holds
from .rundir.notes import RESULTS, noted
from .rundir.packed import PackedRows
from .rundir.read import read_code, read_environments, read_packed
from .rundir.rows import Row
from .rundir.strict import LARGEST, open_plain, parse_json
from .specs.check import check_names, check_options
from .specs.spec import TRUTH, StudySpec
from .tabulate import Tabulated
from .winners import confirmed

RELATIVE = 1e-3
"""Relative part of the tolerance between machines."""

FLOOR_SHARE = 0.01
"""Absolute part: this share of the metric's standard deviation between samples of the truth."""

_BUDGET = 300 * 2000**2
"""Pairs of points that are compared at most, which takes less than ten seconds."""

Floors = Mapping[tuple[str, str], Sequence[float]]
"""Values of a metric between fresh samples of the truth, by dataset and metric."""


def doubts(directory: Path, study: StudySpec) -> list[str]:
    """Say what in a run directory does not fit its study, then what could not be checked.

    The files of a self-contained study are checked once, until one of them changes.

    Raises:
        UsageError: The directory cannot be read.
    """

    def find() -> list[str]:
        found = check_directory(directory, Plan(study, Engine()))
        unfit = [f"Does not fit its study: {text}." for text in found.problems]
        return unfit + [f"Not checked: {text}." for text in found.open]

    return noted(directory, "doubts", find) if study.self_contained else find()


def check_directory(directory: Path, plan: Plan) -> Findings:
    """Check everything in a run directory that needs no training.

    Rows are held against the plan of the study. Floors are computed again, and so are the metrics
    of stored samples, as many as a few seconds allow. Where a plug-in of the study or its device
    is missing, or a plug-in has changed so that the study no longer suits it, nothing is checked.

    Raises:
        UsageError: The directory cannot be read.
    """
    stored, code = read_packed(directory), read_code(directory)
    environments = read_environments(directory)
    try:
        check_names(plan.study, plan.engine)
        check_options(plan.study, plan.engine)
    except UsageError as error:
        found = Findings()
        found.unchecked("rows and files", str(error))
        return found
    found = check_rows(plan, stored.cells(), code)
    check_environments(plan, stored.stream(), environments, found)
    check_table(directory, plan, stored, found)
    known = set(plan.cells)

    def counting() -> Iterator[Row]:
        for cell, rows in stored.cells():
            own = standing_in(plan, cell, rows) if cell in known else []
            yield from (row for row in own if row.slot not in found.unfit)

    if plan.study.recorded is not None:
        for row in counting():
            if plan.engine.execute([row.run], False)[0].result.metrics != row.result.metrics:
                found.problem(row.name, "its metrics are not those that were recorded")
        return found
    meter = _Meter(plan, found)
    floors = meter.floors([row for row in counting() if row.slot.cell.method == TRUTH])
    check_distances(counting(), floors, found)
    for cell in plan.tuned:
        rows = standing_in(plan, cell, stored.of(cell))
        own = {row.slot: row for row in rows if row.slot not in found.unfit}
        # Files of a cell are written when it is finished.
        if own and follow(plan, cell, own)[0].finished:
            ranked = confirmed(own.values(), cell, plan.study.objective)
            for row, points in check_files(directory, cell, ranked, found):
                meter.measure(row, points)
    meter.close()
    return found


def check_table(directory: Path, plan: Plan, rows: PackedRows, found: Findings) -> None:
    """Compare ``results.csv``, which is for other programs, with the rows of a finished study."""
    for cell in plan.cells:
        own = standing_in(plan, cell, rows.of(cell))
        if not follow(plan, cell, {row.slot: row for row in own})[0].finished:
            return
    try:
        same = holds(directory / RESULTS, csv_pieces(Tabulated(ordered(plan, rows), plan)))
    except OSError:
        return
    if not same:
        found.unchecked(RESULTS, "it is not the table of these rows")


def check_files(
    directory: Path, cell: Cell, ranked: Sequence[Row], found: Findings
) -> Iterator[tuple[Row, np.ndarray]]:
    """Check the files of a cell, and yield its ranked rows with their stored samples.

    Args:
        directory: The run directory.
        cell: The cell.
        ranked: Its confirmation runs that are ok, best first.
        found: Where problems are noted.
    """
    samples, curves, fields, model = ArtifactFiles(directory).finals(cell)
    keys = [row.result.key for row in ranked]
    arrays = {}
    for path in (samples, curves, fields):
        try:
            arrays[path] = read_artifact(path)
        except FileNotFoundError:
            if ranked:
                found.unchecked(f"{path.parent.name}/{path.name}", "it is not stored")
        except (OSError, UsageError) as error:
            text = str(error).rpartition("is damaged: ")[2]
            found.problem(f"{path.parent.name}/{path.name}", f"it is left out: {text}")
    for path in (samples, curves):
        stored = arrays.get(path, {})
        if path in arrays and [str(key) for key in stored.get("keys", ())] != keys:
            found.problem(f"{path.parent.name}/{path.name}", "it is not of the ranked rows")
    if ranked and model.exists():
        _check_model(model, ranked[0], found)
    points, replicate = (arrays.get(samples, {}).get(n) for n in ("samples", "replicate"))
    if points is None or replicate is None:
        return
    for row in ranked:
        own = points[replicate == row.slot.replicate]
        if len(own) == row.run.evaluation.samples and own.dtype in (np.float32, np.float64):
            yield row, own.copy()
        else:
            found.problem(f"samples/{samples.name}", "it does not hold the samples of every row")


def _check_model(path: Path, row: Row, found: Findings) -> None:
    """Check that the header of a stored model names the best row."""
    place = f"models/{path.name}"
    try:
        with open_plain(path) as file:
            size = int.from_bytes(file.read(8), "little")
            header = parse_json(file.read(min(size, LARGEST)))
        run = parse_json(header["__metadata__"]["run"])
        stored = RunSpec.model_validate(run["spec"]).canonical()
        fits = (run["key"], stored) == (row.result.key, row.spec)
    except (OSError, ValueError, KeyError, TypeError):
        found.problem(place, "it is damaged")
        return
    if not fits:
        found.problem(place, "it is not the model of the best ranked row")


class _Meter:
    """Computes metrics of stored samples again, within a budget, and compares them with rows."""

    def __init__(self, plan: Plan, found: Findings) -> None:
        self._plan = plan
        self._found = found
        self._budget = float(_BUDGET)
        self._here = ""
        self._noise: dict[tuple[str, str], float] = {}
        self._skipped = 0

    def floors(self, rows: Sequence[Row]) -> Floors:
        """Compute the floors of rows again; return them by dataset and metric."""
        values: dict[tuple[str, str], list[float]] = {}
        again: dict[Slot, Mapping[str, float]] = {}
        for row in sorted(rows, key=lambda row: row.slot.replicate):
            if self._affordable(row.run, of=2):
                result = self._plan.engine.execute([row.run], False)[0].result
                if result.state != row.result.state:
                    self._found.problem(row.name, f"it is {row.result.state}; now {result.state}")
                    continue
                again[row.slot] = result.metrics
                for name, value in result.metrics.items():
                    values.setdefault((row.slot.cell.dataset, name), []).append(value)
        self._noise = noise_of(values)
        for row in rows:
            if row.slot in again:
                self._compare(row, again[row.slot], "computed again")
        return values

    def measure(self, row: Row, points: np.ndarray) -> None:
        """Compare the metrics of a row with those of its samples, shape (n, d)."""
        if self._affordable(row.run):
            try:
                metrics = self._plan.engine.measure(row.run, points)
            except UsageError as error:
                self._found.unchecked(row.name, f"its samples cannot be scored: {error}")
            else:
                self._compare(row, metrics, "of its stored samples")

    def close(self) -> None:
        """Note how many rows the budget left out."""
        if self._skipped:
            self._found.unchecked(f"samples of {self._skipped} rows", "scoring them takes too long")

    def _affordable(self, spec: RunSpec, of: int = 1) -> bool:
        """Take a run from the budget, of which ``1 / of`` may be spent; False if it is too dear."""
        pairs = spec.evaluation.samples**2
        if _BUDGET - self._budget + pairs > _BUDGET / of:
            self._skipped += 1
            return False
        self._budget -= pairs
        return True

    def _compare(self, row: Row, metrics: Mapping[str, float], which: str) -> None:
        self._here = self._here or self._plan.engine.environment()[0]
        for name, value in metrics.items():
            stored = row.result.metrics.get(name, math.nan)
            tolerance = 0.0
            if row.environment != self._here:
                noise = self._noise.get((row.slot.cell.dataset, name), 0.0)
                tolerance = RELATIVE * abs(stored) + FLOOR_SHARE * noise
            same = stored == value or (math.isnan(stored) and math.isnan(value))
            if not same and not abs(stored - value) <= tolerance:
                text = f"{name} = {stored:.6g}, but {value:.6g} {which}"
                self._found.problem(row.name, text)


def noise_of(values: Floors) -> dict[tuple[str, str], float]:
    """Compute the standard deviation of each metric between samples of the truth."""
    finite = {key: [v for v in floors if math.isfinite(v)] for key, floors in values.items()}
    return {key: statistics.stdev(floors) for key, floors in finite.items() if len(floors) > 1}
