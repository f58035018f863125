"""Naive Langevin dynamics."""

from dataclasses import dataclass

from .. import samplers
from .base import (
    Level,
    MemberRandom,
    Model,
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

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        return langevin_chains(model, n, rng, self.box, self._levels, denoise=self.denoise)

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        n, levels = start.shape[1], self._levels
        return langevin_chains(model, n, rng, 0.0, levels, denoise=self.denoise, start=start)

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        return langevin_paths(model, n, rng, self.box, self._levels)

    @property
    def _levels(self) -> list[Level]:
        return [(0.0, self.step_size, self.steps)]
