"""Score matching on a bounded support: why it fails, and the weight that cures it."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.metrics.fisher import score_at
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.objectives.ism import ISM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme, joined
from .measures import average, number, pick
from .tools import mean_error, train

_PLAIN, _SLOPE = "no weight", "slope of the weight left out"


class _Weighted(ISM):
    """E[h·(tr ∇s + ½|s|²) + ∇h·s], h = 0 where the support ends (Hyvärinen 2007; Yu et al. 2019).

    On the checkerboard h is the product over coordinates of the distance from the edges of a square
    of side 2.
    """

    def loss(self, model: Any, x: Tensor, rng: Any, **options: Any) -> Tensor:  # noqa: ARG002
        members, points, dim = x.shape
        axes = torch.eye(dim, dtype=x.dtype).view(1, dim, 1, dim).repeat(members, 1, points, 1)
        score, second = model.score_and_curvature(x, axes)
        place = x % 2 - 1
        away = 1 - place.abs()
        slope = -place.sign() * away.flip(-1)
        inside = away.prod(-1) * (second.sum(1) + 0.5 * score.square().sum(-1))
        value: Tensor = (inside + (slope * score).sum(-1)).mean(-1)
        return value


def _fall(table: Table) -> Measured:
    """Loss at the end minus loss half way."""
    rows = pick(table, "training", "loss")
    last = rows["step"].max()
    half = rows[(rows["step"] > 0.4 * last) & (rows["step"] <= 0.5 * last)]["value"].mean()
    end = rows[rows["step"] > 0.9 * last]
    return Measured(float(end["value"].mean() - half), float(end["error"].mean()))


def _draw_losses(axis: Axes, table: Table, theme: Theme) -> None:
    rows = pick(table, "training", "loss")
    joined(axis, rows["step"], rows["value"], theme, 0, "weighted, checkerboard")


@findings.register("truncated")
class Truncated(Finding):
    """Where a support ends, score matching needs a weight that is 0 there.

    Integration by parts leaves p·s at the ends of the support. For p(x) ∝ e^(θx) on [0, 1] the loss
    is ½θ²: its minimum is at 0, whatever θ is. With a weight h that is 0 at the ends it is
    E[h½θ² + h'θ], whose minimum is θ itself (Hyvärinen 2007; Yu, Drton and Shojaie 2019). The same
    weight cures the checkerboard, where the loss of the finding ``illposed`` falls without bound.

    Attributes:
        points: Points of a fit of θ = 1.
        repeats: Fits.
        steps: Training steps.
        seeds: Networks.
    """

    points: int = Field(10_000, ge=100)
    repeats: int = Field(100, ge=10)
    steps: int = Field(2000, ge=100)
    seeds: int = Field(2, ge=2)

    def parts(self) -> Parts:
        return {
            "fits": self._fits,
            "weighted": partial(self._train, ""),
            _PLAIN: partial(self._train, _PLAIN),
        }

    def _fits(self) -> list[TableRow]:
        stream = generator(self.seed, "truncated")
        u = torch.rand(self.repeats, self.points, generator=stream, dtype=torch.float64)
        x = torch.log1p(u * (math.e - 1))
        weight, slope = (x * (1 - x)).mean(1), (1 - 2 * x).mean(1)
        rows = []
        for loss, wrong, estimates, expected in (
            ("weighted", "", -slope / weight, 1.0),
            ("weighted", _SLOPE, 0 * slope, 1.0),
            ("plain", "", 0 * slope, 0.0),
            ("plain", "weighted", -slope / weight, 0.0),
        ):  # fmt: skip
            value, error = mean_error(estimates)
            rows.append(row("fits", "θ", value, error, expected, loss=loss, wrong=wrong))
        return rows

    def _train(self, wrong: str) -> list[TableRow]:
        dataset = get_density("checkerboard")
        trained = train(ISM() if wrong else _Weighted(), {}, dataset, seed=self.seed,
                        seeds=self.seeds, steps=self.steps, width=64,
                        learning_rate=3e-3)  # fmt: skip
        rows = []
        for group in trained.curve.split(4):
            value, error = mean_error(group[:, 1:].mean(0))
            rows.append(row("training", "loss", value, error, step=int(group[-1, 0]), wrong=wrong))
        x = dataset.sample(20_000, generator(self.seed, "inside"))
        x = x[(x % 2 - 1).abs().amax(1) < 0.75]
        for k, model in enumerate(trained.models):
            square = float(score_at(model, x, 0.0).square().sum(1).mean())
            rows.append(row("training", "squared score inside", square, seed=k, wrong=wrong))
        return rows

    sentence: ClassVar[str] = (
        "From p ∝ eˣ on [0, 1] score matching estimates θ = {0:.2f} without a weight and {1:.3f} "
        "with one. On the checkerboard the weight leaves a squared score of {2:.2g} inside, where "
        "the truth is 0."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A28", "p ∝ eˣ on [0, 1]: estimate of θ = 1 without a weight", "Hyvärinen 2007",
            partial(number, experiment="fits", quantity="θ", loss="plain"), wrong="weighted",
        ),
        Claim(
            "A28", "the same with the weight x(1 - x)", "Yu et al. 2019",
            partial(number, experiment="fits", quantity="θ", loss="weighted"), wrong=_SLOPE,
        ),
        Claim(
            "A28", "checkerboard, weighted: mean squared score inside the squares, truly 0",
            "Yu et al. 2019", partial(average, experiment="training",
            quantity="squared score inside"), most=0.5, wrong=_PLAIN,
        ),
        Claim(
            "A28", "checkerboard, weighted: loss at the end minus loss half way", "Yu et al. 2019",
            _fall, least=-0.2, wrong=_PLAIN,
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _PLAIN: "the loss has no weight",
        _SLOPE: "the term ∇h·s is left out",
        "weighted": "the loss has a weight",
    }
    panels: ClassVar[tuple[Panel, ...]] = (Panel(_draw_losses, "training step", "loss"),)
