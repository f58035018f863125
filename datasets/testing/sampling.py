"""Checks of the points that a dataset draws.

Seeds are fixed, so a check that passes always passes; thresholds of the statistical checks would
let a correct dataset fail for about one seed in a hundred thousand.
"""

import math
from functools import lru_cache
from unittest import SkipTest

import torch
from scipy import stats
from torch import Tensor

from ..base import Dataset, Density, has_density
from ..box import box_of
from ..quadrature import cell_masses
from .conformance import Check, require, seeded
from .expected import Expected

_UNLIKELY = 1e-5
_SEED = 20_240_101

_INDEPENDENT = "draw the mode and the place of each point at random, not in turn"
_DISAGREE = (
    "`draw` and `log_density` describe different distributions, or sigma is not added to the "
    "variance"
)


def samples_any_number(dataset: Dataset, _: Expected) -> None:
    """`draw` gives any number of points, float64 of shape (n, dim)."""
    dim = dataset.dim
    require(isinstance(dim, int) and dim > 0, f"dim = {dim!r}: it must be a whole number >= 1")
    for n in (0, 1, 2, 7, 1000 if dataset.available is None else dataset.available):
        x = dataset.sample(n, seeded(_SEED))
        _require_tensor("draw", x)
        require(
            x.shape == (n, dim) and x.dtype == torch.float64,
            f"`draw` returned shape {tuple(x.shape)}, {x.dtype} for n = {n}: return "
            f"({n}, {dim}) in torch.float64",
        )
        require(x.isfinite().all(), "`draw` returned a number that is not finite")
        require(not x.requires_grad, "`draw` returned points with a gradient: add .detach()")
        if has_density(dataset):
            _require_density(dataset, x)


def _require_density(dataset: Density, x: Tensor) -> None:
    """Require usable values of everything that follows from the density, at points (n, dim)."""
    n, dim = x.shape
    values = dataset.log_prob(x)
    _require_shape("log_density", values, (n,))
    require(
        values.dtype == torch.float64,
        f"`log_density` returned {values.dtype}: compute it in torch.float64, as x is",
    )
    require(not values.isnan().any(), "`log_density` is NaN at a point that `draw` returned")
    if getattr(type(dataset), "gradient", None) is Density.gradient:
        require(
            dataset.log_density(x.clone().requires_grad_(), 1.0).requires_grad,
            "`log_density` has no derivative: compute it from x by functions of torch, without "
            ".detach() and NumPy, or define `gradient`",
        )
    _require_shape("gradient", dataset.score(x, 1.0), (n, dim))
    modes = dataset.assign(x)
    _require_shape("assign", modes, (n,))
    require(
        not modes.is_floating_point(),
        f"`assign` returned {modes.dtype}: return integers, for example with .long()",
    )


def _require_tensor(name: str, values: object) -> None:
    kind = type(values).__name__
    require(isinstance(values, Tensor), f"`{name}` returned {kind}: return a torch.Tensor")


def _require_shape(name: str, values: Tensor, shape: tuple[int, ...]) -> None:
    _require_tensor(name, values)
    require(
        values.shape == shape,
        f"`{name}` returned shape {tuple(values.shape)} for {shape[0]} points: return {shape}",
    )


def has_a_box(dataset: Dataset, _: Expected) -> None:
    """`noise`, `centre` and `extent` are numbers."""
    noise = dataset.noise
    require(
        isinstance(noise, int | float) and 0 <= noise < math.inf,
        f"noise = {noise!r}: it must be a standard deviation, a finite number >= 0",
    )
    box_of(dataset)


def sampling_uses_its_generator_alone(dataset: Dataset, _: Expected) -> None:
    """`draw` takes random numbers from its generator alone."""
    fix = "pass generator=generator to every torch.rand, torch.randn and torch.randint"
    before = torch.get_rng_state()
    generator = seeded(3)
    first, second = dataset.sample(9, generator), dataset.sample(9, generator)
    again = dataset.sample(9, seeded(3))
    require(torch.equal(first, again), f"equal generators gave different points: {fix}")
    require(not torch.equal(first, second), f"two draws gave the same points: {fix}")
    require(
        torch.equal(before, torch.get_rng_state()), f"`draw` used torch's global generator: {fix}"
    )


