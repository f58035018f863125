"""Four concentric rings."""

import math

import torch
from torch import Tensor

from . import datasets
from .base import Density


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
        return torch.logsumexp(self._logits(x, sigma), -1)

    def gradient(self, x: Tensor, sigma: float) -> Tensor:
        """Compute x [Σ q R²/t² · I1(z)/(z I0(z)) - 1]/t², z = rR/t², q the share of each circle."""
        variance: float = self.noise**2 + sigma**2
        z = x.norm(dim=-1, keepdim=True) * self.radii / variance
        # I1(z)/(z I0(z)) is 1/2 - z²/16 + O(z⁴) at the origin, where the quotient is 0/0.
        safe = z.clamp(min=1e-4)
        quotient = torch.special.i1e(safe) / (safe * torch.special.i0e(safe))
        ratio = torch.where(z < 1e-4, 0.5 - z.square() / 16, quotient)
        share = torch.softmax(self._logits(x, sigma), -1)
        pull = (share * ratio * self.radii.square()).sum(-1, keepdim=True) / variance
        return x * (pull - 1) / variance

    def assign(self, x: Tensor) -> Tensor:
        """Assign each point to the circle of the nearest radius."""
        r: Tensor = self._points(x).norm(dim=-1, keepdim=True)
        return (r - self.radii).abs().argmin(-1)

    def _logits(self, x: Tensor, sigma: float) -> Tensor:
        variance: float = self.noise**2 + sigma**2
        r: Tensor = x.norm(dim=-1, keepdim=True)
        bessel: Tensor = torch.special.i0e(r * self.radii / variance).log()
        constant = math.log(2 * math.pi * variance * len(self.radii))
        return bessel - (r - self.radii).square() / (2 * variance) - constant


@datasets.register("rings")
class Rings(Circles):
    """Four concentric circles of radius 0.75, 1.5, 2.25 and 3, blurred by noise 0.08."""

    def __init__(self) -> None:
        super().__init__((3.0, 2.25, 1.5, 0.75), noise=0.08)
