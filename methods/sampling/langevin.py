"""Langevin dynamics, overdamped and underdamped."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .. import samplers
from .base import (
    Level,
    MemberRandom,
    Model,
    Move,
    Sampler,
    Samples,
    Tensor,
    checked_start,
    langevin_chains,
    langevin_paths,
)


@samplers.register("langevin")
@dataclass(frozen=True)
class Langevin(Sampler):
    """Unadjusted Langevin dynamics with a fixed step size from a uniform start.

    x ← x + (ε/2)·s(x) + √ε·z. Biased at any fixed ε, and it cannot cross empty regions: the start
    determines how many chains end in each mode. Compare with the row of the exact score.

    Attributes:
        step_size: ε.
        steps: Number T of steps.
        box: Chains start uniformly within ±box of the middle of the data, in every coordinate.
        denoise: Whether to return the mean clean points, for models of noisy data.
        start: ``data``: chains start at fresh points of the data instead. The exact score keeps
            them, up to the bias of ε; a model that blurs or bends them loses them.
    """

    step_size: float = 0.01
    steps: int = 100
    box: float = 4.0
    denoise: bool = False
    start: str | None = None

    def __post_init__(self) -> None:
        checked_start(self.start)

    @property
    def evaluations(self) -> int:
        return self.steps + self.denoise

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        return self._run(model, n, rng, None)

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        return self._run(model, start.shape[1], rng, start)

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        return langevin_paths(model, n, rng, self.box, self._levels, self._begin)

    def _run(self, model: Model, n: int, rng: MemberRandom, start: Tensor | None) -> Samples:
        return langevin_chains(
            model, n, rng, self.box, self._levels,
            denoise=self.denoise, start=start, begin=self._begin,
        )  # fmt: skip

    @property
    def _begin(self) -> Callable[[], Move] | None:
        return None

    @property
    def _levels(self) -> list[Level]:
        return [(0.0, self.step_size, self.steps)]


@samplers.register("baoab")
@dataclass(frozen=True)
class BAOAB(Langevin):
    """Underdamped Langevin dynamics, whose points have a velocity, by the splitting BAOAB.

    dx = v dt, dv = (s(x) - γv) dt + √(2γ) dW with one score a step (Leimkuhler and Matthews 2013).
    On a Gaussian the variance of the points has no bias at any stable step size, h < 2 standard
    deviations; a step of size h moves points as far as one of ``langevin`` with ε = h².

    Attributes:
        step_size: h, a time.
        steps: Number of steps.
        box: Chains start uniformly within ±box of the middle of the data, in every coordinate.
        denoise: Whether to return the mean clean points, for models of noisy data.
        start: ``data``: chains start at fresh points of the data instead.
        friction: γ.
    """

    step_size: float = 0.1
    friction: float = 1.0

    @property
    def _begin(self) -> Callable[[], Move]:
        return lambda: _Underdamped(self.friction)


class _Underdamped:
    """BAOAB with the memory of a velocity."""

    def __init__(self, friction: float) -> None:
        self._friction = friction
        self._velocity: Tensor | None = None

    def __call__(
        self,
        model: Model,
        x: Tensor,
        sigma: float,
        step_size: float | Tensor,
        rng: MemberRandom,
    ) -> None:
        kick = step_size * model.score(x, sigma)
        if self._velocity is None:
            self._velocity = rng.normal_like(x)
            kick = 0.5 * kick
        # The half kicks at the end of one step and at the start of the next are one.
        velocity = self._velocity.add_(kick)
        keep = math.e ** (-self._friction * step_size)
        x.add_(0.5 * step_size * velocity)
        velocity.mul_(keep).add_((1 - keep**2) ** 0.5 * rng.normal_like(x))
        x.add_(0.5 * step_size * velocity)
