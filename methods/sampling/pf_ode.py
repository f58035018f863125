"""Probability flow."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .. import samplers
from .base import MemberRandom, Model, Sampler, Samples, Setting, collect, thinned, tweedie


@samplers.register("pf_ode")
@dataclass(frozen=True)
class ProbabilityFlow(Sampler):
    """The deterministic flow from noise to data, for models that know all noise levels.

    dx/dσ = -σ·s(x, σ) from σ_max down (Song et al. 2021, equation 13; Karras et al. 2022,
    algorithm 1) by Heun's method, starting at normal points of standard deviation σ_max; every
    step evaluates two scores.

    Attributes:
        steps: Number of steps.
        sigma_max: First level; it should be large compared with the data.
        sigma_min: Last level; the samples follow the density smoothed by it.
        rho: Levels are even in σ^(1/rho), so steps get smaller towards σ_min.
        denoise: Whether to remove the noise of the last level from the samples at the end.
    """

    steps: int = 40
    sigma_max: float = 10.0
    sigma_min: float = 0.02
    rho: float = 7.0
    denoise: bool = False

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.levels else "it needs a score for every noise level, as of ncsn"

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        def run(size: int) -> tuple[Tensor, Tensor]:
            *_, x = self._flow(model, size, rng)
            last = max(self.sigma_min, model.level)
            return (
                tweedie(model, x, last) if self.denoise else x,
                torch.full((len(x),), -1, device=x.device),
            )

        return collect(model, n, rng, run)

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        with torch.no_grad():
            return thinned(list(self._flow(model, n, rng)))

    def _flow(self, model: Model, size: int, rng: MemberRandom) -> Iterator[Tensor]:
        """The points at each level."""
        levels = self.levels(max(self.sigma_min, model.level))
        x = rng.normal(size, model.dim).mul_(levels[0])
        yield x
        for high, low in pairwise(levels):
            slope = model.score(x, high).mul_(-high)
            predicted = x + (low - high) * slope
            x = x + 0.5 * (low - high) * slope.add_(model.score(predicted, low), alpha=-low)
            yield x

    def levels(self, lowest: float) -> list[float]:
        """Compute ``steps`` + 1 noise levels from the first to ``lowest``."""
        high, low = self.sigma_max ** (1 / self.rho), lowest ** (1 / self.rho)
        inner = (high + i / self.steps * (low - high) for i in range(1, self.steps))
        return [self.sigma_max, *(level**self.rho for level in inner), lowest]
