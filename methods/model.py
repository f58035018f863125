"""Models that samplers accept: anything with a score."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Model(ABC):
    """Anything with a score.

    Attributes:
        dim: Dimension d.
        members: Number K of models side by side.
        evaluations: Points passed through each member so far; forward and backward passes count
            one each.
        is_truth: Whether score and energy are exactly those of the data.
        level: Smallest noise level at which the model has a score; 0 for a model of the data
            themselves.
        device: Where it computes; points must be there.
    """

    dim: int
    members: int
    evaluations: int = 0
    is_truth: bool = False
    level: float = 0.0
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score at x, (K, B, d) -> (K, B, d).

        Args:
            x: Points.
            sigma: Noise level of the smoothed density; models with a single level ignore it, others
                use the nearest that they have.
        """

    def noise(self, sigma: float) -> float:  # noqa: ARG002 (part of the interface)
        """Return the noise level of the density whose score ``score(x, sigma)`` is."""
        return self.level

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:  # noqa: ARG002
        """Compute the energy up to a constant, (K, B, d) -> (K, B); None if the model has none."""
        return None

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Compute both at once, which is cheaper for networks than one after the other."""
        return self.energy(x), self.score(x)


class Slices(NamedTuple):
    """First and second derivative of log p along directions v, each (K, M, B).

    Attributes:
        first: v·s.
        second: v·∇s·v.
    """

    first: Tensor
    second: Tensor
