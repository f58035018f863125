"""What every training objective promises, each promise a function that says how it is broken.

They need no test framework: ``scorebench check`` runs them, and so does ``testing.py``.
"""

import inspect
from collections.abc import Callable
from random import getstate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..datasets import get_dataset
from .network_model import NetworkModel
from .networks import MLP
from .normal_model import NormalModel
from .objectives.base import ScoreMatching
from .random import MemberRandom
from .setting import Setting

Objective = type[ScoreMatching]

# Seeds that draw from the middle, the upper end and the lower end of a range.
_APART = (0, 4, 7)


class BrokenPromiseError(Exception):
    """One sentence that says what an objective does wrong, and what would be right."""


def space_and_loss_agree(objective: Objective) -> None:
    """`loss` takes by name what `space` suggests."""
    options = draw_options(objective, 1)
    taken = {
        name: parameter
        for name, parameter in inspect.signature(objective().loss).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for name in options:
        if name not in taken:
            raise BrokenPromiseError(
                f"`space` suggests {name!r}, which `loss` does not take: add it behind the `*`"
            )
    for name, parameter in taken.items():
        if name not in options and parameter.default is parameter.empty:
            raise BrokenPromiseError(
                f"`loss` needs {name!r}, which `space` does not suggest: return it there, "
                "or give it a default"
            )


def one_number_per_member(objective: Objective) -> None:
    """`loss` returns one finite number per member, in any dimension."""
    solid = get_dataset("gaussian_ring", dim=3)
    cases = [(3, 8, 2), (1, 8, 2)]
    if objective.unfit(Setting(solid)) is None:
        cases.append((3, 8, 3))
    for members, points, dim in cases:
        loss = evaluate(objective, members, points=points, dim=dim)
        if not isinstance(loss, Tensor) or loss.shape != (members,):
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise BrokenPromiseError(
                f"`loss` returned {got} for {members} members in {dim} dimensions where ({members},"
                ") is right: average over points with .mean(-1), never over the first axis"
            )
        if not bool(loss.isfinite().all()):
            raise BrokenPromiseError("`loss` is not finite for a network as it is initialised")


def points_are_left_alone(objective: Objective) -> None:
    """`loss` does not change the points that it is given."""
    x = _points(3, 8, 2)
    kept = x.clone()
    evaluate(objective, 3, x=x)
    if not torch.equal(x, kept):
        raise BrokenPromiseError(
            "`loss` changed the points that it was given: write x + noise, not x += noise"
        )


def randomness_comes_from_rng(objective: Objective) -> None:
    """`loss` draws random numbers from `rng` alone, and remembers nothing."""
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), getstate()  # type: ignore[index]  # noqa: NPY002
    made = objective()
    first, second = (evaluate(objective, 3, made=made) for _ in range(2))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), getstate()  # type: ignore[index]  # noqa: NPY002
    if not torch.equal(before[0], after[0]) or before[1:] != after[1:]:
        raise BrokenPromiseError(
            "`loss` draws from a global generator: take rng.normal_like(x), rng.uniform(...) or "
            "rng.slices(...) instead, or no run can be repeated"
        )
    if not torch.equal(first, second):
        raise BrokenPromiseError(
            "`loss` gave two values for the same network, points and random numbers: "
            "it draws numbers elsewhere, or remembers something between calls"
        )


def members_do_not_see_each_other(objective: Objective) -> None:
    """A member's loss is the same, bit for bit, whichever others stand beside it."""
    together = evaluate(objective, 3)
    for k in range(3):
        alone = evaluate(objective, 3, only=k)
        if torch.equal(alone[0], together[k]):
            continue
        if torch.allclose(alone[0], together[k], rtol=1e-4):
            raise BrokenPromiseError(
                "the loss of a member differs in its last digits from when it is alone: sum over "
                "the points of each member, not over a transposed or flattened batch"
            )
        raise BrokenPromiseError(
            "the loss of a member depends on the members beside it: a mean, maximum or norm runs "
            "over the first axis"
        )


def parameters_are_trained(objective: Objective) -> None:
    """The gradient with respect to the network's parameters is finite and not zero."""
    for k, gradient in enumerate(_gradient(objective, 3, 16)):
        if not bool(gradient.isfinite().all()):
            raise BrokenPromiseError(
                f"the gradient of member {k} is not finite: look for a square root or a division "
                "at zero"
            )
        if not bool(gradient.any()):
            raise BrokenPromiseError(
                "the loss does not depend on the network's parameters, so nothing would be "
                "trained: use model.score(x), and no .detach()"
            )


def gradient_is_that_of_the_loss(objective: Objective) -> None:
    """`gradient`, where an objective writes it down, is what autograd makes of `loss`."""
    members, points = 3, 16
    wanted = _gradient(objective, members, points)
    model, _ = _network(objective, range(members), 2)
    options = _per_member(draw_options(objective, 0), members)
    with torch.no_grad():
        loss, found = objective().gradient(
            model, _points(members, points, 2), _draws(members), **options
        )
        plain = _called(objective(), model, _points(members, points, 2), _draws(members), options)
    if not torch.allclose(loss, plain, rtol=1e-4, atol=1e-5):
        raise BrokenPromiseError("`gradient` returned another loss than `loss` does")
    if not bool((found - wanted).norm() <= 1e-4 * wanted.norm()):
        raise BrokenPromiseError(
            "`gradient` is not the gradient of the sum of `loss`: leave it out, and autograd "
            "will find it"
        )


