"""Annealed sequential Monte Carlo with Langevin moves."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import samplers
from .base import (
    MemberRandom,
    Model,
    Sampler,
    Samples,
    Setting,
    State,
    choose,
    langevin_odds,
    langevin_proposal,
    thinned,
    tweedie,
)

# Points evaluated at a time, so that their activations fit in the cache.
_ROWS = 4096

# Points simulated to draw the paths of a few: with fewer, weights are too uneven.
_POPULATION = 1000

# Share of accepted proposals that step sizes are tuned for: the optimum of Metropolis-adjusted
# Langevin dynamics (Roberts and Rosenthal 1998).
_ACCEPTANCE = 0.574

_HALVINGS = 40


@samplers.register("smc_langevin")
@dataclass(frozen=True)
class SMCLangevin(Sampler):
    """Weighted, resampled points from a uniform box to exp(-E): gives each mode its mass.

    Annealed sequential Monte Carlo (Neal 2001; Del Moral, Doucet and Jasra 2006): points start
    uniformly in the box and follow the densities exp(-βE) on it from β = 0 to 1. Each β is the
    largest at which the effective sample size (Σw)²/Σw² falls by no more than the factor ``ess``
    (Jasra et al. 2011). Points are resampled systematically when the effective sample size falls
    below n/2, and at β = 1. At every β they make Langevin proposals that are accepted or rejected
    (as in ``mala``); the step size is tuned to the acceptance. Needs an energy. Unlike
    ``langevin`` it has no bias from the start: the mass of a mode is that of the model, up to the
    noise of n weighted points.

    Attributes:
        steps: Largest number of proposals per point; the last is at β = 1. Each costs one
            evaluation of energy and score.
        moves: Proposals at each β.
        ess: Least ratio of the effective sample sizes after and before a change of β.
        box: Points start uniformly within ±box of the middle of the data, and stay there.
        denoise: Whether to end with the mean of the clean point, for models of noisy data.
    """

    steps: int = 100
    moves: int = 2
    ess: float = 0.98
    box: float = 8.0
    denoise: bool = False

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it needs an energy: network.kind = "energy"'

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        never = torch.full((rng.members,), -1, device=rng.device)
        if n == 0:
            return Samples(rng.uniform(0, model.dim), torch.zeros_like(never), never)
        with torch.no_grad():
            swarm = self._run(model, n, rng)
            points = tweedie(model, swarm.points, 0.0) if self.denoise else swarm.points
        lost = (~points.isfinite().all(-1)).sum(1)
        return Samples(points, lost, never, swarm.acceptance(), swarm.log_z)

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor:
        places: list[Tensor] = []

        def visit(x: Tensor, parents: Tensor | None) -> None:
            if parents is not None:
                # A point inherits the path of its parent.
                places[:] = [_pick(place, parents) for place in places]
            places.append(x.clone())

        with torch.no_grad():
            self._run(model, max(n, _POPULATION), rng, visit)
        return thinned([place[:, :n] for place in places])

    def _run(
        self,
        model: Model,
        n: int,
        rng: MemberRandom,
        visit: Callable[[Tensor, Tensor | None], None] = lambda *_: None,
    ) -> "_Swarm":
        swarm = _Swarm(model, n, rng, self.box)
        visit(swarm.x, None)
        for left in range(self.steps // self.moves, 0, -1):
            if swarm.arrived:
                break
            parents = swarm.cool(self.ess, last=left == 1)
            if parents is not None:
                visit(swarm.x, parents)
            for _ in range(self.moves):
                swarm.move()
            visit(swarm.x, None)
        return swarm


class _Swarm:
    """Weighted points of K members, each member at its own temperature and step size.

    Sums over points are taken one member at a time, so that a member's numbers do not depend on
    the others.

    Attributes:
        log_z: Log of the mass of exp(-βE) in the box, up to the last resampling, shape (K,).
    """

    def __init__(self, model: Model, n: int, rng: MemberRandom, box: float) -> None:
        self._model = model
        self._rng = rng
        self._box = box
        self._state = self._look(rng.uniform(n, model.dim).mul_(2 * box).sub_(box))
        self._log_weights = torch.zeros_like(self._state.energy, dtype=torch.float64)
        volume = model.dim * math.log(2 * box)
        self.log_z = torch.full_like(self._log_weights[:, 0], volume)
        members = len(self.x)
        self._moving = torch.ones(members, dtype=torch.bool, device=self.x.device)
        self._beta = [0.0] * members
        self._step_size = [0.2 * box**2] * members
        self._accepted = [0.0] * members
        self._proposals = [0] * members

    @property
    def x(self) -> Tensor:
        """Points, shape (K, n, d)."""
        return self._state.x

    @property
    def arrived(self) -> bool:
        """Whether every member is at β = 1."""
        return all(beta == 1.0 for beta in self._beta)

    @property
    def points(self) -> Tensor:
        """Points, NaN where the energy is not finite, shape (K, n, d)."""
        return self.x.masked_fill(self._state.energy.isinf()[..., None], torch.nan)

    def acceptance(self) -> Tensor:
        """Return the share of accepted proposals, shape (K,)."""
        shares = zip(self._accepted, self._proposals, strict=True)
        return torch.tensor([a / max(p, 1) for a, p in shares], device=self.x.device)

    def cool(self, ess: float, *, last: bool) -> Tensor | None:
        """Raise β and weight the points; resample members whose weights are uneven.

        Returns:
            Number of each point's parent, shape (K, n); None if no point was replaced.
        """
        n = self.x.shape[1]
        # A member that has moved at β = 1 is finished, even if others are not.
        self._moving = torch.tensor([beta < 1.0 for beta in self._beta], device=self.x.device)
        heights = self._rng.uniform(1).double()
        parents = torch.arange(n, device=self.x.device).repeat(len(self.x), 1)
        for k, beta in enumerate(self._beta):
            if beta == 1.0:
                continue
            energy, weights = self._state.energy[k].double(), self._log_weights[k]
            following = 1.0 if last else _following(weights, energy, beta, ess)
            weights -= (following - beta) * energy
            self._beta[k] = following
            if following == 1.0 or _effective(weights) < 0.5 * n:
                parents[k] = _systematic(weights, heights[k])
                self.log_z[k] += weights.logsumexp(0) - math.log(n)
                weights.zero_()
        if bool((parents == torch.arange(n, device=self.x.device)).all()):
            return None
        x, energy, score = self._state
        self._state = State(_pick(x, parents), energy.gather(1, parents), _pick(score, parents))
        return parents

    def move(self) -> None:
        """Propose a Langevin step for every point, and accept or reject it."""
        # All members draw both, so that random streams do not depend on temperatures.
        noise, level = self._rng.normal_like(self.x), self._rng.uniform(self.x.shape[1]).log()
        beta = self.x.new_tensor(self._beta)[:, None, None]
        size = self.x.new_tensor(self._step_size)[:, None, None]
        here = self._state
        there = self._look(langevin_proposal(here, noise, size, beta))
        odds = langevin_odds(here, there, noise, size, beta)
        inside = (there.x.abs() <= self._box).all(-1) & self._moving[:, None]
        yes = inside & (level < beta[..., 0] * (here.energy - there.energy) + odds)
        self._state = choose(yes, there, here)
        for k, accepted in enumerate(yes):
            if not self._moving[k]:
                continue
            share = int(accepted.sum()) / accepted.numel()
            self._accepted[k] += share
            self._proposals[k] += 1
            self._step_size[k] *= math.exp(share - _ACCEPTANCE)

    def _look(self, x: Tensor) -> State:
        """Evaluate points; energies that are not finite are infinite."""
        parts = [self._model.energy_and_score(rows) for rows in x.split(_ROWS, 1)]
        energies = [energy for energy, _ in parts if energy is not None]
        if len(energies) < len(parts):
            raise ValueError("smc_langevin needs an energy, which this model does not have")
        energy, score = torch.cat(energies, 1), torch.cat([score for _, score in parts], 1)
        lawful = energy.isfinite() & score.isfinite().all(-1)
        return State(x, energy.where(lawful, math.inf), score.where(lawful[..., None], 0.0))


def _effective(log_weights: Tensor) -> float:
    """Return the effective sample size (Σw)²/Σw² of log weights, shape (n,)."""
    weights = torch.softmax(log_weights, 0)
    return 1.0 / float(weights.square().sum())


def _following(log_weights: Tensor, energy: Tensor, beta: float, ess: float) -> float:
    """Find the largest β up to 1 that keeps a share ``ess`` of the effective sample size."""
    goal = ess * _effective(log_weights)

    def enough(following: float) -> bool:
        return _effective(log_weights - (following - beta) * energy) >= goal

    if enough(1.0):
        return 1.0
    low, high = beta, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if enough(middle) else (low, middle)
    return high


def _systematic(log_weights: Tensor, height: Tensor) -> Tensor:
    """Draw parents (n,) in proportion to weights with one uniform number (Kitagawa 1996)."""
    n = len(log_weights)
    cumulative = torch.softmax(log_weights, 0).cumsum(0)
    levels = (torch.arange(n, device=height.device) + height) / n
    return torch.searchsorted(cumulative, levels * cumulative[-1]).clamp_(max=n - 1)


def _pick(x: Tensor, parents: Tensor) -> Tensor:
    """Select points from (K, n, d) by their numbers (K, n)."""
    return x.gather(1, parents[..., None].expand(-1, -1, x.shape[-1]))
