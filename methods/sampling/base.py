"""Base class of samplers, and the Langevin chains that several of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Model
from ..random import MemberRandom
from ..setting import Setting

# Samplers import the types of their signatures from here.
__all__ = [
    "Level",
    "MemberRandom",
    "Model",
    "Move",
    "Sampler",
    "Samples",
    "Setting",
    "State",
    "Tensor",
    "checked_start",
    "choose",
    "collect",
    "langevin_chains",
    "langevin_odds",
    "langevin_paths",
    "langevin_proposal",
    "langevin_step",
    "thinned",
    "tweedie",
    "uniform",
]

# Chains run in chunks of this size: activations then stay in the cache, and the noise of a chain
# does not depend on the number of chains after it.
CHUNK = 1000

PLACES = 100
"""Largest number of positions of a path."""

# A chain with a larger coordinate, for data of ordinary size, counts as diverged.
BEYOND = 1e6

Level = tuple[float, float | Tensor, int]

Move = Callable[[Model, Tensor, float, float | Tensor, MemberRandom], None]
"""Moves points (K, B, d), in their place, at a noise level and with a step size."""


class Samples(NamedTuple):
    """Points of a sampler.

    Attributes:
        points: Shape (K, n, d); chains that diverged hold NaN.
        lost: Number of diverged chains of each member, shape (K,).
        step: Step at which a member's first diverged chain was detected, or -1, shape (K,).
        acceptance: Share of accepted proposals, shape (K,); None without proposals.
        log_z: Estimate of log ∫ exp(-E), shape (K,): 0 for a normalised density; None of samplers
            that have none.
    """

    points: Tensor
    lost: Tensor
    step: Tensor
    acceptance: Tensor | None = None
    log_z: Tensor | None = None


class State(NamedTuple):
    """Points of chains, with what is known there.

    Attributes:
        x: Points, shape (K, B, d).
        energy: Energies, shape (K, B).
        score: Scores, shape (K, B, d).
    """

    x: Tensor
    energy: Tensor
    score: Tensor


class Sampler(ABC):
    """Turns a score into points; options are the constructor's keyword arguments.

    Fractional options may be tensors of shape (K, 1, 1), one value per member.

    Attributes:
        start: ``data`` for chains that start at fresh points of the data, which ask whether a
            model keeps them: ``sample_from`` then stands for ``sample``.
    """

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        """Return the reason why models of this setting cannot be sampled; None if they can."""
        return None

    start: str | None = None

    @property
    def evaluations(self) -> int | None:
        """Points per chain at which the score is evaluated; None if that is not known before.

        An energy that is evaluated together with the score is not counted.
        """
        return None

    @abstractmethod
    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        """Draw ``n`` points from each member of ``model``, without a graph."""

    def sample_from(self, model: Model, start: Tensor, rng: MemberRandom) -> Samples:
        """Run a chain from each point of ``start``, shape (K, n, d): see ``start``."""
        raise NotImplementedError

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor | None:
        """Return positions of ``n`` chains of each member, for figures: (K, places, n, d).

        From start to end, at most ``PLACES`` positions; chains and noise are those of ``sample``
        (before denoising). None for samplers without chains.
        """
        return None


def langevin_chains(
    model: Model,
    n: int,
    rng: MemberRandom,
    box: float,
    levels: list[Level],
    *,
    denoise: bool = False,
    start: Tensor | None = None,
    begin: Callable[[], Move] | None = None,
) -> Samples:
    """Run Langevin chains from a uniform start through a schedule of noise levels.

    Each step is x ← x + (ε/2)·s(x) + √ε·z (Welling and Teh 2011), unless ``begin`` is given.

    Args:
        model: Its score drives the chains.
        n: Number of chains per member.
        rng: Start points and noise.
        box: Chains start uniformly in [-box, box]^d.
        levels: For each level its sigma (an argument of the score), step size ε, number of steps.
        denoise: Whether to end with ``tweedie`` at the last level.
        start: Start points, shape (K, n, d), in place of the box.
        begin: Makes the move of a chunk of chains; it may have a memory of its last step.
    """
    chunks = None if start is None else iter(start.split(CHUNK, 1))

    def run(size: int) -> tuple[Tensor, Tensor]:
        first = uniform(model, size, rng, box) if chunks is None else next(chunks).clone()
        x, lost_at = _run_chunk(model, first, rng, levels, begin)
        return (tweedie(model, x, levels[-1][0]) if denoise else x), lost_at

    return collect(model, n, rng, run)


def collect(
    model: Model, n: int, rng: MemberRandom, run: Callable[[int], tuple[Tensor, Tensor]]
) -> Samples:
    """Draw samples in chunks.

    Args:
        model: Sampled model.
        n: Number of points per member.
        rng: Gives the number of members.
        run: Maps a number of points to points (K, size, d), and for each member the step at which
            its first chain diverged, or -1: (K,).
    """
    with torch.no_grad():
        parts = [run(min(CHUNK, n - start)) for start in range(0, n, CHUNK)]
    if not parts:
        empty = torch.zeros(rng.members, dtype=torch.long, device=rng.device)
        return Samples(rng.uniform(0, model.dim), empty, empty - 1)
    points = torch.cat([points for points, _ in parts], dim=1)
    bad = ~torch.isfinite(points).all(-1)
    never = torch.iinfo(torch.long).max
    steps = torch.stack([step.where(step >= 0, never) for _, step in parts]).amin(0)
    return Samples(points, bad.sum(1), steps.where(steps < never, -1))


def uniform(model: Model, n: int, rng: MemberRandom, box: float) -> Tensor:
    """Draw points uniformly in [-box, box]^d, shape (K, n, d)."""
    return rng.uniform(n, model.dim).mul_(2 * box).sub_(box)


def choose(accept: Tensor, there: State, here: State) -> State:
    """Select ``there`` where proposals are accepted, (K, B), and ``here`` elsewhere."""
    wide = accept[..., None]
    return State(
        torch.where(wide, there.x, here.x),
        torch.where(accept, there.energy, here.energy),
        torch.where(wide, there.score, here.score),
    )


def langevin_proposal(
    here: State, noise: Tensor, size: float | Tensor, beta: float | Tensor = 1.0
) -> Tensor:
    """Propose a Langevin step of size ε towards exp(-βE): shape (K, B, d).

    ``size`` and ``beta`` are numbers, or broadcast against the points.
    """
    proposal: Tensor = here.x + 0.5 * size * beta * here.score + size**0.5 * noise
    return proposal


def langevin_odds(
    here: State, there: State, noise: Tensor, size: float | Tensor, beta: float | Tensor = 1.0
) -> Tensor:
    """Compute log q(x|x')/q(x'|x) of Langevin proposals, shape (K, B)."""
    # (x - x' - ε/2 βs(x'))/√ε: the noise of the reverse proposal.
    back = noise + 0.5 * size**0.5 * beta * (here.score + there.score)
    odds: Tensor = 0.5 * (noise.square() - back.square()).sum(-1)
    return odds


def checked_start(start: str | None) -> None:
    """Refuse a start that is unknown.

    Raises:
        ValueError: It is neither None nor ``data``.
    """
    if start not in (None, "data"):
        raise ValueError(
            f'start = {start!r}: give "data", or leave it out to start uniformly in the box'
        )


def tweedie(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Compute the mean clean point given the noisy one, x + σ²s(x) (Robbins 1956; Efron 2011).

    This removes the noise from samples of p_sigma, but moves every point to a mean: structure of
    the data narrower than σ becomes narrower still. Points of models without noise are unchanged.

    Args:
        model: Model of the noisy data.
        x: Points of p_sigma, shape (K, B, d).
        sigma: Noise level passed to the model.
    """
    noise = model.noise(sigma)
    return x + noise**2 * model.score(x, sigma) if noise else x


