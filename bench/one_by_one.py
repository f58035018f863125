"""Training of perceptrons on quadratic losses: many steps of one network in a compiled call.

A network's parameters and activations then stay in the cache, and no step waits for Python.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..methods.derivatives.closed_form import passes
from ..methods.network_model import NetworkModel
from ..methods.networks import MLP
from ..methods.objectives.base import QuadraticObjective, ScoreMatching
from ..methods.random import AHEAD
from .adam import BETAS, scales
from .trainer import Trainees, Trainer, rate

# Coordinates that are drawn at once at most, of as many directions as dimensions.
_MOST = 4_000_000

Array = NDArray[Any]


def trains_compiled(objective: ScoreMatching, device: str) -> bool:
    """Whether perceptrons are trained on a loss in compiled steps."""
    return device == "cpu" and isinstance(objective, QuadraticObjective) and objective.is_quadratic


class _Block(NamedTuple):
    """The points and terms of some steps, the first of which is ``start``."""

    start: int
    arrays: list[Array]
    sliced: float
    bend: float


class OneByOne(Trainer):
    """Trains one network after the other."""

    @staticmethod
    def suits(trainees: Trainees) -> bool:
        """Whether it can train these networks."""
        theta = trainees.theta
        return (
            trains_compiled(trainees.objective, theta.device.type)
            and isinstance(trainees.network, MLP)
            and theta.dtype in (torch.float32, torch.float64)
        )

    def __init__(self, trainees: Trainees) -> None:
        super().__init__(trainees)
        self._network = cast("MLP", trainees.network)
        self._weights = trainees.theta.clone()
        self._average = torch.zeros_like(self._weights)
        self._means = torch.zeros_like(self._weights), torch.zeros_like(self._weights)
        self._model = NetworkModel(self._network, self._weights)
        self._steps: Callable[..., int] | None = None
        self._blocks: dict[int, _Block] = {}
        self._evaluations = [0] * len(trainees.theta)
        self._passes = 0
        training = trainees.training
        self._schedule = np.array(
            [
                scales(step, rate(training.schedule, step, training.steps), training.weight_decay)
                for step in range(1, training.steps + 1)
            ]
        )
        per_step = training.batch_size * trainees.data.shape[-1] ** 2
        self._ahead = max(1, min(AHEAD, _MOST // per_step))

    def advance(self, first: int, last: int) -> None:
        """Make the steps after ``first``, up to ``last``, of one member after the other."""
        for member in list(self.alive):
            self._train_member(member, first, last)

    def reached(self, step: int) -> Tensor:
        """Return the parameters, or their average, shape (alive, size)."""
        ema = self.trainees.training.ema
        weights = self._average / (1 - ema**step) if ema else self._weights
        return weights[self.alive]

    def evaluations(self, member: int) -> int:
        """Return how many points were pushed through a member."""
        return self._evaluations[member]

    def _train_member(self, k: int, first: int, last: int) -> None:
        training, own = self.trainees.training, slice(k, k + 1)
        weights = self._weights[own].numpy(), self._average[own].numpy()
        means = tuple(mean[own].numpy() for mean in self._means)
        adam = *means, self.trainees.learning_rate[own].to(self._weights.dtype).numpy(), *BETAS
        step = first
        while step < last:
            block = self._block(k, step)
            chosen = slice(step - block.start, min(last - block.start, self._ahead))
            count = chosen.stop - chosen.start
            terms = *(array[chosen] for array in block.arrays), block.sliced, block.bend
            path = self.path[k, step : step + count]
            if self._steps is None:
                self._steps = self._compiled(*block.arrays[1].shape[2:4])
            made = self._steps(
                weights, adam, terms, self._schedule[step : step + count], training.clip,
                training.ema or 0.0, path,
            )  # fmt: skip
            self._evaluations[k] += self._passes * min(made + 1, count)
            if made < count:
                loss = float(path[made, 0])
                path[made] = math.nan
                self.alive.remove(k)
                self.diverged(k, self._weights[k], step + made + 1, loss)
                return
            step += count

    def _compiled(self, directions: int, points: int) -> Callable[..., int]:
        """Return the function that makes steps, with memory for so many directions and points."""
        # Imported here: numba takes a third of a second, and only training needs it.
        from ..methods.derivatives.compiled_jets import workspace
        from .training_loops import train_energy, train_score

        network, dtype = self._network, self._weights.dtype
        self._passes = points * passes(network.kind, directions, training=True)
        train = train_energy if network.kind == "energy" else train_score
        return partial(train, workspace(network, points, directions, dtype))

    def _block(self, k: int, step: int) -> _Block:
        """Return the block of a step; drawn in order, each once."""
        block = self._blocks.get(k)
        if block is None or step >= block.start + self._ahead:
            block = self._blocks[k] = self._drawn(k, step)
        return block

    def _drawn(self, k: int, step: int) -> _Block:
        trainees, steps, own = self.trainees, self._ahead, slice(k, k + 1)
        index = trainees.batches.next_steps(k, steps).integers(
            trainees.data.shape[1], trainees.training.batch_size
        )
        x = trainees.data[k].index_select(0, index.flatten()).view(*index.shape, -1)
        options = {
            name: value[own] if isinstance(value, Tensor) else value
            for name, value in trainees.options.items()
        }
        objective = cast("QuadraticObjective", trainees.objective)
        loss = self._model.inner(objective.terms(x, trainees.noise.next_steps(k, steps), **options))
        points, v = loss.points, loss.directions
        shape, dtype = loss.points.shape[:2], self._weights.dtype
        if v is None:
            v = points.new_empty((steps, 0, *points.shape[1:]))
        linear = loss.linear if loss.linear is not None else torch.zeros_like(points)
        constant = torch.as_tensor(loss.constant).expand(*shape, 1).mean((1, 2))
        square = torch.as_tensor(loss.square).expand(*shape, 1).squeeze(-1)
        tensors = points.unsqueeze(1), v.unsqueeze(1), square, linear, constant
        arrays = [tensor.to(dtype).contiguous().numpy() for tensor in tensors]
        return _Block(step, arrays, loss.sliced, loss.bend)
