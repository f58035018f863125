"""Annealed Langevin dynamics."""

from dataclasses import dataclass

from .. import samplers
from .base import (
    Level,
    MemberRandom,
    Model,
    Sampler,
    Samples,
    Tensor,
    langevin_chains,
    langevin_paths,
)


@samplers.register("annealed_langevin")
@dataclass(frozen=True)
class AnnealedLangevin(Sampler):
    """Langevin dynamics through falling noise levels, each with its own step size and noise.

    At level σ_i the step size is α_i = ε·σ_i²/σ_L² and the noise √α_i·z (Song and Ermon 2019,
    algorithm 1). Models of a single level use the same falling step sizes.

    Attributes:
        step_size: ε, the step size of the last level; ε/σ_L² below 0.6 keeps every level stable.
        steps: Steps per level.
        levels: Number L of levels.
        sigma_max: Noise of the first level.
        sigma_min: Noise σ_L of the last level; the samples follow the density smoothed by it.
        box: Chains start uniformly within ±box of the middle of the data, in every coordinate.
        denoise: Whether to remove the noise of the last level from the samples at the end.
    """

    step_size: float = 0.002
    steps: int = 20
    levels: int = 10
    sigma_max: float = 3.0
    sigma_min: float = 0.1
    box: float = 4.0
    denoise: bool = False

    @property
    def evaluations(self) -> int:
        return self.levels * self.steps + self.denoise

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        return langevin_chains(model, n, rng, self.box, self._schedule, denoise=self.denoise)

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        return langevin_paths(model, n, rng, self.box, self._schedule)

    @property
    def _schedule(self) -> list[Level]:
        span = max(self.levels - 1, 1)
        ratio = (self.sigma_min / self.sigma_max) ** (1 / span)
        sigmas = [self.sigma_min / ratio ** (span - i) for i in range(self.levels)]
        if self.levels == 1:
            sigmas = [self.sigma_min]
        return [(s, self.step_size * (s / self.sigma_min) ** 2, self.steps) for s in sigmas]
