"""A bistable density, and independent copies of it."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from . import datasets, get_density
from .base import Density, DensityAndScore
from .chain import Chain
from .errors import UsageError, require_within
from .quadrature import panels
from .spline import Spline

# Half the length of a table before the noise, and its step in units of the width of a well.
_REACH, _CELL = 4.0, 1 / 64


@datasets.register("double_well")
class DoubleWell(Chain):
    """Two unequal wells: x1 with density exp(x1/2 + 6 x1² - x1⁴)/Z, then x2 ~ N(0, 1)."""

    extent = 5.0
    noise = 0.18  # A little less than the width of the wells.
    narrowest: ClassVar[float] = 0.0

    def __init__(self) -> None:
        # Beyond 3.5 lies e^-80 of the mass; linear interpolation in so fine a table makes the
        # distribution function accurate to 1e-8.
        self.edges = torch.linspace(-3.5, 3.5, 2**16 + 1, dtype=torch.float64)
        nodes, widths = panels(self.edges, 4)
        mass = (_log_weight(nodes).exp() * widths).view(-1, 4).sum(1)
        self.log_z = math.log(mass.sum())
        self.cdf = torch.cat((torch.zeros(1, dtype=torch.float64), mass.cumsum(0) / mass.sum()))
        self.peak = float(_log_weight(self.edges).max()) - self.log_z + 1e-6

    @property
    def weights(self) -> Tensor:
        """Probability of the left and of the right well."""
        right = 1 - self.cdf[len(self.cdf) // 2]
        return torch.stack((1 - right, right))

    def assign(self, x: Tensor) -> Tensor:
        """Assign points to the left well, 0, or to the right, 1."""
        return (self._points(x)[:, 0] > 0).long()

    def log_first(self, v: Tensor) -> Tensor:
        """Compute the log density of the wells."""
        return _log_weight(v) - self.log_z

    def second(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean 0 and log variance 0."""
        return v.new_zeros(()), v.new_zeros(())

    def quick(self, sigma: float) -> DensityAndScore:
        """Return a function that reads the density of x1 from a table."""
        if sigma == 0:
            return super().quick(sigma)
        width, reach = math.hypot(self.noise, sigma), _REACH + 8 * sigma
        cells = math.ceil(reach / (_CELL * width))
        v = _CELL * width * torch.arange(-cells, cells + 1, dtype=torch.float64)
        log_density, score = self._exactly(_on_axis(v), sigma)
        table = Spline(float(v[0]), _CELL * width, torch.stack((log_density, score[:, 0]), 1))
        variance = 1 + sigma**2

        def from_table(x: Tensor) -> tuple[Tensor, Tensor]:
            log_density, slope = table(x[:, 0].contiguous())
            second = x[:, 1].contiguous()
            log_density = log_density - second.square() / (2 * variance)
            return log_density, torch.stack((slope, -second / variance), 1)

        def both(x: Tensor) -> tuple[Tensor, Tensor]:
            inside = x[:, 0].abs() < reach
            if inside.all():
                return from_table(x)
            log_density, score = torch.empty_like(x[:, 0]), torch.empty_like(x)
            log_density[inside], score[inside] = from_table(x[inside])
            log_density[~inside], score[~inside] = self._exactly(x[~inside], sigma)
            return log_density, score

        return both

    def _exactly(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        return Chain.density_and_score(self, x, sigma)

    def draw_first(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw by inversion of the distribution function."""
        u = torch.rand(n, dtype=torch.float64, generator=generator)
        cell = (torch.bucketize(u, self.cdf, right=True) - 1).clamp(0, len(self.cdf) - 2)
        begin, end = self.cdf[cell], self.cdf[cell + 1]
        share = (u - begin) / (end - begin)
        return self.edges[cell].lerp(self.edges[cell + 1], share)


@datasets.register("many_well")
class ManyWell(DoubleWell):
    """``dim``/2 independent pairs of coordinates, each a double well: 2^(dim/2) unequal modes.

    As in FAB (Midgley et al. 2023), with dim = 32. Densities are sums over the wells, whose
    integrals over the noise are one-dimensional.

    Args:
        dim: Dimension, even, 2 to 32.
    """

    def __init__(self, *, dim: int = 4) -> None:
        require_within("dim", dim, 2, 32)
        if dim % 2:
            raise UsageError(f"dim = {dim}: it must be even, for wells of two coordinates")
        super().__init__()
        self.dim = dim

    @property
    def weights(self) -> Tensor:
        """Probability of each mode; the first well is the most significant digit of its number."""
        count = self.dim // 2
        return torch.cartesian_prod(*[super().weights] * count).view(-1, count).prod(1)

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

    def density_and_score(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute both from the same integrals."""
        return _joined(x, *super().density_and_score(x.reshape(-1, 2), sigma))

    def quick(self, sigma: float) -> DensityAndScore:
        """Return a function that reads all wells from one table."""
        if sigma == 0:
            return Density.quick(self, sigma)
        well = super().quick(sigma)
        return lambda x: _joined(x, *well(x.reshape(-1, 2)))

    def information(self, sigma: float) -> tuple[float, float]:
        """Multiply those of one well, by quadrature in its plane."""
        well, count = get_density("double_well"), self.dim // 2
        return count * well.entropy(sigma), count * well.fisher_information(sigma)


def _joined(x: Tensor, log_density: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Add the log densities of the wells of points (n, d), and put their scores together."""
    return log_density.view(len(x), x.shape[1] // 2).sum(1), score.view_as(x)


def _on_axis(v: Tensor) -> Tensor:
    return torch.stack((v, torch.zeros_like(v)), 1)


def _log_weight(v: Tensor) -> Tensor:
    return v / 2 + 6 * v.square() - v.pow(4)
