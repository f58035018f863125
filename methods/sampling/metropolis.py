"""Chains whose steps are accepted or rejected: no bias at any step size, but they need an energy.

A sampler here is a proposal; the comparison of energies is the same for all.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from .. import samplers
from .base import (
    CHUNK,
    MemberRandom,
    Model,
    Sampler,
    Samples,
    Setting,
    State,
    checked_start,
    choose,
    collect,
    langevin_odds,
    langevin_proposal,
    thinned,
    tweedie,
    uniform,
)


@dataclass(frozen=True)
class Metropolis(Sampler):
    """Chains of proposals x', each accepted or rejected so that exp(-E) is invariant.

    Attributes:
        step_size: Size of a proposal.
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

    @property
    def evaluations(self) -> int:
        return self.steps + 1 + self.denoise

    @abstractmethod
    def move(self, model: Model, here: State, rng: MemberRandom) -> tuple[State, Tensor]:
        """Make a proposal from each point; returns the states and what was accepted, (K, B)."""

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        return self._sample(model, n, rng, lambda size: uniform(model, size, rng, self.box))

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        chunks = iter(start.split(CHUNK, 1))
        return self._sample(model, start.shape[1], rng, lambda _: next(chunks))

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        places: list[Tensor] = []
        with torch.no_grad():
            end, _ = self._chains(model, uniform(model, n, rng, self.box), rng, places.append)
        return thinned([*places, end])

    def _sample(
        self, model: Model, n: int, rng: MemberRandom, first: Callable[[int], Tensor]
    ) -> Samples:
        share = torch.zeros(rng.members, device=rng.device)

        def run(size: int) -> tuple[Tensor, Tensor]:
            x, accepted = self._chains(model, first(size), rng)
            share.add_(accepted * size / max(n, 1))
            never = torch.full((rng.members,), -1, device=rng.device)
            return (tweedie(model, x, 0.0) if self.denoise else x), never

        return collect(model, n, rng, run)._replace(acceptance=share)

    def _chains(
        self,
        model: Model,
        x: Tensor,
        rng: MemberRandom,
        visit: Callable[[Tensor], None] = lambda _: None,
    ) -> tuple[Tensor, Tensor]:
        """Run chains from points (K, B, d): their ends, and the share of accepted proposals."""
        state = look(model, self._spread(x))
        share = torch.zeros(x.shape[0], device=x.device)
        for _ in range(self.steps):
            visit(state.x[:, : x.shape[1]])
            state, accepted = self.move(model, state, rng)
            share += accepted.float().mean(1) / self.steps
        # A view would keep the points of all replicas in memory.
        return state.x[:, : x.shape[1]].clone(), share

    def _spread(self, x: Tensor) -> Tensor:
        """Return the points of all replicas of chains that start at ``x``, which come first."""
        return x


def look(model: Model, x: Tensor) -> State:
    """Evaluate energy and score at points (K, B, d).

    Raises:
        ValueError: The model has no energy.
    """
    energy, score = model.energy_and_score(x)
    if energy is None:
        raise ValueError(
            "this sampler needs an energy, and this model has none: use an energy network"
        )
    return State(x, energy, score)


def langevin_move(
    model: Model, here: State, rng: MemberRandom, size: float | Tensor, beta: float | Tensor = 1.0
) -> tuple[State, Tensor]:
    """Make Langevin proposals for exp(-βE), and accept or reject them."""
    noise = rng.normal_like(here.x)
    there = look(model, langevin_proposal(here, noise, size, beta))
    flat = beta[..., 0] if isinstance(beta, Tensor) else beta
    log_ratio = flat * (here.energy - there.energy)
    log_ratio = log_ratio + langevin_odds(here, there, noise, size, beta)
    # In this form the comparison rejects proposals whose energy is NaN.
    accept = rng.uniform(here.x.shape[1]).log() < log_ratio
    return choose(accept, there, here), accept


