"""What every toy distribution offers: iid samples, exact densities at every noise level, modes."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from .errors import UsageError


class Dataset(ABC):
    """A distribution p on R^d whose truth is known exactly.

    All tensors are float64. ``sigma`` is the standard deviation of added Gaussian noise: every
    density and score is that of p_sigma = p * N(0, sigma² I); ``sigma = 0`` is the data itself.

    Attributes:
        dim: Dimension d of the space.
        extent: Half the side of the box, centred at the origin, that pictures show and that
            Langevin chains start in; holds nearly all of the mass.
        score_from: Smallest sigma from which on the score exists (0 for smooth densities).
    """

    dim: int = 2
    extent: float = 4.0
    score_from: ClassVar[float] = 0.0

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` >= 0 independent points, shape (n, d)."""

    @abstractmethod
    def log_prob(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Log density of p_sigma at ``x`` of shape (n, d): shape (n,), in nats."""

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Gradient of ``log_prob(x, sigma)`` with respect to ``x``: shape (n, d).

        Raises:
            UsageError: The density has no score at this ``sigma``.
        """

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """True probability of each mode, shape (modes,)."""

    @abstractmethod
    def assign(self, x: Tensor) -> Tensor:
        """Index of the mode that each point belongs to, shape (n,), integers."""
