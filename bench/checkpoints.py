"""Metrics of a run while it trains: small samples, with random numbers of their own."""

import math
import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..methods import samplers
from ..methods.network_model import Network, NetworkModel
from ..methods.sampling.base import Sampler
from .from_spec import streams_of, target_of
from .spec import RunSpec
from .truth import Judge, judge_of

SAMPLES = 1000
"""Most points that a checkpoint samples."""


class Checkpoints:
    """Looks at members at a few steps, and leaves no trace in what becomes of them.

    Args:
        specs: The runs, members of one batch.
        network: Their architecture.

    Attributes:
        steps: When to look, evenly spaced, the last step among them.
        seconds: Time that looking took, all members together.
    """

    def __init__(self, specs: Sequence[RunSpec], network: Network) -> None:
        given = specs[0].evaluation
        small = given.model_copy(update={"samples": min(SAMPLES, given.samples), "split": False})
        self._specs = [spec.model_copy(update={"evaluation": small}) for spec in specs]
        self._network = network
        last, count = specs[0].training.steps, given.checkpoints
        self.steps = frozenset(round(last * i / count) for i in range(1, count + 1)) - {0}
        self.seconds = 0.0
        self._rows: list[list[list[float]]] = [[] for _ in specs]

    def look(self, step: int, members: Sequence[int], theta: Tensor) -> None:
        """Sample and score members.

        Args:
            step: Of the training.
            members: Which of the runs.
            theta: What their parameters would be if training ended here, one row each.
        """
        began = time.perf_counter()
        for k, row in zip(members, theta, strict=True):
            self._rows[k].append([float(step), *self._scores(self._specs[k], row)])
        self.seconds += time.perf_counter() - began

    def of(self, member: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Names of the metrics, and the steps and values of one run, shape (c, 1 + metrics)."""
        if not self.steps:
            return (), np.zeros((0, 1))
        names = _names(judge_of(self._specs[member]))
        rows = np.array(self._rows[member], dtype=np.float64)
        return names, rows.reshape(-1, 1 + len(names))

    def _scores(self, spec: RunSpec, parameters: Tensor) -> list[float]:
        judge = judge_of(spec)
        model = NetworkModel(self._network, parameters.unsqueeze(0), target_of(spec))
        sampler = cast("Callable[..., Sampler]", samplers.get(spec.sampler.name))
        try:
            rng = streams_of([spec], "checkpoint", model.device)
            made = sampler(**spec.sampler.options).sample(model, spec.evaluation.samples, rng)
            found = judge.score_samples(made.points[0])
        except Exception:
            # What a half-trained model cannot do says nothing of the run.
            found = {}
        return [found.get(name, math.nan) for name in _names(judge)]


def _names(judge: Judge) -> tuple[str, ...]:
    """Metrics that look at samples: those of models cost as much on a small sample."""
    return tuple(name for name, metric in judge.metrics.items() if metric.needs == "samples")
