"""Metropolis-adjusted Langevin algorithm."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import samplers
from .base import (
    CHUNK,
    MemberRandom,
    Model,
    Sampler,
    Samples,
    Setting,
    checked_start,
    collect,
    thinned,
    tweedie,
    uniform,
)


@samplers.register("mala")
@dataclass(frozen=True)
class MALA(Sampler):
    """Langevin steps that are accepted or rejected: no bias at any step size, but needs an energy.

    Proposals x' = x + (ε/2)·s(x) + √ε·z are accepted with probability
    min(1, exp(E(x) - E(x')) q(x|x')/q(x'|x)), q the density of a proposal (Roberts and Tweedie
    1996). Like any local sampler it does not cross empty regions.

    Attributes:
        step_size: ε.
        steps: Number T of proposals.
        box: Chains start uniformly within ±box of the middle of the data, in every coordinate.
        denoise: Whether to return the mean clean points, for models of noisy data.
        start: ``data``: chains start at fresh points of the data instead.
    """

    step_size: float = 0.02
    steps: int = 200
    box: float = 4.0
    denoise: bool = False
    start: str | None = None

    def __post_init__(self) -> None:
        checked_start(self.start)

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it needs an energy: network.kind = "energy"'

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        return self._sample(model, n, rng, lambda size: uniform(model, size, rng, self.box))

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        chunks = iter(start.split(CHUNK, 1))
        return self._sample(model, start.shape[1], rng, lambda _: next(chunks))

    def _sample(
        self, model: Model, n: int, rng: MemberRandom, first: Callable[[int], Tensor]
    ) -> Samples:
        accepted = torch.zeros(rng.members, device=rng.device)

        def run(size: int) -> tuple[Tensor, Tensor]:
            x, accepted_now = self._chains(model, first(size), rng)
            accepted.add_(accepted_now)
            never = torch.full((rng.members,), -1, device=rng.device)
            return (tweedie(model, x, 0.0) if self.denoise else x), never

        samples = collect(model, n, rng, run)
        return samples._replace(acceptance=accepted / max(1, n * self.steps))

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        places: list[Tensor] = []
        with torch.no_grad():
            end, _ = self._chains(model, uniform(model, n, rng, self.box), rng, places.append)
        return thinned([*places, end])

    def _chains(
        self,
        model: Model,
        x: Tensor,
        rng: MemberRandom,
        visit: Callable[[Tensor], None] = lambda _: None,
    ) -> tuple[Tensor, Tensor]:
        size = x.shape[1]
        energy, score = _energy_and_score(model, x)
        accepted = torch.zeros(x.shape[0], device=x.device)
        half, root = 0.5 * self.step_size, self.step_size**0.5
        for _ in range(self.steps):
            visit(x)
            noise = rng.normal_like(x)
            proposal = x + half * score + root * noise
            new_energy, new_score = _energy_and_score(model, proposal)
            # (x - x' - ε/2 s(x'))/√ε: the noise of the reverse step.
            back = noise + (score + new_score).mul_(half / root)
            log_q_ratio = 0.5 * (noise.square() - back.square()).sum(-1)
            log_ratio = energy - new_energy + log_q_ratio
            # In this form the comparison rejects proposals whose energy is NaN.
            accept = rng.uniform(size).log() < log_ratio
            accepted += accept.sum(1)
            x = torch.where(accept.unsqueeze(-1), proposal, x)
            score = torch.where(accept.unsqueeze(-1), new_score, score)
            energy = torch.where(accept, new_energy, energy)
        return x, accepted


def _energy_and_score(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    energy, score = model.energy_and_score(x)
    if energy is None:
        raise ValueError("mala needs an energy, and this model has none: use an energy network")
    return energy, score