def thinned(places: list[Tensor]) -> Tensor:
    """Select positions (K, n, d) evenly, with the first and the last: (K, places, n, d)."""
    last, count = len(places) - 1, min(PLACES, len(places)) - 1
    return torch.stack([places[round(i * last / max(count, 1))] for i in range(count + 1)], 1)


def langevin_paths(
    model: Model,
    n: int,
    rng: MemberRandom,
    box: float,
    levels: list[Level],
    begin: Callable[[], Move] | None = None,
) -> Tensor:
    """Run chains as ``langevin_chains`` does and return their positions, for ``Sampler.paths``."""
    places: list[Tensor] = []
    first = uniform(model, n, rng, box)
    with torch.no_grad():
        end, _ = _run_chunk(model, first, rng, levels, begin, places.append)
    return thinned([*places, end])


def _run_chunk(
    model: Model,
    x: Tensor,
    rng: MemberRandom,
    levels: list[Level],
    begin: Callable[[], Move] | None,
    visit: Callable[[Tensor], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Move points ``x``, in their place; returns them and the step of the first divergence."""
    lost_at = torch.full((x.shape[0],), -1, device=x.device)
    done = 0
    move = langevin_step if begin is None else begin()
    for sigma, step_size, steps in levels:
        for steps_done, stride in _strides(steps):
            for _ in range(stride):
                if visit is not None:
                    visit(x.clone())
                move(model, x, sigma, step_size, rng)
            diverged = ~(x.abs().amax(-1, keepdim=True) < BEYOND * model.size)
            # Diverged chains are set to NaN, so they count as lost and cannot return.
            x.masked_fill_(diverged, torch.nan)
            lost_at = torch.where(
                (lost_at < 0) & diverged.any(1).squeeze(-1), done + steps_done, lost_at
            )
        done += steps
    return x, lost_at


def langevin_step(
    model: Model, x: Tensor, sigma: float, step_size: float | Tensor, rng: MemberRandom
) -> None:
    """Move points by a step of Langevin dynamics at a noise level, in their place."""
    half, root = 0.5 * step_size, step_size**0.5
    x.add_(model.score(x, sigma).mul_(half)).add_(rng.normal_like(x).mul_(root))


def _strides(steps: int, every: int = 50) -> Iterator[tuple[int, int]]:
    """Split steps into strides, each with the number of steps done after it."""
    for start in range(0, steps, every):
        stride = min(every, steps - start)
        yield start + stride, stride
