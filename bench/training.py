"""Fitting K networks side by side with Adam."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from .checkpoints import Checkpoints
from .one_by_one import OneByOne
from .side_by_side import SideBySide
from .trainer import Fit, Trainees

CURVE_POINTS = 200
"""Approximate number of points of a training curve."""


@torch.no_grad()  # trainers that need a graph ask for it
def fit(trainees: Trainees, checkpoints: Checkpoints | None = None) -> Fit:
    """Train every member on its own data; one that diverges leaves without touching the rest.

    Args:
        trainees: The members.
        checkpoints: Scores members on the parameters that they would have if training ended.
    """
    steps = trainees.training.steps
    trainer = OneByOne(trainees) if OneByOne.suits(trainees) else SideBySide(trainees)
    looks = set() if checkpoints is None else checkpoints.steps
    first = 0
    for last in sorted({*looks, steps}):
        trainer.advance(first, last)
        if not trainer.alive:
            break
        if checkpoints is not None and last in looks:
            checkpoints.look(last, trainer.alive, trainer.reached(last))
        first = last
    if trainer.alive:
        for member, theta in zip(trainer.alive, trainer.reached(steps), strict=True):
            trainer.leave(member, theta)
    trainer.result.curves = _curves(trainer.path)
    return trainer.result


def _curves(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the path of each member, (K, steps, 2), between the points of its curve."""
    steps = path.shape[1]
    every = max(1, steps // CURVE_POINTS)
    ends = sorted({*range(every, steps + 1, every), steps})
    curves = np.full((len(path), len(ends), 3), math.nan)
    curves[..., 0] = ends
    for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        for own, point in zip(path[:, start:end], curves[:, i], strict=True):
            # Sums that are exact do not depend on the order.
            point[1:] = [math.fsum(column) / (end - start) for column in own.T.tolist()]
    return curves