@samplers.register("mala")
@dataclass(frozen=True)
class MALA(Metropolis):
    """Langevin steps that are accepted or rejected: no bias at any step size, but needs an energy.

    Proposals x' = x + (ε/2)·s(x) + √ε·z of step size ε are accepted with probability
    min(1, exp(E(x) - E(x')) q(x|x')/q(x'|x)), q the density of a proposal (Roberts and Tweedie
    1996). Like any local sampler it does not cross empty regions.
    """

    def move(self, model: Model, here: State, rng: MemberRandom) -> tuple[State, Tensor]:
        """Propose a Langevin step."""
        return langevin_move(model, here, rng, self.step_size)


@samplers.register("hmc")
@dataclass(frozen=True)
class HMC(Metropolis):
    """Hamiltonian Monte Carlo: leapfrog trajectories that are accepted or rejected.

    A trajectory starts with a normal momentum p and is accepted with probability
    min(1, exp(H - H')), H = E(x) + |p|²/2 (Duane et al. 1987; Neal 2011). Needs an energy.

    Attributes:
        step_size: Time h of a leapfrog step; stable below 2 standard deviations.
        leapfrogs: Leapfrog steps of a trajectory, one score each.
    """

    step_size: float = 0.15
    steps: int = 20
    leapfrogs: int = 10

    @property
    def evaluations(self) -> int:
        return self.steps * self.leapfrogs + 1 + self.denoise

    def move(self, model: Model, here: State, rng: MemberRandom) -> tuple[State, Tensor]:
        """Follow a trajectory."""
        first = rng.normal_like(here.x)
        momentum, there = first, here
        for _ in range(self.leapfrogs):
            half = momentum + 0.5 * self.step_size * there.score
            there = look(model, there.x + self.step_size * half)
            momentum = half + 0.5 * self.step_size * there.score
        kinetic = 0.5 * (first.square() - momentum.square()).sum(-1)
        accept = rng.uniform(here.x.shape[1]).log() < here.energy - there.energy + kinetic
        return choose(accept, there, here), accept


@samplers.register("parallel_tempering")
@dataclass(frozen=True)
class ParallelTempering(Metropolis):
    """Replicas of each chain at several temperatures, which exchange points: crosses empty regions.

    Replica r follows exp(-E/T_r) by the proposals of ``mala`` with step size ε·T_r; temperatures
    are even in log T from 1 to ``hottest``. After each proposal neighbours exchange their points
    with probability min(1, exp((β_r - β_r+1)(E_r - E_r+1))), β = 1/T, even pairs first, then the
    odd ones (Swendsen and Wang 1986; Geyer 1991). The points are those at T = 1. Needs an energy.

    Attributes:
        temperatures: Number of replicas; each costs as much as a chain of ``mala``.
        hottest: Largest temperature; modes that E separates by ΔE need one of about ΔE.
    """

    step_size: float = 0.05
    temperatures: int = 6
    hottest: float = 30.0

    @property
    def evaluations(self) -> int:
        return self.temperatures * (self.steps + 1) + self.denoise

    def move(self, model: Model, here: State, rng: MemberRandom) -> tuple[State, Tensor]:
        """Move all replicas, and let neighbours exchange their points."""
        chains = here.x.shape[1] // self.temperatures
        top = math.log(self.hottest) / max(self.temperatures - 1, 1)
        heats = (torch.arange(self.temperatures, device=here.x.device) * top).exp()
        wide = heats.repeat_interleave(chains)[:, None]
        here, accepted = langevin_move(model, here, rng, self.step_size * wide, 1 / wide)
        steps = (1 / heats).diff()[:, None]
        for first in (0, 1):
            gain = steps * here.energy.unflatten(1, (self.temperatures, chains)).diff(dim=1)
            swap = rng.uniform(*gain.shape[1:]).log() < gain
            swap[:, 1 - first :: 2] = False
            shift = pad(swap, (0, 0, 0, 1)).long() - pad(swap, (0, 0, 1, 0)).long()
            number = torch.arange(here.x.shape[1], device=here.x.device)
            here = _picked(here, number + chains * shift.flatten(1, 2))
        return here, accepted

    def _spread(self, x: Tensor) -> Tensor:
        return x.repeat(1, self.temperatures, 1)


def _picked(state: State, order: Tensor) -> State:
    wide = order[..., None].expand_as(state.x)
    energy = state.energy.gather(1, order)
    return State(state.x.gather(1, wide), energy, state.score.gather(1, wide))
