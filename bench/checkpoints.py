"""Metrics of a run while it trains: on small samples, with random streams of their own."""

import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..methods.network_model import Network, NetworkModel
from .from_spec import dataset_of, streams_of, target_of
from .sampling import Sampling
from .spec import RunSpec
from .truth import Judge, judge_of

SAMPLES = 1000
"""Most points that a checkpoint samples."""


class Checkpoints:
    """Scores of members at a few training steps; taking them changes nothing in the training.

    Attributes:
        steps: Steps at which to score, evenly spaced, the last step among them.
        seconds: Time spent on scoring, all members together.
    """

    def __init__(self, specs: Sequence[RunSpec], network: Network) -> None:
        self._specs = [_small(spec) for spec in specs]
        self._network = network
        last, count = specs[0].training.steps, specs[0].evaluation.checkpoints
        self.steps = frozenset(round(last * i / count) for i in range(1, count + 1)) - {0}
        self.seconds = 0.0
        self._rows: list[list[list[float]]] = [[] for _ in specs]

    def look(self, step: int, members: Sequence[int], theta: Tensor) -> None:
        """Sample from the members that are still in training, and score the samples.

        ``theta`` holds, in one row for each, their parameters if training ended here.
        """
        began = time.perf_counter()
        for k, row in zip(members, theta, strict=True):
            self._rows[k].append([float(step), *self._scores(self._specs[k], row)])
        self.seconds += time.perf_counter() - began

    def of(self, member: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Return metric names, and steps and values of one run, shape (c, 1 + metrics)."""
        if not self.steps:
            return (), np.zeros((0, 1))
        names = _names(judge_of(self._specs[member]))
        rows = np.array(self._rows[member], dtype=np.float64)
        return names, rows.reshape(-1, 1 + len(names))

    def _scores(self, spec: RunSpec, parameters: Tensor) -> list[float]:
        judge = judge_of(spec)
        model = NetworkModel(self._network, parameters.unsqueeze(0), target_of(spec))
        try:
            rng = streams_of([spec], "checkpoint", model.device)
            sampling = Sampling(dataset_of(spec), spec.sampler)
            samples = sampling.sample(model, spec.evaluation.samples, rng)
            values = judge.score_samples(samples.points[0])
        except Exception:
            # An error of a half-trained model says nothing about the run.
            values = {}
        return [values.get(name, math.nan) for name in _names(judge)]


def _small(spec: RunSpec) -> RunSpec:
    evaluation = spec.evaluation
    update = {"samples": min(SAMPLES, evaluation.samples), "split": False}
    return spec.model_copy(update={"evaluation": evaluation.model_copy(update=update)})


def _names(judge: Judge) -> tuple[str, ...]:
    """Names of the metrics of samples: those of models cost as much on a small sample."""
    return tuple(name for name, metric in judge.metrics.items() if metric.needs == "samples")
