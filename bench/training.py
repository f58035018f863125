"""Fitting K networks side by side with Adam."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..methods.network_model import Network, NetworkModel
from ..methods.objectives.base import ScoreMatching
from ..methods.random import MemberRandom
from .adam import Adam
from .spec import Failure, Schedule

# Shares of the steps by which a rate that warms up has risen, and begins to fall.
_WARM, _STAY = 0.02, 0.85

# Loss of a member is kept at about this many places of its path.
CURVE_POINTS = 200


class Passed(NamedTuple):
    """A point of the path of training, with a number for each of the K members."""

    step: int
    loss: list[float]
    gradient: list[float]


@dataclass
class Fit:
    """What training left.

    Attributes:
        theta: Parameters of each member, shape (K, size); those of a diverged member are the
            last before it diverged.
        failures: Why a member was dropped, None for those that finished.
        evaluations: Points pushed through each member.
        curve: Points of the path: the step, and each member's mean loss and mean norm of its
            gradient (before clipping) since the point before; NaN after a member was dropped.
    """

    theta: Tensor
    failures: list[Failure | None]
    evaluations: list[int]
    curve: list[Passed] = field(default_factory=list)


@torch.no_grad()  # objectives that need a graph ask for it
def fit(
    objective: ScoreMatching,
    network: Network,
    theta: Tensor,
    data: Tensor,
    options: Mapping[str, Any],
    *,
    batches: MemberRandom,
    noise: MemberRandom,
    steps: int,
    batch_size: int,
    learning_rate: Tensor,
    clip: float,
    schedule: Schedule = "constant",
    ema: float = 0.0,
    checkpoints: Collection[int] = (),
    look: Callable[[int, list[int], Tensor], None] | None = None,
) -> Fit:
    """Train every member on its own data; one that diverges leaves without touching the rest.

    Args:
        objective: Whose loss is minimised.
        network: Architecture.
        theta: Initial parameters, shape (K, network.size).
        data: Training sets, shape (K, N, d).
        options: Hyperparameters of the loss; those that differ between members have shape
            (K, 1, 1).
        batches: Which points each step sees.
        noise: What the loss draws.
        steps: Number of Adam steps.
        batch_size: Points per step, drawn with replacement.
        learning_rate: Shape (K, 1).
        clip: Largest gradient norm; longer gradients are scaled down to it.
        schedule: How the learning rate falls: see ``bench.spec.TrainingSpec``.
        ema: Decay of the average of the weights; 0 for the last weights.
        checkpoints: Steps at which to call ``look``
        look: with the step, the members that are left, and what would be kept of them if
            training ended there.
    """
    members = len(theta)
    done = Fit(theta.clone(), [None] * members, [0] * members)
    alive = list(range(members))
    theta = theta.clone().requires_grad_()
    model, weights = NetworkModel(network, theta), theta.data
    adam = Adam(learning_rate, torch.zeros_like(theta.data), torch.zeros_like(theta.data))
    options = dict(options)
    average = torch.zeros_like(theta.data)
    every = max(1, steps // CURVE_POINTS)
    path: list[tuple[Tensor, Tensor]] = []
    ahead: list[Tensor] = []

    for step in range(1, steps + 1):
        if not ahead:
            ahead = _batches_ahead(data, batches, batch_size)
        x = ahead.pop()
        loss, gradient = objective.gradient(model, x, noise, **options)
        factor = rate(schedule, step, steps)
        norm, moved = adam.step(weights, gradient, factor, clip)
        if not moved:
            good = torch.isfinite(norm).squeeze(1)
            for i, k in enumerate(alive):
                if not good[i]:
                    done.theta[k] = weights[i]
                    done.failures[k] = _divergence(step, loss[i].item())
                    done.evaluations[k] = model.evaluations
            stay = good.nonzero().squeeze(1)
            alive = [alive[i] for i in stay.tolist()]
            if not alive:
                break
            theta = weights[stay].requires_grad_()
            weights = theta.data
            data, gradient, loss = data[stay], gradient[stay], loss[stay]
            path = [(past[stay], length[stay]) for past, length in path]
            adam.keep(stay)
            norm, _ = adam.step(weights, gradient, factor, clip)
            average = average[stay]
            batches.keep(stay.tolist())
            ahead = [x[stay] for x in ahead]
            noise.keep(stay.tolist())
            options = {
                name: value[stay] if isinstance(value, Tensor) else value
                for name, value in options.items()
            }
            evaluations = model.evaluations
            model = NetworkModel(network, theta)
            model.evaluations = evaluations
        if ema:
            average.lerp_(weights, 1 - ema)
        path.append((loss, norm))
        if step % every == 0 or step == steps:
            done.curve.append(_passed(step, members, alive, path))
            path.clear()
        if look is not None and step in checkpoints:
            look(step, alive, average / (1 - ema**step) if ema else weights.clone())

    final = average.div_(1 - ema**steps) if ema else weights
    for i, k in enumerate(alive):
        done.theta[k] = final[i]
        done.evaluations[k] = model.evaluations
    return done


def _passed(step: int, members: int, alive: list[int], path: list[tuple[Tensor, Tensor]]) -> Passed:
    passed = Passed(step, [math.nan] * members, [math.nan] * members)
    losses = torch.stack([loss for loss, _ in path], 1).flatten().tolist()
    norms = torch.cat([norm for _, norm in path], 1).flatten().tolist()
    over = len(path)
    for place, k in enumerate(alive):
        own = slice(place * over, (place + 1) * over)
        # Sums that are exact: batched ones may depend on the number of members.
        passed.loss[k] = math.fsum(losses[own]) / over
        passed.gradient[k] = math.fsum(norms[own]) / over
    return passed


def rate(schedule: Schedule, step: int, steps: int) -> float:
    """What the learning rate of step 1 … ``steps`` is multiplied by.

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
    """The next batches of each member, last one first: (K, N, d) to a list of (K, B, d)."""
    members, points, dim = data.shape
    index = batches.integers(points, steps, size)
    offset = torch.arange(members, device=index.device).mul_(points).view(-1, 1, 1)
    flat = data.reshape(-1, dim).index_select(0, (index + offset).transpose(0, 1).reshape(-1))
    return list(flat.view(steps, members, size, dim).unbind())[::-1]


def _divergence(step: int, loss: float) -> Failure:
    return Failure(
        stage="train", step=step, reason=f"the gradient is no longer finite (loss {loss:.6g})"
    )
