"""Independent double wells: the number of modes doubles with every two dimensions."""

import torch
from torch import Tensor

from . import datasets, get_density
from .double_well import DoubleWell
from .errors import UsageError


@datasets.register("many_well")
class ManyWell(DoubleWell):
    """``dim``/2 independent pairs of coordinates, each a double well: 2^(dim/2) unequal modes.

    As in FAB (Midgley et al. 2023), with dim = 32. Densities are sums over the wells, whose
    integrals over the noise are one-dimensional.

    Args:
        dim: Dimension, even, 2 to 32.
    """

    def __init__(self, *, dim: int = 4) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or dim % 2 or not 2 <= dim <= 32:
            raise UsageError(f"dim = {dim!r}: it must be an even number from 2 to 32")
        super().__init__()
        self.dim = dim

    @property
    def weights(self) -> Tensor:
        """Probability of each mode; the first well is the most significant digit of its number."""
        weights = torch.ones(1, dtype=torch.float64)
        for _ in range(self.dim // 2):
            weights = torch.outer(weights, super().weights).flatten()
        return weights

    def assign(self, x: Tensor) -> Tensor:
        """Number the modes by the sides of all wells, as binary digits."""
        right = (self._points(x)[:, ::2] > 0).long()
        return (right * 2 ** torch.arange(self.dim // 2).flip(0)).sum(1)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw every well."""
        return super().draw(n * self.dim // 2, generator).view(n, self.dim)

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Add the log densities of the wells."""
        return super().log_density(x.reshape(-1, 2), sigma).view(len(x), x.shape[1] // 2).sum(1)

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Put the scores of the wells together."""
        return super().gradient(x.reshape(-1, 2), sigma).view_as(x)

    def information(self, sigma: float) -> tuple[float, float]:
        """Multiply those of one well, by quadrature in its plane."""
        well, count = get_density("double_well"), self.dim // 2
        return count * well.entropy(sigma), count * well.fisher_information(sigma)
