"""What trains K networks: all at a time, or one after the other."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..methods.network_model import Network
from ..methods.objectives.base import ScoreMatching
from ..methods.random import MemberRandom
from .spec import Failure, Schedule, TrainingSpec

# Fractions of the steps at which a rate that warms up has risen, and begins to fall.
_WARM, _STAY = 0.02, 0.85


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


@dataclass
class Trainees:
    """K networks to train; every array has a row for each of them.

    Attributes:
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
    """

    objective: ScoreMatching
    network: Network
    theta: Tensor
    data: Tensor
    options: Mapping[str, object]
    training: TrainingSpec
    learning_rate: Tensor
    batches: MemberRandom
    noise: MemberRandom


class Trainer(ABC):
    """Trains every member on its own data; one that diverges leaves without touching the rest.

    Attributes:
        trainees: The members.
        alive: Numbers of the members still in training.
        result: Receives the members that left.
        path: Loss and norm of the gradient of each step, (K, steps, 2); NaN for those not made.
    """

    def __init__(self, trainees: Trainees) -> None:
        self.trainees = trainees
        self.alive = list(range(len(trainees.theta)))
        self.result = Fit.untrained(trainees.theta.clone())
        self.path = np.full((len(trainees.theta), trainees.training.steps, 2), math.nan)

    @abstractmethod
    def advance(self, first: int, last: int) -> None:
        """Make the steps after ``first``, up to ``last``."""

    @abstractmethod
    def reached(self, step: int) -> Tensor:
        """Return the parameters (alive, size) if training ended after so many steps."""

    @abstractmethod
    def evaluations(self, member: int) -> int:
        """Return how many points were pushed through a member."""

    def leave(self, member: int, theta: Tensor) -> None:
        """Write the parameters (size,) of a member, and its evaluations, to the result."""
        self.result.theta[member] = theta
        self.result.evaluations[member] = self.evaluations(member)

    def diverged(self, member: int, theta: Tensor, step: int, loss: float) -> None:
        """Drop a member at a step whose gradient is not finite; ``theta`` are those before it."""
        reason = f"the gradient is no longer finite (loss {loss:.6g})"
        self.result.failures[member] = Failure(stage="train", step=step, reason=reason)
        self.leave(member, theta)


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