def rows_are_independent(dataset: Dataset, _: Expected) -> None:
    """Points are independent of each other."""
    x = dataset.sample(20_000, seeded(_SEED))
    for lag in (1, 2, len(x) // 4, len(x) // 2):
        a, b = x[:-lag], x[lag:]
        for f in (lambda v: v, torch.abs, torch.square):
            pairs = torch.cat((f(a), f(b)), 1).T
            across = torch.corrcoef(pairs)[: dataset.dim, dataset.dim :]
            require(
                across.abs().max() * math.sqrt(len(a)) < 5,
                f"points that lie {lag} rows apart are correlated: {_INDEPENDENT}",
            )
    for left, right in ((x[:10_000], x[10_000:]), (x[::2], x[1::2])):
        for j in range(dataset.dim):
            require(
                stats.ks_2samp(left[:, j], right[:, j]).pvalue > _UNLIKELY,
                f"points depend on their position in the sample: {_INDEPENDENT}",
            )


def means_of_small_samples_vary_as_they_should(dataset: Dataset, _: Expected) -> None:
    """Small samples vary as independent points do."""
    generator = seeded(_SEED)
    truth = dataset.sample(20_000, generator)
    calls = 600
    for n in (2, 7, 40):
        means = torch.stack([dataset.sample(n, generator).mean(0) for _ in range(calls)])
        ratio = n * means.var(0) / truth.var(0)
        require(
            (ratio - 1).abs().max() < 6 * math.sqrt(2 / calls),
            f"means of {n} points have {ratio.tolist()} times the variance of independent points: "
            f"{_INDEPENDENT}",
        )


def distribution_does_not_depend_on_the_number(dataset: Dataset, _: Expected) -> None:
    """Points have the same distribution in small and in large samples."""
    for n in (5, 40):
        generator = seeded(_SEED)
        many = torch.cat([dataset.sample(n, generator) for _ in range(20_000 // n)])
        require(
            fits(dataset, many, 0.0) > _UNLIKELY,
            f"samples of {n} points do not follow the density: `draw` depends on n, or differs "
            "from `log_density`",
        )


def histogram_of_noisy_samples_is_the_density(dataset: Dataset, _: Expected) -> None:
    """The histogram of points is the density, with noise and without."""
    for sigma in (0.0, 0.2 * box_of(dataset).unit):
        generator = seeded(_SEED)
        x = dataset.sample(200_000, generator)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        require(
            fits(dataset, x + sigma * noise, sigma) > _UNLIKELY,
            f"points with noise sigma = {sigma:g} do not follow `log_density`: {_DISAGREE}",
        )


def modes_have_their_weights(dataset: Dataset, expected: Expected) -> None:
    """Modes have the probabilities in `weights`."""
    dataset = _with_density(dataset)
    weights = dataset.weights
    total = weights.sum().item()
    require(
        abs(total - 1) <= 1e-12 and bool((weights > 0).all()),
        f"`assign` and `weights` disagree: the weights sum to {total:g}; return one positive "
        "probability per mode, with sum 1",
    )
    n = 50_000
    modes = dataset.assign(dataset.sample(n, seeded(_SEED)))
    share = torch.bincount(modes, minlength=len(weights)) / n
    slack = 5 * (weights * (1 - weights) / n).sqrt() + expected.straying
    require(
        ((share - weights).abs() < slack).all(),
        f"`assign` and `weights` disagree with the points that are drawn: shares {share.tolist()}, "
        f"weights {weights.tolist()}",
    )


def extent_holds_nearly_all(dataset: Dataset, expected: Expected) -> None:
    """The box of half side `extent` holds nearly all points."""
    x = dataset.sample(10_000, seeded(_SEED))
    share = float(((x - box_of(dataset).centre).abs() <= dataset.extent).all(1).double().mean())
    require(
        share > expected.within,
        f"the box holds a share of {share:g}: make `extent` = {dataset.extent:g} larger, or the "
        "data smaller",
    )


USABLE: tuple[Check, ...] = (samples_any_number, has_a_box, sampling_uses_its_generator_alone)
"""Checks that tell whether a study can use a dataset at all."""

CHECKS: tuple[Check, ...] = (
    *USABLE,
    rows_are_independent,
    means_of_small_samples_vary_as_they_should,
    distribution_does_not_depend_on_the_number,
    histogram_of_noisy_samples_is_the_density,
    modes_have_their_weights,
    extent_holds_nearly_all,
)


def fits(dataset: Dataset, x: Tensor, sigma: float) -> float:
    """Compute the p-value of Pearson's chi² test of points against p_sigma, in square cells.

    Raises:
        SkipTest: The data are not two-dimensional.
    """
    if dataset.dim != 2:
        raise SkipTest("the histogram needs d = 2")
    edges, mass = _masses(_with_density(dataset), sigma)
    place = torch.bucketize(x - box_of(dataset).centre, edges, right=True) - 1
    cells = len(edges) - 1
    inside = ((place >= 0) & (place < cells)).all(1)
    flat = place[inside, 0] * cells + place[inside, 1]
    seen = torch.bincount(flat, minlength=cells**2).double()
    expected = mass.flatten() * len(x)
    full = expected >= 5
    rest_seen, rest = len(x) - seen[full].sum(), len(x) - expected[full].sum()
    chi2 = ((seen - expected).square() / expected)[full].sum()
    if rest > 5:
        chi2 += (rest_seen - rest).square() / rest
    return float(stats.chi2.sf(chi2.item(), int(full.sum())))


def _with_density(dataset: Dataset) -> Density:
    if not has_density(dataset):
        raise SkipTest("the data can only be drawn from")
    return dataset


_masses = lru_cache(maxsize=8)(cell_masses)
