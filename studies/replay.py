"""Run confirmation runs again and check whether their numbers are reproduced."""

import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..bench.plugins import PluginFile
from ..bench.spec import RunResult
from ..datasets.errors import UsageError
from .archive import unpack
from .engine import Engine
from .execution.interrupt import Interrupt
from .execution.pools import LostWorkerError
from .execution.scheduler import work
from .execution.where import open_pool
from .plan import Plan
from .progress import standing
from .rundir.changes import Change, changes
from .rundir.read import read_code, read_environments, read_rows, read_study
from .rundir.rows import Row
from .specs.check import check_device
from .specs.spec import TRUTH, StudySpec
from .trust import trust as trust_code
from .winners import confirmed, pick_cells

RELATIVE = 1e-3
"""Relative part of the tolerance."""

FLOOR_SHARE = 0.01
"""Absolute part: this share of the metric's standard deviation between samples of the truth."""

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


def replay(
    directory: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    replicates: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Repeat the best confirmation runs of a study; the run directory is only read.

    Args:
        directory: A run directory, or an archive of one.
        method: Label of the method (default: all).
        dataset: Label of the dataset (default: all).
        sampler: Label of the sampler (default: all).
        replicates: Replay every confirmation run, not only the best of each cell.
        workers: Number of processes.
        engine: Executes runs (default: the real one).
        trust: Run code bundled with the archive.

    Returns:
        One line per metric of each run, with columns method, dataset, sampler, trial, replicate,
        metric, stored, replayed, verdict and changed. The verdict is ``identical`` (bitwise),
        ``within tolerance`` (0.1 % of the stored value plus 1 % of the metric's standard
        deviation between samples of the truth) or ``differs``; ``changed`` lists the changes of
        environment and code since the run.

    Raises:
        UsageError: The directory is not a run directory, a label is unknown, nothing is confirmed
            yet, or an archive contains code that is not trusted.
    """
    with opened(directory, trust=trust) as folder:
        runs = replayed(folder, (method, dataset, sampler), replicates, workers, engine)
    return pd.DataFrame([line for run in runs for line in _lines(run)])


@contextmanager
def opened(source: str | Path, *, trust: bool = False) -> Iterator[Path]:
    """Yield a run directory: the given one, or an archive unpacked into a temporary folder.

    Raises:
        UsageError: The file is not an archive, or contains code that is not trusted.
    """
    path = Path(source)
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        folder = unpack(path, Path(temporary))
        plugins = read_study(folder).plugins
        files = [plugin.file for plugin in plugins if isinstance(plugin, PluginFile)]
        if files and not trust:
            raise UsageError(
                f"{str(path)!r} contains code that a replay runs ({', '.join(files)}): read it "
                f"with `unzip -p {path} study.toml`, then replay with --trust"
            )
        trust_code(plugins)
        yield folder


def replayed(
    directory: Path, labels: Labels, replicates: bool, workers: int, engine: Engine | None
) -> list[Replayed]:
    """Replay runs of a directory; arguments and errors are like those of ``replay``."""
    engine = engine or Engine()
    study = read_study(directory)
    check_device(study, engine)
    rows = standing(Plan(study, engine), read_rows(directory))
    chosen = _chosen(study, rows, labels, replicates)
    if not chosen:
        raise UsageError(f"{str(directory)!r} has no confirmation runs to replay there yet")
    environments, code = read_environments(directory), read_code(directory)
    noise = _noise(rows)
    runs = []
    for row, (result, now) in zip(chosen, _execute(chosen, engine, workers), strict=True):
        before = environments.get(row.environment, {})
        parts = None
        if engine.key(row.run) != row.result.key:
            parts = code.get(row.slot.cell.stem, {}), engine.parts(row.run)
        numbers = tuple(_compare(row, result, noise))
        runs.append(Replayed(row, result, numbers, changes(before, now, parts), before, now))
    return runs


def _chosen(study: StudySpec, rows: Sequence[Row], labels: Labels, replicates: bool) -> list[Row]:
    """Select the best confirmation run of each cell, or all of them, the failed ones last."""
    chosen: list[Row] = []
    for cell in pick_cells(study, *labels):
        ranked = confirmed(rows, cell, study.objective)
        chosen += ranked if replicates else ranked[:1]
        if replicates:
            failed = (row for row in rows if row.slot.cell == cell and not row.ok)
            chosen += (row for row in failed if row.slot.phase == "confirm")
    return chosen


def _execute(
    rows: Sequence[Row], engine: Engine, workers: int
) -> list[tuple[RunResult, Mapping[str, object]]]:
    """Execute the runs of rows; return their results and the environments they ran in."""
    with open_pool(workers, prepare=engine.prepare) as pool, Interrupt() as interrupt:
        futures = [pool.submit(partial(work, engine, [row.run], False)) for row in rows]
        for future in futures:
            interrupt.wait([future])
        try:
            tasks = [future.result() for future in futures]
        except LostWorkerError as error:
            raise UsageError(f"{error}: run the same command again") from error
    return [(finished[0][0], environment[1]) for finished, environment in tasks]


def _compare(
    row: Row, again: RunResult, noise: Mapping[tuple[str, str], float]
) -> Iterator[Number]:
    stored = row.result
    for metric in sorted({*stored.metrics, *again.metrics}) or ["state"]:
        before = stored.metrics.get(metric, math.nan)
        after = again.metrics.get(metric, math.nan)
        spread = noise.get((row.slot.cell.dataset, metric), 0.0)
        tolerance = RELATIVE * abs(before) + FLOOR_SHARE * spread
        verdict = "differs"
        if stored.state == again.state:
            verdict = _verdict(before, after, tolerance)
        yield Number(metric, before, after, tolerance, verdict)


def _verdict(before: float, after: float, tolerance: float) -> str:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return "identical"
    return "within tolerance" if abs(before - after) <= tolerance else "differs"


def _noise(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """Standard deviation of each metric between samples of the truth, by dataset and metric."""
    floors: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.slot.cell.method == TRUTH and row.slot.phase == "reference":
            for metric, value in row.result.metrics.items():
                floors.setdefault((row.slot.cell.dataset, metric), []).append(value)
    return {key: statistics.stdev(values) for key, values in floors.items() if len(values) > 1}


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
