"""Estimate how many runs a study takes, and for how long, on this machine."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from ...bench.spec import RunSpec
from ..cell import Cell
from ..engine import Engine
from ..plan import Plan
from ..specs.spec import IID, TRUTH, StudySpec

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
    """

    runs: dict[str, int]
    cells: int
    seconds: float
    measured: float


def estimate(study: StudySpec, engine: Engine | None = None) -> StudyEstimate:
    """Count the runs of a study and time their parts: training, sampling, scoring.

    Each method is trained for a few steps, each sampler is run once and each dataset is scored
    once, so this takes seconds where the study takes hours.
    """
    began = time.monotonic()
    engine = engine or Engine()
    plan = Plan(study, engine)
    engine.prepare()
    timer = _Timer(plan)
    runs = dict.fromkeys(("reference", "search", "confirm"), 0)
    seconds = 0.0
    for cell in plan.cells:
        size = plan.size(cell)
        for phase, count in size._asdict().items():
            runs[phase] += count
        seconds += sum(size) * timer.seconds(cell)
    return StudyEstimate(runs, len(plan.cells), seconds, time.monotonic() - began)


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
            total += self._train(method, cell)
        return total

    def _part(self, part: tuple[str, ...], cell: Cell) -> float:
        if part not in self._times:
            spec = self._plan.example(cell)
            scale = 1.0
            if part[0] == "sample_seconds":
                # Sampling from a briefly trained network takes as long as from a fully trained one.
                scale = max(1.0, spec.evaluation.samples / _POINTS)
                spec = _shortened(spec, min(_SHORT, spec.training.steps))
            self._times[part] = scale * self._run(spec).get(part[0], 0.0)
        return self._times[part]

    def _train(self, method: str, cell: Cell) -> float:
        part = ("train_seconds", method)
        if part not in self._times:
            spec = self._plan.example(cell)
            steps = spec.training.steps
            short, long = (
                self._run(_shortened(spec, min(count, steps))).get(part[0], 0.0)
                for count in (_SHORT, _LONG)
            )
            per_step = max(0.0, long - short) / (_LONG - _SHORT)
            self._times[part] = long + per_step * max(0, steps - _LONG)
        return self._times[part]

    def _run(self, spec: RunSpec) -> Mapping[str, float]:
        if not self._warm:
            self._plan.engine.execute([spec], False)
            self._warm = True
        return self._plan.engine.execute([spec], False)[0].result.compute


def _shortened(spec: RunSpec, steps: int) -> RunSpec:
    samples = min(spec.evaluation.samples, _POINTS)
    evaluation = spec.evaluation.model_copy(update={"metrics": ("sw1",), "samples": samples})
    training = spec.training.model_copy(update={"steps": steps})
    return spec.model_copy(update={"training": training, "evaluation": evaluation})
