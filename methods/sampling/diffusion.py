"""Samplers for models that know all noise levels: one loop from noise to data, a few numbers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .. import samplers
from .base import (
    MemberRandom,
    Model,
    Sampler,
    Samples,
    Setting,
    collect,
    langevin_step,
    thinned,
    tweedie,
)

Memory = tuple[Tensor, float]
"""What a multistep solver remembers of a step: the denoised points, and its length in log σ."""


@dataclass(frozen=True)
class NoiseToData(Sampler):
    """One loop over falling noise levels σ; its members differ in two class attributes.

    Points start as normal numbers of standard deviation σ_max. A step from σ to σ' < σ moves them
    along the slope dx/dσ = -σ·s(x, σ) (Song et al. 2021, equation 13), to σ' itself without noise,
    and with noise to σ'²/σ, from where noise leads back to σ'. Levels are those of Karras et al.
    2022, equation 5.

    Attributes:
        solver: Slope of a step: ``euler``, that at σ; ``heun``, the mean of those at both ends;
            ``multistep``, that of the denoised point, extrapolated from this and the last step.
        noise: Added variance: ``none``; ``ancestral``, (σ² - σ'²)·σ'²/σ²; ``full``, σ² - σ'².
        steps: Number of steps.
        sigma_max: First level; it should be large compared with the data.
        sigma_min: Last level; the samples follow the density smoothed by it.
        rho: Levels are even in σ^(1/rho), so steps get smaller towards σ_min.
        denoise: Whether to remove the noise of the last level from the samples at the end.
    """

    solver: ClassVar[Literal["euler", "heun", "multistep"]] = "euler"
    noise: ClassVar[Literal["none", "ancestral", "full"]] = "none"

    steps: int = 64
    sigma_max: float = 10.0
    sigma_min: float = 0.02
    rho: float = 7.0
    denoise: bool = False

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.levels else "it needs a score for every noise level, as of ncsn"

    @property
    def evaluations(self) -> int:
        return self.steps * (2 if self.solver == "heun" else 1) + self.denoise

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

    def levels(self, lowest: float) -> list[float]:
        """Compute ``steps`` + 1 noise levels from the first to ``lowest``."""
        high, low = self.sigma_max ** (1 / self.rho), lowest ** (1 / self.rho)
        inner = (high + i / self.steps * (low - high) for i in range(1, self.steps))
        return [self.sigma_max, *(level**self.rho for level in inner), lowest]

    def correct(self, model: Model, x: Tensor, level: float, rng: MemberRandom) -> Tensor:
        """Improve the points of a level before the next step."""
        return x

    def step(
        self, model: Model, x: Tensor, high: float, low: float, last: Memory | None = None
    ) -> tuple[Tensor, float, Memory | None]:
        """Move points from one level to a lower one, but for the noise.

        Returns:
            The points, the standard deviation of the noise to add, and ``last`` of the next step.
        """
        slope = model.score(x, high).mul_(-high)
        memory = None
        if self.solver == "multistep":
            # Algorithm 2 of Lu et al. 2022 (DPM-Solver++), in λ = -log σ.
            denoised, width = x - high * slope, math.log(high / low)
            if last is not None:
                slope -= (denoised - last[0]) * (0.5 * width / last[1] / high)
            memory = denoised, width
        end = low if self.noise == "none" else low**2 / high
        moved = x + (end - high) * slope
        if self.solver == "heun":
            slope.add_(model.score(moved, low), alpha=-low)
            moved = x + 0.5 * (low - high) * slope
        scale = {"none": 0.0, "ancestral": low / high, "full": 1.0}[self.noise]
        return moved, scale * math.sqrt(high**2 - low**2), memory

    def _flow(self, model: Model, size: int, rng: MemberRandom) -> Iterator[Tensor]:
        """The points at each level."""
        levels = self.levels(max(self.sigma_min, model.level))
        x = rng.normal(size, model.dim).mul_(levels[0])
        yield x
        last = None
        for high, low in pairwise(levels):
            x, noise, last = self.step(model, x, high, low, last)
            if noise:
                x.add_(rng.normal_like(x), alpha=noise)
            x = self.correct(model, x, low, rng)
            yield x


@samplers.register("euler")
@dataclass(frozen=True)
class Euler(NoiseToData):
    """The probability flow by Euler's method (DDIM; Song et al. 2021): of order 1, no noise."""


@samplers.register("heun")
@dataclass(frozen=True)
class Heun(NoiseToData):
    """The probability flow by Heun's method (Karras et al. 2022): of order 2, two scores a step."""

    solver = "heun"

    steps: int = 20


@samplers.register("pf_ode")
@samplers.register("dpmpp_2m")
@dataclass(frozen=True)
class DPMSolver(NoiseToData):
    """The probability flow by DPM-Solver++(2M) (Lu et al. 2022): of order 2, one score a step.

    The cheapest sampler here that is right, so it is also called ``pf_ode``.
    """

    solver = "multistep"

    steps: int = 16


@samplers.register("reverse_sde")
@dataclass(frozen=True)
class ReverseSDE(NoiseToData):
    """The reverse diffusion by Euler and Maruyama's method (Song et al. 2021, algorithm 2)."""

    noise = "full"


@samplers.register("ancestral")
@dataclass(frozen=True)
class Ancestral(NoiseToData):
    """Ancestral sampling: the noise of a step is that of the posterior (Ho et al. 2020)."""

    noise = "ancestral"


@samplers.register("pc")
@dataclass(frozen=True)
class PredictorCorrector(NoiseToData):
    """Predictor and corrector: steps of ``reverse_sde``, each with Langevin steps at its level.

    A Langevin step at level σ has the step size 4·(snr·σ)² (Song et al. 2021, algorithm 4, with the
    expected norm of the score of noise in place of that of a batch).

    Attributes:
        corrections: Langevin steps at each level, one score each.
        snr: Signal-to-noise ratio r of the Langevin steps.
    """

    noise = "full"

    corrections: int = 1
    snr: float = 0.16

    @property
    def evaluations(self) -> int:
        return self.steps * (1 + self.corrections) + self.denoise

    def correct(self, model: Model, x: Tensor, level: float, rng: MemberRandom) -> Tensor:
        """Make Langevin steps at the level."""
        for _ in range(self.corrections):
            langevin_step(model, x, level, 4 * (self.snr * level) ** 2, rng)
        return x
