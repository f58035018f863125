"""Fitting K networks side by side with Adam."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..methods.network_model import Network, NetworkModel
from ..methods.objectives.base import ScoreMatching
from ..methods.random import MemberRandom
from .adam import Adam
from .checkpoints import Checkpoints
from .spec import Failure, Schedule, TrainingSpec

# Fractions of the steps at which a rate that warms up has risen, and begins to fall.
_WARM, _STAY = 0.02, 0.85

CURVE_POINTS = 200
"""Approximate number of points of a training curve."""


@dataclass
class Fit:
    """K networks after training.

    Attributes:
        theta: Parameters of each member, shape (K, size); those of a diverged member are the
            last before it diverged.
        failures: Why a member was dropped, None for those that finished.
        evaluations: Points pushed through each member.
        curves: Shape (K, points, 3): step, and the means of the loss and of the norm of its
            gradient (before clipping) over the steps since the point before; NaN after a member
            was dropped.
        seconds: Time of the training, per member; 0 unless it was measured.
    """

    theta: Tensor
    failures: list[Failure | None]
    evaluations: list[int]
    curves: NDArray[np.float64]
    seconds: float = 0.0

    @classmethod
    def untrained(cls, theta: Tensor) -> "Fit":
        """Networks as they were initialised, shape (K, size)."""
        members = len(theta)
        return cls(theta, [None] * members, [0] * members, np.zeros((members, 0, 3)))


@torch.no_grad()  # objectives that need a graph ask for it
def fit(
    objective: ScoreMatching,
    network: Network,
    theta: Tensor,
    data: Tensor,
    options: Mapping[str, object],
    training: TrainingSpec,
    learning_rate: Tensor,
    *,
    batches: MemberRandom,
    noise: MemberRandom,
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """Train every member on its own data; one that diverges leaves without touching the rest.

    Args:
        objective: The loss.
        network: Architecture.
        theta: Initial parameters, shape (K, network.size).
        data: Training sets, shape (K, N, d).
        options: Hyperparameters of the loss; those that differ between members have shape
            (K, 1, 1).
        training: Settings that the members share, but for ``learning_rate`` and ``points``.
        learning_rate: Adam's step size of each member, shape (K, 1).
        batches: Stream of the points that each step sees.
        noise: Stream of the loss.
        checkpoints: Scores members on the parameters that they would have if training ended.
    """
    steps, ema = training.steps, training.ema
    result = Fit.untrained(theta.clone())
    members = _Members(network, theta, data, options, training, learning_rate, batches, noise)
    every = max(1, steps // CURVE_POINTS)
    points: list[NDArray[np.float64]] = []
    for step in range(1, steps + 1):
        x = members.next_batch(training.batch_size)
        loss, gradient = objective.gradient(members.model, x, noise, **members.options)
        factor = rate(training.schedule, step, steps)
        norm, moved = members.adam.step(members.weights, gradient, factor, training.clip)
        if not moved:
            rest = members.drop_diverged(result, step, loss, norm)
            if not members.alive:
                break
            loss, gradient = loss[rest], gradient[rest]
            norm, _ = members.adam.step(members.weights, gradient, factor, training.clip)
        if ema:
            members.average.lerp_(members.weights, 1 - ema)
        members.path.append((loss, norm))
        if step % every == 0 or step == steps:
            points.append(members.curve_point(step, len(theta)))
        if checkpoints is not None and step in checkpoints.steps:
            reached = members.average / (1 - ema**step) if ema else members.weights.clone()
            checkpoints.look(step, members.alive, reached)
    members.report(result, members.average.div_(1 - ema**steps) if ema else members.weights)
    if points:
        result.curves = np.stack(points, 1)
    return result


class _Members:
    """The members still in training, and everything that has a row for each of them.

    Attributes:
        alive: Their numbers in the batch.
        model: Their networks.
        weights: Parameters, shape (alive, size).
        options: Hyperparameters of the loss.
        adam: Optimiser.
        average: Running average of the parameters, not normalised, of the same shape.
        path: Losses (alive,) and norms of gradients (alive, 1) since the last point of the curve.
    """

    def __init__(
        self,
        network: Network,
        theta: Tensor,
        data: Tensor,
        options: Mapping[str, object],
        training: TrainingSpec,
        learning_rate: Tensor,
        batches: MemberRandom,
        noise: MemberRandom,
    ) -> None:
        theta = theta.clone().requires_grad_()
        self.alive = list(range(len(theta)))
        self.model = NetworkModel(network, theta)
        self.weights = theta.data
        self.options = dict(options)
        first, second = torch.zeros_like(theta.data), torch.zeros_like(theta.data)
        self.adam = Adam(learning_rate, first, second, weight_decay=training.weight_decay)
        self.average = torch.zeros_like(theta.data)
        self.path: list[tuple[Tensor, Tensor]] = []
        self._data = data
        self._batches = batches
        self._noise = noise
        self._ahead: list[Tensor] = []

    def next_batch(self, size: int) -> Tensor:
        """Draw a batch of each member with replacement, shape (alive, size, d)."""
        if not self._ahead:
            self._ahead = _batches_ahead(self._data, self._batches, size)
        return self._ahead.pop()

    def report(self, result: Fit, theta: Tensor) -> None:
        """Write final parameters (alive, size) and evaluations to the result."""
        for i, k in enumerate(self.alive):
            result.theta[k] = theta[i]
            result.evaluations[k] = self.model.evaluations

    def drop_diverged(self, result: Fit, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """Drop members without a finite norm (alive, 1) of the gradient; ``loss`` is (alive,).

        The rest continue undisturbed. ``result`` receives the failures and the parameters before.

        Returns:
            Rows of the members that stay.
        """
        finite = torch.isfinite(norm).squeeze(1)
        for i, k in enumerate(self.alive):
            if not finite[i]:
                reason = f"the gradient is no longer finite (loss {loss[i].item():.6g})"
                result.theta[k] = self.weights[i]
                result.failures[k] = Failure(stage="train", step=step, reason=reason)
                result.evaluations[k] = self.model.evaluations
        rest = finite.nonzero().squeeze(1)
        rows = rest.tolist()
        self.alive = [self.alive[i] for i in rows]
        theta = self.weights[rest].requires_grad_()
        evaluations = self.model.evaluations
        self.model = NetworkModel(self.model.network, theta)
        self.model.evaluations = evaluations
        self.weights = theta.data
        self.options = {
            name: value[rest] if isinstance(value, Tensor) else value
            for name, value in self.options.items()
        }
        self.adam.keep(rest)
        self.average = self.average[rest]
        self.path = [(loss[rest], norm[rest]) for loss, norm in self.path]
        self._data = self._data[rest]
        self._ahead = [batch[rest] for batch in self._ahead]
        self._batches.keep(rows)
        self._noise.keep(rows)
        return rest

    def curve_point(self, step: int, members: int) -> NDArray[np.float64]:
        """Average the path and clear it: step, loss and norm, shape (members, 3)."""
        point = np.full((members, 3), math.nan)
        point[:, 0] = step
        losses = torch.stack([loss for loss, _ in self.path], 1).flatten().tolist()
        norms = torch.cat([norm for _, norm in self.path], 1).flatten().tolist()
        length = len(self.path)
        for i, k in enumerate(self.alive):
            own = slice(i * length, (i + 1) * length)
            # Sums that are exact: batched ones may depend on the number of members.
            point[k, 1] = math.fsum(losses[own]) / length
            point[k, 2] = math.fsum(norms[own]) / length
        self.path.clear()
        return point


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """Return the factor of the learning rate at step 1 … ``steps``.

    ``wsd``, warm up, stay, decay, is that of Hägele et al. 2024 ("Scaling laws and
    compute-optimal training beyond fixed training durations", section 3): it keeps large steps for
    longer than a cosine, and its gentle start makes larger ones bearable.
    """
    if schedule == "constant":
        return 1.0
    before = (step - 1) / steps
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * before))
    risen = min(1.0, step / (_WARM * steps))
    return risen * (1 - math.sqrt(max(0.0, before - _STAY) / (1 - _STAY)))


def _batches_ahead(data: Tensor, batches: MemberRandom, size: int, steps: int = 32) -> list[Tensor]:
    """Draw the next batches of each member, last first: (K, N, d) to a list of (K, B, d)."""
    members, points, dim = data.shape
    index = batches.integers(points, steps, size)
    offset = torch.arange(members, device=index.device).mul_(points).view(-1, 1, 1)
    flat = data.reshape(-1, dim).index_select(0, (index + offset).transpose(0, 1).reshape(-1))
    return list(flat.view(steps, members, size, dim).unbind())[::-1]
