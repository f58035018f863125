"""Points in place of a distribution: what can be drawn are the points."""

import torch
from torch import Tensor

from .base import Dataset
from .errors import UsageError


class Given(Dataset):
    """The distribution of given points (m, d): draws are points, each equally likely.

    Nothing that needs a density works.
    """

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.dim = points.shape[1]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw points with replacement."""
        return self.points[torch.randint(len(self.points), (n,), generator=generator)]

    def log_density(self, x: Tensor, sigma: float) -> Tensor:  # noqa: ARG002
        """Raise ``UsageError``."""
        raise _without_density()

    @property
    def weights(self) -> Tensor:
        """Raise ``UsageError``."""
        raise _without_density()

    def assign(self, x: Tensor) -> Tensor:  # noqa: ARG002
        """Raise ``UsageError``."""
        raise _without_density()


def _without_density() -> UsageError:
    return UsageError("it needs a density, and there are only points")
