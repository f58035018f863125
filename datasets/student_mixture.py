"""Heavy tails."""

import math

import torch
from torch import Tensor

from . import datasets
from .base import Density
from .errors import UsageError
from .mixture import nearest

# Of the logarithm of the precision: the error of the trapezoidal rule is about 1e-12.
_STEP, _STEP_IN_WIDTHS = 0.25, 0.68
# Points at this distance still find the precisions that make up their density.
_FARTHEST = 1e4
# The share of the mass beyond the quadrature rule in the plane, and where its steps grow.
_LOST, _BEND = 1e-10, 0.02
_ROWS = 256


@datasets.register("student_mixture")
class StudentMixture(Density):
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
    noise = 0.22  # The density is smooth over a little more.

    def __init__(self, *, dof: int = 3) -> None:
        if isinstance(dof, bool) or not isinstance(dof, int) or not 2 <= dof <= 30:
            raise UsageError(f"dof = {dof!r}: it must be an integer from 2 to 30")
        self.dof = dof
        side = torch.tensor([-2.5, 2.5], dtype=torch.float64)
        self.centres = torch.cartesian_prod(side, side)
        # A tail of e^-37 on either side of the precisions of near and far points.
        low = -2 * math.log(_FARTHEST / self.scale) - 74 / (self.dof + 2)
        half = self.dof / 2
        step = min(_STEP, _STEP_IN_WIDTHS / math.sqrt(half + 1))
        log_precision = torch.arange(low, math.log(90), step, dtype=torch.float64)
        self.precision = log_precision.exp()
        self.log_share = half * (log_precision - self.precision + math.log(half))
        self.log_share += math.log(step) - math.lgamma(half)

    @property
    def weights(self) -> Tensor:
        """Probability of each component: 0.1, 0.2, 0.3, 0.4."""
        return torch.arange(1, 5, dtype=torch.float64) / 10

    def assign(self, x: Tensor) -> Tensor:
        """Assign each point to the nearest centre."""
        return nearest(self._points(x), self.centres)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw a component, a normal point, and its precision as a mean of squared normals."""
        chosen = torch.rand(n, dtype=torch.float64, generator=generator)
        chosen = torch.bucketize(chosen, self.weights.cumsum(0)[:-1], right=True)
        normal = torch.randn(n, 2, dtype=torch.float64, generator=generator)
        squares = torch.randn(n, self.dof, dtype=torch.float64, generator=generator).square()
        return self.centres[chosen] + self.scale * normal / squares.mean(1, keepdim=True).sqrt()

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Add up the components."""
        return torch.cat([self._parts(part, sigma)[0].logsumexp(1) for part in x.split(_ROWS)])

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Average the slopes of the components, weighted by their shares of the density at x."""
        slopes = []
        for part in x.split(_ROWS):
            log_density, rate = self._parts(part, sigma)
            pull = log_density.softmax(1) * rate
            slopes.append((pull[:, :, None] * (self.centres - part[:, None])).sum(1))
        return torch.cat(slopes)

    def _parts(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Log weight and density of each component, and its score over centre - x: (n, 4) both."""
        square = (x[:, None] - self.centres).square().sum(2)
        spread = self.scale**2
        if sigma == 0:
            whole = square + self.dof * spread
            log_density = -(self.dof / 2 + 1) * (whole / (self.dof * spread)).log()
            log_density = log_density - math.log(2 * math.pi * spread)
            return self.weights.log() + log_density, (self.dof + 2) / whole
        variance = spread / self.precision + sigma**2
        logits = (
            self.log_share - (2 * math.pi * variance).log() - square[..., None] / (2 * variance)
        )
        highest = logits.detach().amax(2, keepdim=True)
        share = (logits - highest).exp()
        total = share.sum(2)
        return self.weights.log() + highest[..., 0] + total.log(), share @ (1 / variance) / total

    def mesh(self, sigma: float, step: float) -> tuple[Tensor, Tensor]:
        """Use steps that are even over the components and grow exponentially in the tails."""
        unit, fine = 1 + sigma, step * math.hypot(self.noise, sigma)
        reach = self.extent + self.scale * math.sqrt(self.dof) * _LOST ** (-1 / self.dof)
        cells = math.ceil(math.asinh(reach / (_BEND * unit)) * unit / fine)
        u = (torch.arange(-cells, cells, dtype=torch.float64) + 0.5) * (fine / unit)
        axis, weight = unit * (u + _BEND * u.sinh()), fine * (1 + _BEND * u.cosh())
        return torch.cartesian_prod(axis, axis), torch.cartesian_prod(weight, weight).prod(1)
