"""Checks of a dataset's densities, scores and constants, at every noise level.

Quadrature needs d = 2: in other dimensions those checks are skipped, so compare the density with
an independent formula.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from unittest import SkipTest

import torch
from torch import Tensor

from ..base import Density
from ..box import box_of
from ..errors import UsageError
from ..quadrature import DensityGrid, grid
from .conformance import Check, CheckFailedError, require, seeded
from .expected import Expected

_SEED = 20_240_101

_UNSMOOTHED = "`log_density` at sigma is not the density of the data smoothed by N(0, sigma²)"


def density_integrates_to_one(dataset: Density, expected: Expected) -> None:
    """The density integrates to one at every sigma."""
    for level in expected.levels:
        sigma = level * box_of(dataset).unit
        mass = _grid(dataset, sigma).mass
        require(
            abs(mass - 1) < 1e-9,
            f"the density at sigma = {sigma:g} integrates to {mass:.10g}: a normalising constant "
            "is missing or wrong, or `extent` is too small",
        )


def smoothing_composes(dataset: Density, _: Expected) -> None:
    """Smoothing twice is smoothing once with the sum of the variances."""
    # p_0.5, at a few points, is p_0.3 convolved with N(0, 0.4²) by quadrature.
    low, more, high = (level * box_of(dataset).unit for level in (0.3, 0.4, 0.5))
    whole = _grid(dataset, low, min(0.4, low / math.hypot(dataset.noise, low)))
    x = box_of(dataset).centre + 0.5 * (dataset.sample(20, seeded(5)) - box_of(dataset).centre)
    gap = torch.cdist(x, whole.x, compute_mode="donot_use_mm_for_euclid_dist")
    gauss = -gap.square() / (2 * more**2) - math.log(2 * math.pi * more**2)
    convolved = torch.logsumexp(gauss + whole.log_prob + whole.area.log(), 1)
    require(
        torch.allclose(dataset.log_prob(x, high), convolved, rtol=1e-8, atol=1e-8),
        f"the density at sigma = {high:g} is not that at {low:g} smoothed by {more:g}: "
        f"{_UNSMOOTHED}",
    )


def constants_are_as_stated(dataset: Density, expected: Expected) -> None:
    """Entropy, Fisher information and KL divergence are as stated."""
    constants: list[tuple[str, dict[float, float], Callable[[float], float]]] = [
        ("entropy", expected.entropy, dataset.entropy),
        ("fisher", expected.fisher, dataset.fisher_information),
        ("kl", expected.kl, lambda sigma: _grid(dataset, 0.0, 0.4).kl_to(sigma)),
    ]
    for name, values, constant in constants:
        for sigma, stated in values.items():
            measured = constant(sigma)
            require(
                abs(measured - stated) <= expected.digits * max(1.0, abs(stated)),
                f"{name} at sigma = {sigma:g} is {measured:.9g}, and the test states {stated:.9g}",
            )


def entropy_and_fisher_information_are_means(dataset: Density, _: Expected) -> None:
    """Entropy and Fisher information are means over the points."""
    n, sigma, generator = 4000, 0.3 * box_of(dataset).unit, seeded(_SEED)
    x = dataset.sample(n, generator)
    x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    log_prob, square = dataset.log_prob(x, sigma), dataset.score(x, sigma).square().sum(1)
    for name, value, values in (
        ("entropy", dataset.entropy(sigma), -log_prob),
        ("Fisher information", dataset.fisher_information(sigma), square),
    ):
        slack = 5 * float(values.std()) / math.sqrt(n) + 2e-3 * (1 + abs(value))
        mean = float(values.mean())
        require(
            abs(mean - value) <= slack,
            f"the {name} at sigma = {sigma:g} is {value:.6g}, its mean over points {mean:.6g}: "
            "`information`, or `log_density`, disagrees with the points that are drawn",
        )


def noise_raises_the_entropy_by_half_the_fisher_information(dataset: Density, _: Expected) -> None:
    """Noise raises the entropy by half the Fisher information."""
    # De Bruijn's identity dH/dsigma² = I/2, from sigma² = 0.08 to 0.1 by Simpson's rule.
    if dataset.dim != 2 and type(dataset).information is Density.information:
        raise SkipTest("random means are not precise enough")
    unit = box_of(dataset).unit
    low, middle, high = (math.sqrt(v) * unit for v in (0.08, 0.09, 0.1))
    rise = dataset.entropy(high) - dataset.entropy(low)
    information = [dataset.fisher_information(sigma) for sigma in (low, middle, high)]
    predicted = 0.02 * unit**2 * ((information[0] + 4 * information[1] + information[2]) / 6) / 2
    require(
        abs(rise - predicted) <= 1e-4 * abs(predicted),
        f"the entropy rises by {rise:.6g} from sigma = {low:.3g} to {high:.3g} where "
        f"{predicted:.6g} is right: {_UNSMOOTHED}",
    )


def score_is_the_gradient_of_the_log_density(dataset: Density, _: Expected) -> None:
    """The score is the gradient of the log density, anywhere."""
    generator, unit = seeded(_SEED), box_of(dataset).unit
    for sigma in _levels(dataset, (0.02, 0.1, 0.5, 2.0, 5.0)):
        for size in (1.0, 5.0, 30.0):
            shape = (16, dataset.dim)
            x = size * (2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1)
            # The origin, points on the axes and whole numbers, where formulas have special cases.
            special = torch.cat((torch.zeros_like(x[:1]), x[:4] * torch.eye(*shape)[:4], x.round()))
            # Autograd itself loses digits far from a sharp edge.
            place = box_of(dataset).centre + unit * torch.cat((x, special))
            _check_score(dataset, place, sigma, 1e-8)


def score_is_the_gradient_on_the_data(dataset: Density, _: Expected) -> None:
    """The score is the gradient of the log density, on the data."""
    x = dataset.sample(200, seeded(_SEED))
    for sigma in _levels(dataset, (0.1, 1.0)):
        _check_score(dataset, x, sigma, 1e-10)


def no_score_below_where_it_begins(dataset: Density, _: Expected) -> None:
    """There is no score below `score_from`."""
    if dataset.score_from == 0:
        raise SkipTest("the score exists at every sigma")
    origin, sigma = torch.zeros(1, dataset.dim), dataset.score_from / 2
    for call in (lambda: dataset.score(origin, sigma), lambda: dataset.fisher_information(sigma)):
        _check_refused(
            call,
            "no score",
            f"{dataset.score_from:g}",
            problem=f"a score is given at sigma = {sigma:g}, below `score_from`: do not override "
            "`score` and `fisher_information`",
        )


def far_away_all_is_finite(dataset: Density, expected: Expected) -> None:
    """Everything is finite far away."""
    underflow = "densities become zero before their logarithm is taken: use logsumexp"
    direction = torch.randn(20, dataset.dim, dtype=torch.float64, generator=seeded(_SEED))
    far = 1e3 * box_of(dataset).unit
    away = far * direction / direction.norm(dim=1, keepdim=True)
    x = box_of(dataset).centre + away
    for sigma in (max(dataset.score_from, 1e-5 * far), 1e-3 * far):
        log_prob, score = dataset.log_prob(x, sigma), dataset.score(x, sigma)
        require(
            log_prob.isfinite().all() and score.isfinite().all(),
            f"the log density or score is not finite {far:g} away, sigma = {sigma:g}: {underflow}",
        )
        if expected.looks_like_a_point_from_afar:
            require(
                (torch.cosine_similarity(score, -away, dim=1) > 0.99).all(),
                f"the score {far:g} away, sigma = {sigma:g} does not point to the data: "
                f"{underflow}; or set looks_like_a_point_from_afar = False in the test",
            )


def rows_do_not_affect_each_other(dataset: Density, _: Expected) -> None:
    """The value at a point does not depend on the other points."""
    x = dataset.sample(60, seeded(_SEED)) + 0.3
    bad = x.clone()
    bad[17] = math.nan
    others = torch.arange(60) != 17
    for name, f in (("log density", dataset.log_prob), ("score", dataset.score)):
        whole, spoiled = f(x, 0.3), f(bad, 0.3)
        require(
            whole.ndim > 0 and len(whole) == len(x),
            f"the {name} of {len(x)} points has shape {tuple(whole.shape)}: keep the first axis, "
            "which runs over the points",
        )
        parts = (slice(0, 1), slice(3, 10), slice(1, 60, 2))
        alone = all(torch.equal(f(x[part], 0.3), whole[part]) for part in parts)
        require(
            alone and torch.equal(f(x.T.contiguous().T, 0.3), whole),
            f"the {name} of a point changes with the other points: a mean, sum or maximum runs "
            "over the first axis",
        )
        require(
            torch.equal(spoiled[others], whole[others]) and spoiled[17].isnan().all(),
            f"NaN in one point changes the {name} of others, or is lost: a mean, sum or maximum "
            "runs over the first axis",
        )


def points_are_left_alone_and_converted(dataset: Density, _: Expected) -> None:
    """The points passed in are not changed."""
    x = dataset.sample(5, seeded(_SEED)).float()
    original = x.clone()
    score = dataset.score(x, 0.5)
    require(
        torch.equal(x, original) and not x.requires_grad,
        "an operation in place changed the points: write x + 1, not x += 1",
    )
    require(
        torch.equal(score, dataset.score(x.double(), 0.5))
        and score.dtype == torch.float64
        and not score.requires_grad,
        "the score of float32 points is not that of the same points in float64, without a graph: "
        "do not override `score`",
    )


def bad_input_is_refused(dataset: Density, _: Expected) -> None:
    """Bad input is refused in one line."""
    good, generator = torch.zeros(2, dataset.dim), seeded(_SEED)
    sample, assign = dataset.sample, dataset.assign
    densities: tuple[Callable[..., object], ...] = (dataset.log_prob, dataset.score)
    calls: list[tuple[str, Callable[..., object], tuple[object, ...]]] = [
        ("-1", sample, (-1, generator)),
        ("integer", sample, (2.5, generator)),
        ("Generator", sample, (2, None)),
        ("points", assign, (good[0],)),
    ]
    for f in densities:
        bad_points = (good[0], torch.zeros(2, dataset.dim + 1), good.int(), [[0.0]])
        calls += [("points", f, (x, 0.5)) for x in bad_points]
    for sigma in (-0.1, math.nan, math.inf, "much"):
        calls += [("sigma", f, (good, sigma)) for f in densities]
        calls.append(("sigma", dataset.entropy, (sigma,)))
    for word, f, arguments in calls:
        problem = (
            f"`{f.__name__}` accepts {arguments[0]!r}, or its error does not name {word!r}: "
            "override `draw` and `log_density`, not `sample`, `log_prob` and `score`; in `assign` "
            "use self._points(x)"
        )
        _check_refused(partial(f, *arguments), word, problem=problem)


CHECKS: tuple[Check, ...] = (
    density_integrates_to_one,
    smoothing_composes,
    constants_are_as_stated,
    entropy_and_fisher_information_are_means,
    noise_raises_the_entropy_by_half_the_fisher_information,
    score_is_the_gradient_of_the_log_density,
    score_is_the_gradient_on_the_data,
    no_score_below_where_it_begins,
    far_away_all_is_finite,
    rows_do_not_affect_each_other,
    points_are_left_alone_and_converted,
    bad_input_is_refused,
)


def _levels(dataset: Density, levels: Iterable[float]) -> list[float]:
    """The lowest level that has a score, and those of ``levels``, for unit data, above it."""
    sigmas = (level * box_of(dataset).unit for level in levels)
    return [dataset.score_from, *(sigma for sigma in sigmas if sigma > dataset.score_from)]


def _check_score(dataset: Density, x: Tensor, sigma: float, tolerance: float) -> None:
    """Compare the score at ``x`` with autograd's gradient of the log density."""
    x = x.clone().requires_grad_()
    value = dataset.log_prob(x, sigma)
    (expected,) = torch.autograd.grad(value.sum(), x)
    score = dataset.score(x.detach(), sigma)
    require(
        value.isfinite().all(),
        f"the log density at sigma = {sigma:g} is not finite: sum exponentials with logsumexp",
    )
    wrong = ~((score - expected).norm(dim=1) <= tolerance * (expected.norm(dim=1) + 1))
    require(
        not wrong.any(),
        f"the score at {x[wrong][:1].tolist()}, sigma = {sigma:g} is {score[wrong][:1].tolist()}, "
        f"the derivative of `log_density` {expected[wrong][:1].tolist()}: leave `gradient` out to "
        "use autograd",
    )


def _check_refused(call: Callable[[], object], *words: str, problem: str) -> None:
    try:
        call()
    except UsageError as error:
        if all(word in str(error) for word in words):
            return
    except Exception as error:
        raise CheckFailedError(f"{problem} ({type(error).__name__}: {error})") from error
    raise CheckFailedError(problem)


@lru_cache(maxsize=8)
def _grid(dataset: Density, sigma: float, step: float = 0.8) -> DensityGrid:
    if dataset.dim != 2:
        raise SkipTest("quadrature needs d = 2")
    return grid(dataset, sigma, step)
