"""What a sampler is, and the Langevin step that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..model import Model
from ..random import MemberRandom
from ..setting import Setting

# A sampler imports all that its signature names from here.
__all__ = [
    "Level",
    "MemberRandom",
    "Model",
    "Sampler",
    "Samples",
    "Setting",
    "Tensor",
    "collect",
    "langevin_chains",
    "langevin_paths",
    "thinned",
    "tweedie",
]

# Chains advance this many at a time: their activations then stay in the cache, and the noise of
# a chain does not depend on how many follow it.
CHUNK = 1000

PLACES = 100
"""Most places of a path that are kept."""

# Coordinates beyond this are no longer chains that could come back.
BEYOND = 1e6

Level = tuple[float, float | Tensor, int]


class Samples(NamedTuple):
    """Points that a sampler made.

    Attributes:
        points: Shape (K, n, d); chains that left every bound hold NaN.
        lost: Number of such chains of each member, shape (K,).
        step: Step by which a member's first chain was found lost, -1 where none was, shape (K,).
        acceptance: Share of the proposals that were accepted, shape (K,), where there are any.
    """

    points: Tensor
    lost: Tensor
    step: Tensor
    acceptance: Tensor | None = None


class Sampler(ABC):
    """Turns a score into points. Options are the constructor's keyword arguments.

    Fractional options may be tensors of shape (K, 1, 1), one value per member.
    """

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:  # noqa: ARG003
        """Why models of this setting cannot be sampled; None if they can."""
        return None

    @abstractmethod
    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        """Draw ``n`` points from each member of ``model``, without building any graph."""

    def paths(self, model: Model, n: int, rng: MemberRandom) -> Tensor | None:  # noqa: ARG002
        """Where ``n`` chains of each member went, for pictures: (K, places, n, d).

        From the start to the end, at most ``PLACES`` places; chains and noise are those of
        ``sample`` (before denoising). None for samplers that have no chains.
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
) -> Samples:
    """Run Langevin chains from a uniform start through a schedule of noise levels.

    Each step is x ← x + (ε/2)·s(x) + √ε·z (Welling and Teh 2011; the blog post's equation).

    Args:
        model: Whose score drives the chains.
        n: Number of chains per member.
        rng: Start points and noise.
        box: Chains start uniformly in [-box, box]^d.
        levels: For each level sigma (given to the model), step size ε, number of steps.
        denoise: Whether to end with ``tweedie`` at the last level.
    """

    def run(size: int) -> tuple[Tensor, Tensor]:
        x, lost_at = _run_chunk(model, size, rng, box, levels)
        return (tweedie(model, x, levels[-1][0]) if denoise else x), lost_at

    return collect(model, n, rng, run)


def collect(
    model: Model, n: int, rng: MemberRandom, run: Callable[[int], tuple[Tensor, Tensor]]
) -> Samples:
    """Make samples a chunk at a time.

    Args:
        model: Whose samples they are.
        n: Number of points per member.
        rng: Gives the number of members.
        run: From a number of points to points (K, size, d), and the step by which the first
            of a member's was lost, or -1: (K,).
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


def tweedie(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Mean of the clean point given the noisy one, x + σ²s(x) (Robbins 1956; Efron 2011).

    It takes the noise out of samples of p_sigma, but moves every point to a mean: what is
    narrower than σ in the data comes out narrower still. Models of the data themselves have no
    noise to take out and are left as they are.

    Args:
        model: Whose noise it is.
        x: Points of p_sigma, shape (K, B, d).
        sigma: Noise level that was asked of the model.
    """
    noise = model.noise(sigma)
    return x + noise**2 * model.score(x, sigma) if noise else x


def thinned(places: list[Tensor]) -> Tensor:
    """The first and the last of positions (K, n, d), and evenly many between: (K, places, n, d)."""
    last, count = len(places) - 1, min(PLACES, len(places)) - 1
    return torch.stack([places[round(i * last / max(count, 1))] for i in range(count + 1)], 1)


def langevin_paths(
    model: Model, n: int, rng: MemberRandom, box: float, levels: list[Level]
) -> Tensor:
    """Where chains of ``langevin_chains`` go: what ``Sampler.paths`` asks for."""
    places: list[Tensor] = []
    with torch.no_grad():
        end, _ = _run_chunk(model, n, rng, box, levels, places.append)
    return thinned([*places, end])


def _run_chunk(
    model: Model,
    size: int,
    rng: MemberRandom,
    box: float,
    levels: list[Level],
    visit: Callable[[Tensor], None] | None = None,
) -> tuple[Tensor, Tensor]:
    x = rng.uniform(size, model.dim).mul_(2 * box).sub_(box)
    lost_at = torch.full((x.shape[0],), -1, device=x.device)
    done = 0
    for sigma, step_size, steps in levels:
        half, root = 0.5 * step_size, step_size**0.5
        for look, stride in _strides(steps):
            for _ in range(stride):
                if visit is not None:
                    visit(x.clone())
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
