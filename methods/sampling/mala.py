"""Metropolis-adjusted Langevin algorithm."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import samplers
from .base import MemberRandom, Model, Sampler, Samples, Setting, collect, thinned, tweedie


@samplers.register("mala")
@dataclass(frozen=True)
class MALA(Sampler):
    """Langevin steps that are accepted or refused: no bias at any step size, but needs an energy.

    Proposals x' = x + (ε/2)·s(x) + √ε·z are accepted with probability
    min(1, exp(E(x) - E(x')) q(x|x')/q(x'|x)), q the density of a proposal (Roberts and Tweedie
    1996). Like any local sampler it does not cross empty regions.

    Attributes:
        step_size: ε.
        steps: Number T of proposals.
        box: Chains start uniformly in [-box, box]^d.
        denoise: Whether to end with the mean of the clean point, for models of noisy data.
    """

    step_size: float = 0.02
    steps: int = 200
    box: float = 4.0
    denoise: bool = False

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it needs an energy: network.kind = "energy"'

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        accepted = torch.zeros(rng.members, device=rng.device)

        def run(size: int) -> tuple[Tensor, Tensor]:
            x, taken = self._chains(model, size, rng)
            accepted.add_(taken)
            never = torch.full((rng.members,), -1, device=rng.device)
            return (tweedie(model, x, 0.0) if self.denoise else x), never

        samples = collect(model, n, rng, run)
        return samples._replace(acceptance=accepted / max(1, n * self.steps))

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        places: list[Tensor] = []
        with torch.no_grad():
            end, _ = self._chains(model, n, rng, places.append)
        return thinned([*places, end])

    def _chains(
        self,
        model: Model,
        size: int,
        rng: MemberRandom,
        visit: Callable[[Tensor], None] = lambda _: None,
    ) -> tuple[Tensor, Tensor]:
        x = rng.uniform(size, model.dim).mul_(2 * self.box).sub_(self.box)
        energy, score = _look(model, x)
        taken = torch.zeros(x.shape[0], device=x.device)
        half, root = 0.5 * self.step_size, self.step_size**0.5
        for _ in range(self.steps):
            visit(x)
            noise = rng.normal_like(x)
            there = x + half * score + root * noise
            energy_there, score_there = _look(model, there)
            # (x - x' - ε/2 s(x'))/√ε: the noise that the way back would have needed.
            back = noise + (score + score_there).mul_(half / root)
            ways = 0.5 * (noise.square() - back.square()).sum(-1)
            log_ratio = energy - energy_there + ways
            # Comparing this way round refuses proposals whose energy is no number.
            yes = rng.uniform(size).log() < log_ratio
            taken += yes.sum(1)
            x = torch.where(yes.unsqueeze(-1), there, x)
            score = torch.where(yes.unsqueeze(-1), score_there, score)
            energy = torch.where(yes, energy_there, energy)
        return x, taken


def _look(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    energy, score = model.energy_and_score(x)
    if energy is None:
        raise ValueError("mala needs an energy, which this model has not")
    return energy, score
