"""Checks of metrics: smaller is better, for any points, and the same for the same points."""

import math
from unittest import SkipTest

import torch

from ..datasets.base import Density
from ..datasets.testing.conformance import Check, require, seeded
from ..methods.reference.exact import ExactScore
from ..methods.setting import Setting, why_unfit
from ..methods.testing.draws import other_generators, plain_dataset
from ..methods.testing.samplers import Normal
from .metrics.base import Measure, Subject
from .spec import check_metric

_POINTS = 500
_FAR = 10.0


def its_name_is_no_column(_: type[Measure], name: str) -> None:
    """It is not called like a column of the results."""
    check_metric(name)


def truth_has_a_number(metric: type[Measure], _: str, dim: int = 2) -> None:
    """It is one finite number for points of the truth, or for its model."""
    value = _value(metric, dim)
    require(
        isinstance(value, float) and math.isfinite(value),
        f"it is {value!r} for the truth: return a finite float, for example float(x.mean())",
    )


def same_points_have_the_same_value(metric: type[Measure], _: str, dim: int = 2) -> None:
    """It gives the same points the same value, and draws from no global generator."""
    before = torch.get_rng_state(), other_generators()
    first, second = _value(metric, dim), _value(metric, dim)
    require(
        torch.equal(torch.get_rng_state(), before[0]) and other_generators() == before[1],
        "it draws from a global generator, so no value can be repeated: use a seeded "
        "torch.Generator of its own",
    )
    require(first == second, f"it gave {first!r} and {second!r} for the same points")


def points_are_left_alone(metric: type[Measure], _: str, dim: int = 2) -> None:
    """It does not change the points passed in."""
    dataset, points = _setting(metric, dim)
    original = points.clone()
    metric(dataset, points).measure(Subject(points, ExactScore(dataset)))
    require(
        torch.equal(points, original),
        "it changes the points passed in: write x - mean, not x -= mean",
    )


def smaller_is_better(metric: type[Measure], _: str, dim: int = 2) -> None:
    """It is smaller for the truth than for points or a model far from it."""
    right, wrong = _value(metric, dim), _value(metric, dim, shift=_FAR)
    require(
        right < wrong,
        f"it is {right:.4g} for the truth and {wrong:.4g} for points or a model far from it: "
        "metrics are losses, so return the negative value, or 1 - value",
    )


def lost_points_are_worst(metric: type[Measure], _: str, dim: int = 2) -> None:
    """Points that are not finite have its worst value."""
    if metric.needs != "samples":
        raise SkipTest("it does not look at points")
    dataset, points = _setting(metric, dim)
    points[3] = math.nan
    value = metric(dataset, points[10:]).measure(Subject(points))
    require(
        value == metric.worst,
        f"it is {value!r} where a point is not a number: override `value`, not `__call__`",
    )


CHECKS: tuple[Check, ...] = (
    its_name_is_no_column,
    truth_has_a_number,
    same_points_have_the_same_value,
    points_are_left_alone,
    smaller_is_better,
    lost_points_are_worst,
)
"""All checks, each called with the metric's class and its name."""


def _setting(metric: type[Measure], dim: int) -> tuple[Density, torch.Tensor]:
    """A dataset that the metric suits, and points of it."""
    dataset = plain_dataset(dim)
    reason = why_unfit(metric, Setting(dataset, levels=True, target=0.0))
    if reason is not None:
        raise SkipTest(reason)
    return dataset, dataset.sample(_POINTS, seeded(1))


def _value(metric: type[Measure], dim: int, shift: float = 0.0) -> float:
    """The value of the truth, or of what is far from it."""
    dataset, points = _setting(metric, dim)
    truth = dataset.sample(_POINTS, seeded(2))
    model = Normal(_FAR**2, dim=dim) if shift else ExactScore(dataset)
    return metric(dataset, truth).measure(Subject(points + shift, model))
