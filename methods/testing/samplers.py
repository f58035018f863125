"""Checks of samplers.

Whether a sampler is right needs tests of its own: a target whose moments are known, a derivation.
"""

import torch
from torch import Tensor

from ...datasets.testing.conformance import Check, require, seeded
from ..model import Model
from ..network_model import NetworkModel
from ..networks import MLP
from ..sampling.base import PLACES, Sampler
from ..setting import Setting
from .draws import plain_dataset, streams


class Normal(Model):
    """N(0, variance·I) smoothed to any level, one member: a model to try samplers on.

    Attributes:
        grad_seen: Whether any score was asked for with gradients enabled.
    """

    members = 1

    def __init__(self, variance: float = 1.0, level: float = 0.0, dim: int = 2) -> None:
        self.variance, self.level, self.dim = variance, level, dim
        self.grad_seen = False

    def noise(self, sigma: float) -> float:
        """The level itself."""
        return max(sigma, self.level)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """-x over the smoothed variance."""
        self.grad_seen |= torch.is_grad_enabled() or x.requires_grad
        self.evaluations += x.shape[1]
        return -x / (self.variance + self.noise(sigma) ** 2)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """|x|² over twice the smoothed variance."""
        return x.square().sum(-1) / (2 * (self.variance + self.noise(sigma) ** 2))


def draws_any_number_without_side_effects(sampler: Sampler, dim: int = 2) -> None:
    """`sample` draws any number of points, without a graph or side effects."""
    for n in (0, 1, 1000, 1001):
        state, model = torch.get_rng_state(), Normal(dim=dim)
        samples = sampler.sample(model, n, streams(1))
        points = samples.points
        require(
            points.shape == (1, n, dim) and points.dtype == torch.float32,
            f"`sample` returned shape {tuple(points.shape)}, {points.dtype} for n = {n}: return "
            f"(1, {n}, {dim}) in torch.float32",
        )
        require(
            samples.lost.tolist() == [0] and samples.step.tolist() == [-1],
            f"`sample` lost {samples.lost.tolist()} chains on a normal distribution, at step "
            f"{samples.step.tolist()}: use `collect`, or a smaller step size",
        )
        require(
            not points.requires_grad and not model.grad_seen,
            "`sample` builds a graph: run it under torch.no_grad(), as `collect` does",
        )
        require(
            torch.equal(state, torch.get_rng_state()),
            "`sample` draws from torch's global generator: use rng",
        )


def points_do_not_depend_on_how_many_follow(sampler: Sampler, dim: int = 2) -> None:
    """Points of full chunks do not depend on how many points follow."""
    few = sampler.sample(Normal(dim=dim), 2500, streams(1)).points
    many = sampler.sample(Normal(dim=dim), 3000, streams(1)).points
    require(
        torch.equal(few[:, :2000], many[:, :2000]),
        "the first 2000 of 2500 and of 3000 points differ: draw in chunks, as `collect` does",
    )
    require(
        len(many[0].unique(dim=0)) == 3000, "`sample` returned equal points: draw each on its own"
    )


def paths_end_at_the_samples(sampler: Sampler, dim: int = 2) -> None:
    """`paths`, where there are any, end at the samples."""
    model = Normal(dim=dim)
    paths = sampler.paths(model, 5, streams(1))
    if paths is None:
        return
    require(
        paths.ndim == 4 and paths.shape[0] == 1 and paths.shape[2:] == (5, dim),
        f"`paths` returned shape {tuple(paths.shape)} for 5 chains: return (1, places, 5, {dim})",
    )
    require(
        2 <= paths.shape[1] <= PLACES,
        f"`paths` returned {paths.shape[1]} places: return 2 to {PLACES}, for example by `thinned`",
    )
    require(not model.grad_seen, "`paths` builds a graph: run it under torch.no_grad()")
    # Paths end before the noise of the model is removed.
    samples = sampler.sample(Normal(dim=dim), 5, streams(1)).points
    require(
        getattr(sampler, "denoise", False) or torch.equal(paths[:, -1], samples),
        "the last places of `paths` are not the points of `sample`: draw the same random numbers "
        "in both",
    )
    require(
        not torch.equal(paths[:, 0], paths[:, -1]),
        "the first and the last places of `paths` are equal: begin at the start points",
    )


def members_do_not_affect_each_other(sampler: Sampler, dim: int = 2) -> None:
    """The points of a member are bitwise independent of the other members."""
    one_level = Setting(plain_dataset(dim))
    conditional = sampler.unfit(one_level) is not None
    mlp = MLP(dim, "energy", 32, 2, "swish", conditional)
    theta = mlp.init([seeded(k) for k in range(3)])
    together = sampler.sample(NetworkModel(mlp, theta, 0.05), 1103, streams(3)).points
    for k in range(3):
        model = NetworkModel(mlp, theta[k : k + 1], 0.05)
        require(
            torch.equal(together[k], sampler.sample(model, 1103, streams(1, k)).points[0]),
            "the points of a member depend on the other members: a sum or maximum runs over the "
            "first axis",
        )


def evaluations_are_those_stated(sampler: Sampler, dim: int = 2) -> None:
    """`evaluations`, where it is stated, is the number of scores per chain."""
    # A plug-in need not derive from Sampler.
    stated, model = getattr(sampler, "evaluations", None), Normal(level=0.1, dim=dim)
    sampler.sample(model, 50, streams(1))
    require(
        stated is None or model.evaluations == 50 * stated,
        f"`evaluations` is {stated}, and 50 chains evaluated the score {model.evaluations} times: "
        "state the number per chain, or None if it is not known before",
    )


def energies_with_all_levels_are_accepted(sampler: Sampler, dim: int = 2) -> None:
    """`unfit` accepts energies that know all noise levels."""
    reason = sampler.unfit(Setting(plain_dataset(dim), energy=True, levels=True))
    require(reason is None, f"`unfit` refuses the most capable models ({reason}): return None")


CHECKS: tuple[Check, ...] = (
    draws_any_number_without_side_effects,
    points_do_not_depend_on_how_many_follow,
    paths_end_at_the_samples,
    members_do_not_affect_each_other,
    evaluations_are_those_stated,
    energies_with_all_levels_are_accepted,
)
"""All checks, each called with the sampler."""
