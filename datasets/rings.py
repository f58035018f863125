"""Four concentric rings."""

import math

import torch
from torch import Tensor

from . import datasets
from .base import Density
from .mixture import mean_slope


class Circles(Density):
    """Equally likely circles of the given radii around the origin, blurred by N(0, noise² I).

    With t² = noise² + sigma² and r = |x|, a circle of radius R has
    log p = -log(2πt²) - (r - R)²/(2t²) + log i0e(rR/t²), i0e the scaled Bessel function.
    """

    def __init__(self, radii: tuple[float, ...], noise: float) -> None:
        self.radii = torch.tensor(radii, dtype=torch.float64)
        self.noise = noise

    @property
    def weights(self) -> Tensor:
        """Probability of each circle."""
        return torch.full_like(self.radii, 1 / len(self.radii))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw a circle, an angle, then the blur."""
        radius = self.radii[torch.randint(len(self.radii), (n,), generator=generator)]
        angle = 2 * math.pi * torch.rand(n, dtype=torch.float64, generator=generator)
        blur = torch.randn(n, 2, dtype=torch.float64, generator=generator)
        circle = torch.stack((angle.cos(), angle.sin()), -1)
        return radius[:, None] * circle + self.noise * blur

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        """Compute the mixture of the circles, in the log domain."""
        return torch.logsumexp(self._circles(x, sigma)[0], -1)

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Compute the score: see ``density_and_score``."""
        return self.density_and_score(x, sigma)[1]

    def density_and_score(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Compute the score x [Σ q R²/t² · I1(z)/(z I0(z)) - 1]/t², q the share of each circle."""
        logits, z, bessel = self._circles(x, sigma)
        variance: float = self.noise**2 + sigma**2
        # I1(z)/(z I0(z)) is 1/2 - z²/16 + O(z⁴) at the origin, where the quotient is 0/0.
        safe = z.clamp(min=1e-4)
        quotient = torch.special.i1e(safe) / (safe * bessel)
        ratio = torch.where(z < 1e-4, 0.5 - z.square() / 16, quotient)

        def slope(share: Tensor) -> Tensor:
            pull = (share * ratio * self.radii.square()).sum(-1, keepdim=True) / variance
            return x * (pull - 1) / variance

        return mean_slope(logits, slope)

    def assign(self, x: Tensor) -> Tensor:
        """Assign each point to the circle of the nearest radius."""
        r: Tensor = self._points(x).norm(dim=-1, keepdim=True)
        return (r - self.radii).abs().argmin(-1)

    def _circles(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
        """The log density of each circle, z = rR/t² and i0e(z), each of shape (n, circles)."""
        variance: float = self.noise**2 + sigma**2
        r: Tensor = x.norm(dim=-1, keepdim=True)
        z = r * self.radii / variance
        bessel = torch.special.i0e(z)
        constant = math.log(2 * math.pi * variance * len(self.radii))
        return bessel.log() - (r - self.radii).square() / (2 * variance) - constant, z, bessel


@datasets.register("rings")
class Rings(Circles):
    """Four concentric circles of radius 0.75, 1.5, 2.25 and 3, blurred by noise 0.08."""

    def __init__(self) -> None:
        super().__init__((3.0, 2.25, 1.5, 0.75), noise=0.08)
