"""Run confirmed rows again and say whether their numbers come back."""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ..datasets.errors import UsageError
from .best import confirmed, pick_cells
from .cells import Plan
from .engine import Engine
from .interrupt import Interrupt
from .pools import open_pool
from .records import read_environments, read_rows, read_study
from .rows import Row
from .scheduler import work
from .spec import TRUTH
from .standing import standing

RELATIVE = 1e-3
"""Relative part of the tolerance."""

FLOOR_SHARE = 0.01
"""Absolute part: this share of the metric's standard deviation between fresh truth samples."""


def replay(
    directory: str | Path,
    method: str | None = None,
    dataset: str | None = None,
    sampler: str | None = None,
    *,
    replicates: bool = False,
    workers: int = 1,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Train best configurations again from their rows; the run directory is only read.

    Args:
        directory: A run directory.
        method: Label of the method; all if not given. So are ``dataset`` and ``sampler``.
        dataset: Label of the dataset.
        sampler: Label of the sampler.
        replicates: Run every confirmed replicate, not only the best of each cell.
        workers: Processes to run in.
        engine: Carries runs out; the real one unless given.

    Returns:
        One line per metric of each run, with columns method, dataset, sampler, trial, replicate,
        metric, stored, replayed, verdict and changed. The verdict is ``identical`` (to the bit),
        ``within tolerance`` (0.1 % of the stored value plus 1 % of the metric's standard
        deviation between fresh samples of the truth) or ``differs``; ``changed`` names what of
        the environment or the code is not as it was.

    Raises:
        UsageError: It is not a run directory, a label is unknown, or nothing is confirmed yet.
    """
    path = Path(directory)
    engine = engine or Engine()
    study = read_study(path)
    rows = standing(Plan(study, engine), read_rows(path))
    environments = read_environments(path)
    chosen: list[Row] = []
    for cell in pick_cells(study, method, dataset, sampler):
        ranked = confirmed(rows, cell, study, engine)
        others = [r for r in rows if r.place.cell == cell and r.place.phase == "confirm"]
        failed = [row for row in others if row.result.state != "ok"]
        chosen += [*ranked, *failed] if replicates else ranked[:1]
    if not chosen:
        raise UsageError(f"{str(path)!r} has no confirmed runs to replay there yet")
    noise = _noise(rows)
    lines: list[dict[str, Any]] = []
    pool = open_pool(workers, prepare=engine.prepare)
    killed = True
    try:
        with Interrupt() as interrupt:
            futures = [pool.submit(partial(work, engine, [row.run], False)) for row in chosen]
            for row, future in zip(chosen, futures, strict=True):
                interrupt.wait([future])
                answer = future.result()
                changed = _changed(environments.get(row.environment, {}), answer.environment[1])
                if engine.key(row.run) != row.result.key:
                    changed.insert(0, "code of the method, dataset, sampler or metrics")
                lines += _compare(row, answer.outcomes[0].result, noise, changed)
        killed = False
    finally:
        pool.close(kill=killed)
    return pd.DataFrame(lines)


def _compare(
    row: Row, again: Any, noise: Mapping[tuple[str, str], float], changed: Sequence[str]
) -> list[dict[str, Any]]:
    stored = row.result
    lines = []
    for metric in sorted({*stored.metrics, *again.metrics}) or ["state"]:
        before = stored.metrics.get(metric, math.nan)
        after = again.metrics.get(metric, math.nan)
        spread = noise.get((row.place.cell.dataset, metric), 0.0)
        verdict = _verdict(before, after, spread) if stored.state == again.state else "differs"
        lines.append(
            {
                **row.place.cell._asdict(),
                "trial": row.place.trial,
                "replicate": row.place.replicate,
                "metric": metric,
                "stored": before,
                "replayed": after,
                "verdict": verdict,
                "changed": ", ".join(changed),
            }
        )
    return lines


def _verdict(before: float, after: float, spread: float) -> str:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return "identical"
    if abs(before - after) <= RELATIVE * abs(before) + FLOOR_SHARE * spread:
        return "within tolerance"
    return "differs"


def _noise(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """Standard deviation of each metric between fresh truth samples, by dataset and metric."""
    floors: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.place.cell.method == TRUTH and row.place.phase == "reference":
            for metric, value in row.result.metrics.items():
                floors.setdefault((row.place.cell.dataset, metric), []).append(value)
    return {key: statistics.stdev(values) for key, values in floors.items() if len(values) > 1}


def _changed(before: Any, after: Any, prefix: str = "") -> list[str]:
    """Names of the fields that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted({*before, *after})
        return [
            name
            for key in names
            for name in _changed(before.get(key), after.get(key), f"{prefix}{key}.")
        ]
    return [] if before == after else [prefix.rstrip(".") or "environment"]
