"""Checks of training objectives.

Whether a loss is the intended one needs tests of its own: a closed form, a derivation.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal, NamedTuple
from unittest import SkipTest

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.testing.conformance import Check, CheckFailedError, require, seeded
from ..network_model import NetworkModel
from ..networks import MLP
from ..normal_model import NormalModel
from ..objectives.base import Options, ScoreMatching, Suggested
from ..random import MemberRandom
from ..setting import Setting
from .draws import as_tensors, draw_options, given, other_generators, plain_dataset, streams
from .spaces import require_names, space_is_the_same_in_every_call

Objective = type[ScoreMatching]
Kind = Literal["energy", "score"]

_MEMBERS = range(3)
# Points per batch; odd numbers reveal arithmetic that depends on the position in the batch.
_SIZES = (32, 50, 7)
# Seeds that draw from the middle, the upper end and the lower end of a range.
_SPREAD_SEEDS = (0, 4, 7)


def space_and_loss_agree(objective: Objective, _: Options) -> None:
    """`loss`, or `terms`, takes by name what `space` suggests."""
    formula = objective().formula
    # The networks, which terms do without, the points and the random numbers come first.
    others = 3 if formula.__name__ == "loss" else 2
    require_names(formula, others, draw_options(objective, 1) | given(objective))


def target_is_a_level(objective: Objective, options: Options) -> None:
    """`target` returns a noise level."""
    level = objective().target(options)
    require(level >= 0, f"`target` returned {level!r}, where a noise level >= 0 is right")


def one_number_per_member(objective: Objective, options: Options, dim: int = 3) -> None:
    """`loss` returns one finite number per member, in any dimension."""
    plane, space = plain_dataset(), plain_dataset(dim)
    cases = [(_MEMBERS, size, plane) for size in _SIZES]
    for members, size, dataset in (*cases, (range(1), 8, plane), (_MEMBERS, 8, space)):
        for kind in _kinds(objective, dataset):
            batch = _Batch(members, size, kind, dataset.dim)
            loss = _evaluate(objective, options, batch).loss
            count, right = len(members), (len(members),)
            if not isinstance(loss, Tensor) or loss.shape != right:
                got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise CheckFailedError(
                    f"`loss` returned {got} for {count} members in {dataset.dim} dimensions where "
                    f"{right} is right: average over points with .mean(-1), never over the first "
                    "axis"
                )
            require(
                loss.isfinite().all(), "`loss` is not finite for a network as it is initialised"
            )


def points_are_left_alone(objective: Objective, options: Options) -> None:
    """`loss` does not change the points passed in."""
    x = streams(_MEMBERS, 10).normal(8, 2)
    original = x.clone()
    _evaluate(objective, options, _Batch(kind=_kinds(objective)[0]), x)
    require(
        torch.equal(x, original),
        "`loss` changed the points passed in: write x + noise, not x += noise",
    )


def randomness_comes_from_rng(objective: Objective, options: Options) -> None:
    """`loss` draws random numbers from `rng` alone, and stores nothing between calls."""
    instance, batch = objective(), _Batch(kind=_kinds(objective)[0])
    before = torch.get_rng_state(), other_generators()
    first, second = (_evaluate(objective, options, batch, instance=instance) for _ in range(2))
    require(
        torch.equal(torch.get_rng_state(), before[0]) and other_generators() == before[1],
        "`loss` draws from a global generator, so no run can be repeated: take rng.normal_like(x), "
        "rng.uniform(...) or rng.slices(...) instead",
    )
    require(
        torch.equal(first.loss, second.loss),
        "`loss` gave two values for the same network, points and random numbers: it draws numbers "
        "elsewhere, or stores something between calls",
    )


def parameters_are_trained(objective: Objective, options: Options, dim: int = 2) -> None:
    """The gradient with respect to the network's parameters is finite and not zero."""
    for kind, size in product(_kinds(objective, plain_dataset(dim)), _SIZES):
        result = _evaluate(objective, options, _Batch(_MEMBERS, size, kind, dim))
        for k, gradient in enumerate(result.gradient()):
            require(
                gradient.isfinite().all(),
                f"the gradient of member {k} is not finite: look for a square root or a "
                "division at zero",
            )
            require(
                gradient.any(),
                "the loss does not depend on the network's parameters, so nothing would be "
                "trained: use model.score(x), and no .detach()",
            )


