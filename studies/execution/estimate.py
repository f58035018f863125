"""Estimate how many runs a study takes, and for how long, on this machine."""

import time
from typing import NamedTuple

from ...bench.spec import RunSpec
from ..cell import Cell
from ..engine import Engine
from ..plan import Plan
from ..specs.spec import IID, TRUTH, StudySpec
from .forecast import forecast, warnings

# Training steps that are timed; the difference of the two times gives the time of a step.
_SHORT, _LONG = 10, 70

# Points that are sampled when sampling is timed; the time is proportional to their number.
_POINTS = 1000


class StudyEstimate(NamedTuple):
    """The size and duration of a study.

    Attributes:
        runs: Number of runs by phase.
        cells: Number of (method, dataset, sampler) combinations, including references.
        seconds: Time of all runs, one after the other, from a few shortened runs; too long for
            methods whose trials are trained side by side.
        measured: Seconds that the measurement took.
        warnings: In what the study exceeds this machine, in sentences; then nothing is measured,
            and ``seconds`` is what it takes at least.
    """

    runs: dict[str, int]
    cells: int
    seconds: float
    measured: float
    warnings: tuple[str, ...] = ()


def estimate(study: StudySpec, engine: Engine | None = None) -> StudyEstimate:
    """Count the runs of a study and time their parts: training, sampling, scoring.

    Each method is trained for a few steps, each sampler is run once and each dataset is scored
    once, so this takes seconds where the study takes hours.
    """
    began = time.monotonic()
    engine = engine or Engine()
    plan = Plan(study, engine)
    warned = tuple(warnings(plan))
    engine.prepare()
    timer = _Timer(plan)
    runs = dict.fromkeys(("reference", "search", "confirm"), 0)
    seconds = 0.0
    for cell in plan.cells:
        size = plan.size(cell)
        for phase, count in size._asdict().items():
            runs[phase] += count
        seconds += 0 if warned else sum(size) * timer.seconds(cell)
    if warned:
        seconds = sum(runs.values()) * sum(forecast(plan).seconds.values())
    return StudyEstimate(runs, len(plan.cells), seconds, time.monotonic() - began, warned)


class _Timer:
    """Times of training by method, of sampling by method and sampler, of scoring by dataset.

    Each is measured when it is first needed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._times: dict[tuple[str, ...], float] = {}
        self._warm = False

    def seconds(self, cell: Cell) -> float:
        """Return the time of one run of a cell."""
        method, dataset, sampler = cell.labels
        total = self._part(("score_seconds", dataset), Cell(TRUTH, dataset, IID))
        if sampler != IID:
            total += self._part(("sample_seconds", method, sampler), cell)
        if cell in self._plan.tuned:
            total += self._part(("train_seconds", method), cell)
        return total

    def _part(self, part: tuple[str, ...], cell: Cell) -> float:
        if part not in self._times:
            self._times[part] = self._measure(part[0], self._plan.example(cell))
        return self._times[part]

    def _measure(self, field: str, spec: RunSpec) -> float:
        if field == "score_seconds":
            return self._run(spec, field)
        short = self._run(_shortened(spec, _SHORT), field)
        if field == "sample_seconds":
            # Sampling from a briefly trained network takes as long as from a fully trained one.
            return max(1.0, spec.evaluation.samples / _POINTS) * short
        long = self._run(_shortened(spec, _LONG), field)
        per_step = max(0.0, long - short) / (_LONG - _SHORT)
        return long + per_step * max(0, spec.training.steps - _LONG)

    def _run(self, spec: RunSpec, field: str) -> float:
        if not self._warm:
            self._plan.engine.execute([spec], False)
            self._warm = True
        return self._plan.engine.execute([spec], False)[0].result.compute.get(field, 0.0)


def _shortened(spec: RunSpec, most_steps: int) -> RunSpec:
    samples = min(spec.evaluation.samples, _POINTS)
    evaluation = spec.evaluation.model_copy(update={"metrics": ("sw1",), "samples": samples})
    steps = min(spec.training.steps, most_steps)
    training = spec.training.model_copy(update={"steps": steps})
    return spec.model_copy(update={"training": training, "evaluation": evaluation})
