"""How many runs a study is, and about how long they take on this machine."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from ...bench.spec import RunSpec
from ..cell import Cell
from ..engine import Engine
from ..plan import Plan
from ..specs.spec import IID, TRUTH, StudySpec

# Training steps that are timed: what the longer run takes more is what steps cost.
_SHORT, _LONG = 10, 70

# Points that are sampled when sampling is timed: the time grows with their number.
_POINTS = 1000


class Estimate(NamedTuple):
    """What a study asks for.

    Attributes:
        runs: Number of runs by phase.
        cells: Number of (method, dataset, sampler) combinations, references among them.
        seconds: Time that all runs take together, one after the other; measured on a few
            shortened runs, and on the long side for methods whose trials are trained side by side.
        measured: Seconds that measuring took.
    """

    runs: dict[str, int]
    cells: int
    seconds: float
    measured: float


def estimate(study: StudySpec, engine: Engine | None = None) -> Estimate:
    """Count the runs of a study and time its parts: training, sampling, scoring.

    Each method is trained for a few steps, each sampler sampled from and each dataset scored once,
    so this takes seconds where the study takes hours.
    """
    began = time.monotonic()
    engine = engine or Engine()
    plan = Plan(study, engine)
    engine.prepare()
    parts = _Parts(plan)
    runs = dict.fromkeys(("reference", "search", "confirm"), 0)
    seconds = 0.0
    for cell in plan.cells:
        size = plan.size(cell)
        for phase, count in size._asdict().items():
            runs[phase] += count
        seconds += sum(size) * parts.seconds(cell)
    return Estimate(runs, len(plan.cells), seconds, time.monotonic() - began)


class _Parts:
    """Times of the parts of a run, each measured when first asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._times: dict[tuple[str, ...], float] = {}
        self._warm = False

    def seconds(self, cell: Cell) -> float:
        """Time of one run of a cell."""
        method, dataset, sampler = cell
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
                # A network that was trained a little is sampled from like one that was not.
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
            more = max(0.0, long - short) / (_LONG - _SHORT)
            self._times[part] = long + more * max(0, steps - _LONG)
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