def members_do_not_affect_each_other(objective: Objective, options: Options) -> None:
    """A member's loss and gradient are bitwise independent of the other members."""
    for kind, size in product(_kinds(objective), _SIZES):
        together = _evaluate(objective, options, _Batch(_MEMBERS, size, kind))
        gradients = together.gradient()
        for k in _MEMBERS:
            alone = _evaluate(objective, options, _Batch([k], size, kind))
            require(
                torch.allclose(alone.loss[0], together.loss[k], rtol=1e-4),
                "the loss of a member depends on the other members: a mean, maximum or norm "
                "runs over the first axis",
            )
            require(
                torch.equal(alone.loss[0], together.loss[k]),
                "the loss of a member differs in its last digits from when it is alone: sum "
                "over the points of each member, not over a transposed or flattened batch",
            )
            require(
                torch.equal(alone.gradient()[0], gradients[k]),
                "the gradient of a member depends on the other members: keep members apart, as "
                ".mean(-1) does",
            )


def loss_is_a_mean(objective: Objective, options: Options) -> None:
    """The size of the loss does not grow with the number of points."""
    kind = _kinds(objective)[0]
    few, many = (
        _evaluate(objective, options, _Batch(_MEMBERS, size, kind)).gradient().norm()
        for size in (64, 1024)
    )
    require(
        many <= 2.5 * few,
        "the gradient grows with the number of points: average over them with .mean(-1) where "
        "they are summed now",
    )


def true_score_is_best(objective: Objective, options: Options) -> None:
    """On normal data the loss is lowest where the model is the true score of its target."""
    for seed in _SPREAD_SEEDS:
        _check_scale(objective, draw_options(objective, seed) | dict(options))


CHECKS: tuple[Check, ...] = (
    space_is_the_same_in_every_call,
    space_and_loss_agree,
    one_number_per_member,
    points_are_left_alone,
    randomness_comes_from_rng,
    parameters_are_trained,
    members_do_not_affect_each_other,
    loss_is_a_mean,
    true_score_is_best,
)
"""All checks, each called with the objective and hyperparameters that are fixed, if any."""


USABLE: tuple[Check, ...] = (target_is_a_level, one_number_per_member, parameters_are_trained)
"""Checks that tell whether hyperparameters are possible at all."""


class _Batch(NamedTuple):
    """Networks to evaluate a loss on, seeded by their members' numbers; ``size`` points each."""

    members: Sequence[int] = _MEMBERS
    size: int = 8
    kind: Kind = "energy"
    dim: int = 2


class _Result(NamedTuple):
    """Losses (K,), with their graph, and the parameters (K, size) that they depend on."""

    loss: Tensor
    theta: Tensor

    def gradient(self) -> Tensor:
        """Gradients by autograd, shape (K, size); zero where the loss has no graph."""
        if not self.loss.requires_grad:
            return torch.zeros_like(self.theta)
        (gradient,) = torch.autograd.grad(self.loss.sum(), self.theta, allow_unused=True)
        return torch.zeros_like(self.theta) if gradient is None else gradient


def _evaluate(
    objective: Objective,
    options: Options,
    batch: _Batch,
    x: Tensor | None = None,
    instance: ScoreMatching | None = None,
) -> _Result:
    """Evaluate the loss of newly initialised networks on normal points, or on ``x``."""
    model, points, rng = _arguments(objective, options, batch)
    loss = (instance or objective()).loss(
        model, points if x is None else x, rng, **_options(objective, options, batch.members)
    )
    return _Result(loss, model.theta)