def loss_is_a_mean(objective: Objective) -> None:
    """The size of the loss does not grow with the number of points."""
    few, many = (_gradient(objective, 3, points).norm() for points in (64, 1024))
    if bool(many > 2.5 * few):
        raise BrokenPromiseError(
            "the gradient grows with the number of points: average over them with .mean(-1) where "
            "they are summed now"
        )


def true_score_is_best(objective: Objective) -> None:
    """On normal data the loss is lowest where the model is the true score of its target."""
    for seed in _APART:
        _check_scale(objective, draw_options(objective, seed))


def _check_scale(objective: Objective, options: dict[str, Any]) -> None:
    level = objective().target(options)
    if not level >= 0:
        raise BrokenPromiseError(f"`target` returned {level!r}, where a noise level >= 0 is right")
    factors = torch.logspace(-1.3, 1.3, 27, base=2).view(-1, 1, 1)
    spread = 2 * level if level > 0 else 0.25
    model = NormalModel(factors, spread, level, conditional=objective.conditional)
    members, seeds = len(factors), 2
    total = torch.zeros(members)
    for seed in range(seeds):
        x = spread * MemberRandom([_generator(100 + seed)] * members).normal(4096, 2)
        rng = MemberRandom([_generator(200 + seed)] * members)
        with torch.no_grad():
            total += _called(objective(), model, x, rng, _per_member(options, members))
    best = float(factors[int(total.argmin())])
    if not 0.8 < best < 1.25:
        bound = "at most" if best < 0.5 else "at least" if best > 2 else "about"
        raise BrokenPromiseError(
            f"on normal data the loss is lowest for {bound} {best:.2g} times the true score: a "
            "factor is missing somewhere (sigma, a half, a sum over slices), or `target` does not "
            "return the noise level of the density that is learned"
        )


PROMISES: tuple[Callable[[Objective], None], ...] = (
    space_and_loss_agree,
    one_number_per_member,
    points_are_left_alone,
    randomness_comes_from_rng,
    members_do_not_see_each_other,
    parameters_are_trained,
    gradient_is_that_of_the_loss,
    loss_is_a_mean,
    true_score_is_best,
)


def draw_options(objective: Objective, seed: int) -> dict[str, Any]:
    """One configuration out of an objective's search space."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return dict(objective().space(study.ask()))


def evaluate(
    objective: Objective,
    members: int,
    *,
    points: int = 8,
    dim: int = 2,
    x: Tensor | None = None,
    only: int | None = None,
    made: ScoreMatching | None = None,
) -> Tensor:
    """Loss of freshly initialised networks on normal points; of one of them if ``only`` says so."""
    chosen = range(members) if only is None else [only]
    model, _ = _network(objective, chosen, dim)
    x = _points(members, points, dim) if x is None else x
    rng = MemberRandom([_generator(20 + k) for k in chosen])
    # Every member has its own fractional options, as in a search.
    drawn = [draw_options(objective, 0)] + [draw_options(objective, k) for k in range(1, members)]
    options = {
        name: torch.tensor([drawn[k][name] for k in chosen]).view(-1, 1, 1)
        if isinstance(value, float)
        else value
        for name, value in drawn[0].items()
    }
    return _called(
        made or objective(), model, x[list(chosen)] if only is not None else x, rng, options
    )


def _called(
    made: ScoreMatching, model: Any, x: Tensor, rng: MemberRandom, options: dict[str, Any]
) -> Tensor:
    return made.loss(model, x, rng, **options)


def _gradient(objective: Objective, members: int, points: int) -> Tensor:
    model, theta = _network(objective, range(members), 2)
    options = _per_member(draw_options(objective, 0), members)
    loss = _called(objective(), model, _points(members, points, 2), _draws(members), options)
    if not loss.requires_grad:
        return torch.zeros_like(theta)
    (gradient,) = torch.autograd.grad(loss.sum(), theta, allow_unused=True)
    return torch.zeros_like(theta) if gradient is None else gradient


def _per_member(options: dict[str, Any], members: int) -> dict[str, Any]:
    return {
        name: torch.full((members, 1, 1), value) if isinstance(value, float) else value
        for name, value in options.items()
    }


def _network(objective: Objective, chosen: Any, dim: int) -> tuple[NetworkModel, Tensor]:
    mlp = MLP(dim, "energy", 16, 2, "swish", objective.conditional)
    theta = mlp.init([_generator(k) for k in chosen]).requires_grad_()
    return NetworkModel(mlp, theta), theta


def _draws(members: int) -> MemberRandom:
    return MemberRandom([_generator(20 + k) for k in range(members)])


def _points(members: int, points: int, dim: int) -> Tensor:
    return MemberRandom([_generator(10 + k) for k in range(members)]).normal(points, dim)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
