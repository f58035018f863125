"""Heavy tails."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from . import datasets
from .base import DensityAndScore
from .errors import require_within
from .mixture import MeanSlope, Mixture, mean_slope
from .spline import Spline

# Step in the logarithm of the precision: the error of the trapezoidal rule is about 1e-12.
_STEP, _STEP_IN_WIDTHS = 0.25, 0.68
# Points at this distance still find the precisions that make up their density.
_FARTHEST = 1e4
# The share of the mass beyond the quadrature rule in the plane, and where its steps grow.
_LOST, _BEND = 1e-10, 0.02
_ROWS = 256
# Step of the table: errors are about 1e-8.
_CELL = 1 / 64


@datasets.register("student_mixture")
class StudentMixture(Mixture):
    """Four Student t of scale 0.5 at (±2.5, ±2.5), with weights 0.1 to 0.4: heavy tails.

    A Student t is a Gaussian whose precision over scale^-2 follows Gamma(dof/2, dof/2). So p_sigma
    is an integral of Gaussians over the logarithm of the precision, each with sigma² added to its
    variance; at sigma = 0 it has a closed form.

    Args:
        dof: Degrees of freedom, 2 to 30. Densities fall as r^-(dof + 2); at 2 variances are
            infinite.
    """

    extent = 8.0
    scale = 0.5

    def __init__(self, *, dof: int = 3) -> None:
        require_within("dof", dof, 2, 30)
        side = torch.tensor([-2.5, 2.5], dtype=torch.float64)
        # The noise is the length over which the density is smooth, a little less than it is.
        super().__init__(torch.cartesian_prod(side, side), (0.1, 0.2, 0.3, 0.4), noise=0.22)
        self.dof, half = dof, dof / 2
        # A tail of e^-37 on either side of the precisions of near and far points.
        low = -2 * math.log(_FARTHEST / self.scale) - 37 / (half + 1)
        step = min(_STEP, _STEP_IN_WIDTHS / math.sqrt(half + 1))
        log_precision = torch.arange(low, math.log(90), step, dtype=torch.float64)
        self.precision = log_precision.exp()
        self.log_share = half * (log_precision - self.precision + math.log(half))
        self.log_share += math.log(step) - math.lgamma(half)

    def scatter(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Move each point of ``x`` (n, 2) by a normal one over the root of a mean of squares."""
        normal = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        squares = torch.randn(len(x), self.dof, dtype=x.dtype, generator=generator).square()
        return x + self.scale * normal / squares.mean(1, keepdim=True).sqrt()

    def _parts(self, x: Tensor, sigma: float) -> Iterator[tuple[Tensor, MeanSlope]]:
        for part in x.split(_ROWS):
            gap = self.centres.T - part[:, :, None]
            yield self.mixed(gap, *self.radial(gap.square().sum(1), sigma))

    def mixed(self, gap: Tensor, log_density: Tensor, rate: Tensor) -> tuple[Tensor, MeanSlope]:
        """Weight the components: see ``radial``; ``gap`` leads to their centres, (n, 2, 4)."""
        slope = rate[:, None] * gap
        return self.weights.log() + log_density, lambda share: (share[:, None] * slope).sum(-1)

    def quick(self, sigma: float) -> DensityAndScore:
        """Return a function that reads ``radial`` from a table."""
        if sigma == 0:
            return super().quick(sigma)
        # Even steps of u, r = unit·sinh(u), are small at the centre and grow with r in the tails.
        unit = math.hypot(self.noise, sigma)
        last = math.ceil(math.asinh(_FARTHEST / unit) / _CELL)
        u = _CELL * torch.arange(-3, last + 1, dtype=torch.float64)
        log_density, rate = self.radial((unit * u.sinh()).square(), sigma)
        table = Spline(float(u[0]), _CELL, torch.stack((log_density, rate.log()), 1))

        def both(x: Tensor) -> tuple[Tensor, Tensor]:
            gap = self.centres.T - x[:, :, None]
            log_density, log_rate = table((gap.square().sum(1).sqrt() / unit).asinh())
            return mean_slope(*self.mixed(gap, log_density, log_rate.exp()))

        return both

    def radial(self, square: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute the log density of a smoothed Student t, and its slope over the distance.

        ``square`` are squared distances from its centre, of any shape.
        """
        spread = self.scale**2
        if sigma == 0:
            whole = square + self.dof * spread
            log_density = -(self.dof / 2 + 1) * (whole / (self.dof * spread)).log()
            return log_density - math.log(2 * math.pi * spread), (self.dof + 2) / whole
        variance = spread / self.precision + sigma**2
        logits = self.log_share - (2 * math.pi * variance).log()
        logits = logits - square[..., None] / (2 * variance)
        highest = logits.detach().amax(-1, keepdim=True)
        share = (logits - highest).exp()
        total = share.sum(-1)
        return highest[..., 0] + total.log(), share @ (1 / variance) / total

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Use steps that are even over the components and grow exponentially in the tails."""
        unit, fine = 1 + sigma, step * self.tau(sigma)
        reach = self.extent + self.scale * math.sqrt(self.dof) * _LOST ** (-1 / self.dof)
        cells = math.ceil(math.asinh(reach / (_BEND * unit)) * unit / fine)
        u = (torch.arange(-cells, cells, dtype=torch.float64) + 0.5) * (fine / unit)
        axis, weight = unit * (u + _BEND * u.sinh()), fine * (1 + _BEND * u.cosh())
        return torch.cartesian_prod(axis, axis), torch.cartesian_prod(weight, weight).prod(1)