def _arguments(
    objective: Objective, options: Options, batch: _Batch
) -> tuple[NetworkModel, Tensor, MemberRandom]:
    """Newly initialised networks, points and random numbers."""
    predicts = objective().predicts(_options(objective, options, batch.members))
    mlp = MLP(batch.dim, batch.kind, 16, 2, "swish", objective.conditional, predicts=predicts)
    theta = mlp.init([seeded(k) for k in batch.members]).requires_grad_()
    points = streams(batch.members, 10).normal(batch.size, batch.dim)
    return NetworkModel(mlp, theta), points, streams(batch.members, 20)


def _options(objective: Objective, options: Options, members: Sequence[int]) -> Suggested:
    """Hyperparameters as ``loss`` takes them; fractions differ between members, as in a search."""
    drawn = [draw_options(objective, k) | dict(options) for k in (0, *members)]
    first = drawn[0]

    def fraction(own: Options, name: str) -> float:
        # On another branch, or of another kind, a member has the value of the first draw.
        value = own.get(name)
        return value if isinstance(value, float) else float(first[name])

    return given(objective) | {
        name: torch.tensor([fraction(own, name) for own in drawn[1:]]).view(-1, 1, 1)
        if isinstance(value, float)
        else value
        for name, value in first.items()
    }


def _kinds(objective: Objective, dataset: Dataset | None = None) -> list[Kind]:
    """The kinds of networks that the objective can train on a dataset (default: a plane one)."""
    dataset = dataset or plain_dataset()
    kinds: tuple[Kind, ...] = ("energy", "score")
    return [
        kind
        for kind in kinds
        if objective.unfit(Setting(dataset, kind == "energy", objective.conditional)) is None
    ]


def _descends(loss: Callable[[int], Tensor], factors: Tensor) -> bool:
    """Whether gradients are slopes of the loss; those of contrastive divergence are not."""
    with torch.enable_grad():
        factors.requires_grad_()
        value = loss(0)
        if not value.requires_grad:
            return True
        (gradient,) = torch.autograd.grad(value.sum(), factors)
    # Over all factors, because single differences are rounded.
    mean = (gradient.flatten()[1:] + gradient.flatten()[:-1]) / 2
    rises = mean * factors.detach().flatten().diff()
    ends = value.detach()
    error = float(ends[-1] - ends[0] - rises.sum())
    return abs(error) <= 0.1 * float(rises.abs().sum())


def _check_scale(objective: Objective, options: Options) -> None:
    target_is_a_level(objective, options)
    level = objective().target(options)
    factors = torch.logspace(-1.3, 1.3, 27, base=2).view(-1, 1, 1)
    spread = 2 * level if level > 0 else 0.25
    model = NormalModel(factors, spread, level, conditional=objective.conditional)
    members = len(factors)

    def loss(seed: int) -> Tensor:
        # All members get the same points and noise: only their factors differ.
        x = spread * MemberRandom([seeded(100 + seed)] * members).normal(4096, 2)
        rng = MemberRandom([seeded(200 + seed)] * members)
        known = as_tensors(options, members) | given(objective, spread)
        return objective().loss(model, x, rng, **known)  # type: ignore[arg-type]

    with torch.no_grad():
        total = loss(0) + loss(1)
    best = float(factors[int(total.argmin())])
    if not 0.8 < best < 1.25 and not _descends(loss, factors):
        raise SkipTest("the value of the loss is not what its gradient descends")
    bound = "at most" if best < 0.5 else "at least" if best > 2 else "about"
    require(
        0.8 < best < 1.25,
        f"on normal data the loss is lowest for {bound} {best:.2g} times the true score: a "
        "factor is missing somewhere (sigma, a half, a sum over slices), or `target` does not "
        "return the noise level of the density that is learned",
    )
