"""Run confirmed rows again and say whether their numbers come back."""

import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..bench.plugins import PluginFile
from ..bench.spec import RunResult
from ..datasets.errors import UsageError
from .archive import unpack
from .engine import Engine
from .execution.interrupt import Interrupt
from .execution.scheduler import Answer, work
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
"""Absolute part: this share of the metric's standard deviation between fresh truth samples."""

VERDICTS = ("identical", "within tolerance", "differs")
"""From best to worst."""


class Number(NamedTuple):
    """A metric of a run, as stored and as found again.

    Attributes:
        metric: Its name; ``state`` if the run has no metric.
        stored: Value in the table, NaN without one.
        replayed: Value of the replay, NaN without one.
        tolerance: Largest difference that is within tolerance.
        verdict: One of ``VERDICTS``.
    """

    metric: str
    stored: float
    replayed: float
    tolerance: float
    verdict: str


class Replayed(NamedTuple):
    """A run and its replay.

    Attributes:
        row: The run.
        again: What came out of it now.
        numbers: One by one.
        changed: What of the code and the environment is not as it was.
        before: Description of the environment that the row was made in.
        now: Description of the environment of the replay.
    """

    row: Row
    again: RunResult
    numbers: tuple[Number, ...]
    changed: tuple[Change, ...]
    before: Mapping[str, Any]
    now: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """The worst of its numbers."""
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
    """Train best configurations again from their rows; the run directory is only read.

    Args:
        directory: A run directory, or an archive of one.
        method: Label of the method; all if not given. So are ``dataset`` and ``sampler``.
        dataset: Label of the dataset.
        sampler: Label of the sampler.
        replicates: Run every confirmed replicate, not only the best of each cell.
        workers: Processes to run in.
        engine: Carries runs out; the real one unless given.
        trust: Run the code that an archive brings along.

    Returns:
        One line per metric of each run, with columns method, dataset, sampler, trial, replicate,
        metric, stored, replayed, verdict and changed. The verdict is ``identical`` (to the bit),
        ``within tolerance`` (0.1 % of the stored value plus 1 % of the metric's standard
        deviation between fresh samples of the truth) or ``differs``; ``changed`` names what of
        the environment or the code is not as it was.

    Raises:
        UsageError: It is not a run directory, a label is unknown, or nothing is confirmed yet. Or
            an archive brings code that is not trusted.
    """
    with opened(directory, trust=trust) as folder:
        found = replayed(
            folder, method, dataset, sampler, replicates=replicates, workers=workers, engine=engine
        )
    return pd.DataFrame([line for one in found for line in _lines(one)])


@contextmanager
def opened(source: str | Path, *, trust: bool = False) -> Iterator[Path]:
    """The run directory behind a path: itself, or an archive unpacked for as long as it is used.

    Raises:
        UsageError: It is no archive, or brings code that is not trusted.
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
                f"{str(path)!r} brings code that a replay runs ({', '.join(files)}): read it, with "
                f"`unzip -p {path} study.toml`, then replay with --trust"
            )
        trust_code(plugins)
        yield folder


def replayed(
    directory: Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    replicates: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
) -> list[Replayed]:
    """Runs of a directory with their replays; arguments and errors are those of ``replay``."""
    engine = engine or Engine()
    study = read_study(directory)
    check_device(study, engine)
    rows = standing(Plan(study, engine), read_rows(directory))
    chosen = _chosen(study, rows, (method, dataset, sampler), replicates=replicates)
    if not chosen:
        raise UsageError(f"{str(directory)!r} has no confirmed runs to replay there yet")
    environments, code = read_environments(directory), read_code(directory)
    noise = _noise(rows)
    found = []
    for row, answer in zip(chosen, _again(chosen, engine, workers), strict=True):
        before, now = environments.get(row.environment, {}), answer.environment[1]
        parts = None
        if engine.key(row.run) != row.result.key:
            parts = code.get(row.slot.cell.stem, {}), engine.parts(row.run)
        result = answer.outcomes[0].result
        numbers = tuple(_compare(row, result, noise))
        found.append(Replayed(row, result, numbers, changes(before, now, parts), before, now))
    return found


def _chosen(
    study: StudySpec,
    rows: Sequence[Row],
    labels: tuple[str | None, str | None, str | None],
    *,
    replicates: bool,
) -> list[Row]:
    chosen: list[Row] = []
    for cell in pick_cells(study, *labels):
        ranked = confirmed(rows, cell, study.objective)
        others = [r for r in rows if r.slot.cell == cell and r.slot.phase == "confirm"]
        failed = [row for row in others if row.result.state != "ok"]
        chosen += [*ranked, *failed] if replicates else ranked[:1]
    return chosen


def _again(rows: Sequence[Row], engine: Engine, workers: int) -> list[Answer]:
    pool = open_pool(workers, prepare=engine.prepare)
    killed = True
    try:
        with Interrupt() as interrupt:
            futures = [pool.submit(partial(work, engine, [row.run], False)) for row in rows]
            for future in futures:
                interrupt.wait([future])
            answers = [future.result() for future in futures]
        killed = False
    finally:
        pool.close(kill=killed)
    return answers


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
    """Standard deviation of each metric between fresh truth samples, by dataset and metric."""
    floors: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.slot.cell.method == TRUTH and row.slot.phase == "reference":
            for metric, value in row.result.metrics.items():
                floors.setdefault((row.slot.cell.dataset, metric), []).append(value)
    return {key: statistics.stdev(values) for key, values in floors.items() if len(values) > 1}


def _lines(one: Replayed) -> Iterator[dict[str, Any]]:
    slot = one.row.slot
    for metric, stored, replayed, _, verdict in one.numbers:
        yield {
            **slot.cell._asdict(),
            "trial": slot.trial,
            "replicate": slot.replicate,
            "metric": metric,
            "stored": stored,
            "replayed": replayed,
            "verdict": verdict,
            "changed": ", ".join(change.field for change in one.changed),
        }
