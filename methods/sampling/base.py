"""What a sampler is, and the Langevin step that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Model
from ..random import MemberRandom

# A sampler imports all that its signature names from here.
__all__ = ["MemberRandom", "Model", "Sampler", "Samples", "langevin_chains"]

# Chains advance this many at a time: their activations then stay in the cache, and the noise of
# a chain does not depend on how many follow it.
CHUNK = 1000

# Coordinates beyond this are no longer chains that could come back.
BEYOND = 1e6

Level = tuple[float, float | Tensor, int]


class Samples(NamedTuple):
    """Points that a sampler made.

    Attributes:
        points: Shape (K, n, d); chains that left every bound hold NaN.
        lost: Number of such chains of each member, shape (K,).
        step: Step by which a member's first chain was found lost, -1 where none was, shape (K,).
    """

    points: Tensor
    lost: Tensor
    step: Tensor


class Sampler(ABC):
    """Turns a score into points. Options are the constructor's keyword arguments.

    Fractional options may be tensors of shape (K, 1, 1), one value per member.
    """

    @abstractmethod
    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        """Draw ``n`` points from each member of ``model``, without building any graph."""


def langevin_chains(
    model: Model, n: int, rng: MemberRandom, box: float, levels: list[Level]
) -> Samples:
    """Run Langevin chains from a uniform start through a schedule of noise levels.

    Each step is x ← x + (ε/2)·s(x) + √ε·z (Welling and Teh 2011; the blog post's equation).

    Args:
        model: Whose score drives the chains.
        n: Number of chains per member.
        rng: Start points and noise.
        box: Chains start uniformly in [-box, box]^d.
        levels: For each level sigma (given to the model), step size ε, number of steps.
    """
    with torch.no_grad():
        parts = [
            _run_chunk(model, size, rng, box, levels)
            for size in (min(CHUNK, n - start) for start in range(0, n, CHUNK))
        ]
    if not parts:
        empty = torch.zeros(rng.members, dtype=torch.long)
        return Samples(rng.uniform(0, model.dim), empty, empty - 1)
    points = torch.cat([points for points, _ in parts], dim=1)
    bad = ~torch.isfinite(points).all(-1)
    never = torch.iinfo(torch.long).max
    steps = torch.stack([step.where(step >= 0, never) for _, step in parts]).amin(0)
    return Samples(points, bad.sum(1), steps.where(steps < never, -1))


def _run_chunk(
    model: Model, size: int, rng: MemberRandom, box: float, levels: list[Level]
) -> tuple[Tensor, Tensor]:
    x = rng.uniform(size, model.dim).mul_(2 * box).sub_(box)
    lost_at = torch.full((x.shape[0],), -1, device=x.device)
    done = 0
    for sigma, step_size, steps in levels:
        half, root = 0.5 * step_size, step_size**0.5
        for look, stride in _strides(steps):
            for _ in range(stride):
                x.add_(model.score(x, sigma).mul_(half)).add_(rng.normal_like(x).mul_(root))
            gone = ~(x.abs().amax(-1, keepdim=True) < BEYOND)
            # Lost chains are parked at NaN: they count as lost and cannot wander back.
            x.masked_fill_(gone, torch.nan)
            lost_at = torch.where((lost_at < 0) & gone.any(1).squeeze(-1), done + look, lost_at)
        done += steps
    return x, lost_at


def _strides(steps: int, every: int = 50) -> Iterator[tuple[int, int]]:
    """Steps in strides, each with the number of steps done after it."""
    for start in range(0, steps, every):
        stride = min(every, steps - start)
        yield start + stride, stride
