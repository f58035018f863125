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
        size: Factor for lengths that suit data of ordinary size, at least 1.
    """

    dim: int
    members: int
    evaluations: int = 0
    is_truth: bool = False
    level: float = 0.0
    device: torch.device = torch.device("cpu")
    size: float = 1.0

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score at x, (K, B, d) -> (K, B, d), of the density smoothed by ``sigma``.

        Models of a single level ignore ``sigma``, others use the nearest level that they have.
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


class Moved(Model):
    """A model in coordinates whose origin is ``centre``, shape (d,), for data of a ``size``."""

    def __init__(self, model: Model, centre: Tensor, size: float) -> None:
        self._model = model
        self._centre = centre.to(model.device)
        self.dim, self.members = model.dim, model.members
        self.level, self.device, self.is_truth = model.level, model.device, model.is_truth
        self.size = max(1.0, size)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score of the model at x + centre."""
        return self._model.score(self._there(x), sigma)

    def noise(self, sigma: float) -> float:
        """Return the noise level of the model."""
        return self._model.noise(sigma)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Compute the energy of the model at x + centre."""
        return self._model.energy(self._there(x), sigma)

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Compute both at once."""
        return self._model.energy_and_score(self._there(x))

    def _there(self, x: Tensor) -> Tensor:
        return x + self._centre.to(x.dtype)


class Slices(NamedTuple):
    """First and second derivative, v·s and v·∇s·v, of log p along directions v, each (K, M, B)."""

    first: Tensor
    second: Tensor
