"""What a sampler takes: anything with a score."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Model(ABC):
    """Anything with a score.

    Attributes:
        dim: Dimension d.
        members: Number K of models side by side.
        evaluations: Points pushed through each member so far, a pass forward or backward
            counting one each.
        is_truth: Whether score and energy are the data's own, exactly.
        level: Noise level of the density that the model means by "the data": the smallest one
            whose score it has. 0 for a model of the data themselves.
        device: Where it computes, and points are to be.
    """

    dim: int
    members: int
    evaluations: int = 0
    is_truth: bool = False
    level: float = 0.0
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Score at x, (K, B, d) -> (K, B, d).

        Args:
            x: Points.
            sigma: Noise level whose smoothed density is meant; models that know only one level
                ignore it, others take the nearest that they have.
        """

    def noise(self, sigma: float) -> float:  # noqa: ARG002 (part of the interface)
        """Noise level of the density whose score ``score(x, sigma)`` gives."""
        return self.level

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:  # noqa: ARG002
        """Energy up to a constant, (K, B, d) -> (K, B); None if the model has none."""
        return None

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Both at once, which costs networks less than one after the other."""
        return self.energy(x), self.score(x)


class Slices(NamedTuple):
    """First and second derivative of log p along directions v, each (K, M, B).

    Attributes:
        first: v·s.
        second: v·∇s·v.
    """

    first: Tensor
    second: Tensor
