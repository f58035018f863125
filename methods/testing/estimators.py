"""Checks of methods that make their model themselves; whether it is good needs tests of its own."""

import copy

import numpy as np
import torch

from ...datasets.testing.conformance import CheckFailedError, require, seeded
from ..estimators.base import WITHIN, Estimator, Model, OwnPoints, difference
from ..objectives.base import Options
from .draws import draw_options, other_generators, plain_dataset
from .spaces import require_names, space_is_the_same_in_every_call

Method = type[Estimator]

_POINTS, _ASKED = 200, 40


def space_and_fit_agree(method: Method, _: Options) -> None:
    """`fit` takes by name what `space` suggests."""
    require_names(method().fit, 2, _own_options(method, {}))


def what_it_gives_has_the_right_shape(method: Method, options: Options, dim: int = 2) -> None:
    """Points are (n, d), scores (B, d), energies (B,), and all are finite at points of the data."""
    model = _made(method, options, dim)
    if isinstance(model, OwnPoints):
        for n in (_ASKED, 1):
            require(model.draw(n, 1).isfinite().all(), "`points` returned NaN or infinity")
        return
    for size in (_ASKED, 1, 7):
        x = _data(dim)[:size].unsqueeze(0)
        require(model.score(x).isfinite().all(), "the score is not finite at points of the data")
        energy = model.energy(x)
        if method.gives == "energy":
            if energy is None:
                raise CheckFailedError('gives = "energy", and the model has none')
            require(energy.isfinite().all(), "the energy is not finite at points of the data")


def points_are_left_alone(method: Method, options: Options) -> None:
    """`fit` and what it returns do not change the points passed in."""
    data = _data()
    before = data.clone()
    model = _made(method, options, data=data)
    require(torch.equal(data, before), "`fit` changed the points passed in: work on a copy")
    if isinstance(model, OwnPoints):
        return
    x = _data()[:_ASKED].unsqueeze(0)
    first = model.score(x)
    require(torch.equal(model.score(x), first), "`score` gives other values in its second call")


def equal_seeds_give_equal_numbers(method: Method, options: Options) -> None:
    """Made and asked again with equal seeds, the model gives the same, or as good as the same."""
    first, second = (_given(_made(method, options)) for _ in range(2))
    error = difference(first, second)
    require(
        error <= WITHIN,
        f"made and asked twice with equal seeds, it gives values that differ by {error:.1g} of "
        "their size: draw random numbers from `rng` or `seed` alone; runs can be ranked as they "
        "are, but not replayed",
    )


def seeds_matter(method: Method, options: Options) -> None:
    """`points` gives other points for another seed."""
    model = _made(method, options)
    if isinstance(model, OwnPoints):
        require(
            not torch.equal(model.draw(_ASKED, 1), model.draw(_ASKED, 2)),
            "`points` gives the same points for other seeds, so its runs are no repetitions",
        )


def global_generators_are_left_alone(method: Method, options: Options) -> None:
    """Nothing draws from a global generator, which other runs would notice."""
    before = torch.get_rng_state(), other_generators()
    _given(_made(method, options))
    require(
        torch.equal(torch.get_rng_state(), before[0]) and other_generators() == before[1],
        "a global generator was used: seed a generator of your own with int(rng.integers(2**31)), "
        "or with `seed`",
    )


def energy_belongs_to_the_score(method: Method, options: Options) -> None:
    """The score is minus the gradient of the energy."""
    model = _made(method, options)
    x = _data().double()[:_ASKED].unsqueeze(0)
    if isinstance(model, OwnPoints) or model.energy(x) is None:
        return
    step = 1e-3
    for axis in range(x.shape[2]):
        shift = step * torch.eye(x.shape[2], dtype=x.dtype)[axis]
        high, low = model.energy(x + shift), model.energy(x - shift)
        if high is None or low is None:
            raise CheckFailedError("the model has an energy at some points only")
        slope = (low - high).double() / (2 * step)
        score = model.score(x)[..., axis].double()
        error = float((slope - score).abs().max() / (1 + score.abs().max()))
        require(
            error < 0.02, f"the score differs from minus the slope of the energy by {error:.1g}"
        )


CHECKS = (
    space_is_the_same_in_every_call,
    space_and_fit_agree,
    what_it_gives_has_the_right_shape,
    points_are_left_alone,
    equal_seeds_give_equal_numbers,
    seeds_matter,
    global_generators_are_left_alone,
    energy_belongs_to_the_score,
)

USABLE = (space_and_fit_agree, what_it_gives_has_the_right_shape)
"""Checks that a study makes before it runs a method with values outside of its ranges."""


def _own_options(method: Method, options: Options) -> dict[str, object]:
    return {**draw_options(method, 1), **options}


def _data(dim: int = 2) -> torch.Tensor:
    return plain_dataset(dim).sample(_POINTS, seeded(5)).float()


def _made(
    method: Method, options: Options, dim: int = 2, data: torch.Tensor | None = None
) -> Model:
    known = method().known(plain_dataset(dim))
    if known is not None:
        return known
    own = copy.deepcopy(_own_options(method, options))
    return method().model(_data(dim) if data is None else data, np.random.default_rng(3), own)


def _given(model: Model) -> torch.Tensor:
    if isinstance(model, OwnPoints):
        return model.draw(_ASKED, 1)
    return model.score(_data()[:_ASKED].unsqueeze(0))
