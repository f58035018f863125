"""Implicit score matching of a density with jumps: a loss without a lower bound."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from pydantic import Field

from ...bench.metrics.fisher import score_at
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.objectives.ism import ISM
from ...methods.objectives.ssm import SSM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Axes, Panel, Table, Theme
from .measures import number, pick
from .tools import mean_error, train

# Method, dataset and noise on the data, without and with a lower bound of the loss.
_UNBOUNDED = (("ism", "checkerboard", 0.0), ("ssm", "checkerboard", 0.0))
_BOUNDED = (("ism", "checkerboard", 0.2), ("ism", "8gaussians", 0.0))
_NOISE = "noise on the data"
# Share of the steps that the loss at the end is averaged over.
_END = 0.1


def _case(table: Table, method: str, dataset: str, noise: float) -> Table:
    return pick(table, "training", "loss", method=method, dataset=dataset, data_noise=noise)


def _end(table: Table, method: str, dataset: str, noise: float) -> Measured:
    """Loss over the last tenth of the steps."""
    rows = _case(table, method, dataset, noise)
    last = rows[rows["step"] > (1 - _END) * rows["step"].max()]
    return Measured(float(last["value"].mean()), float(last["error"].mean()))


def _still_falling(table: Table, method: str, dataset: str, noise: float) -> Measured:
    """Loss at the end minus loss half way."""
    rows = _case(table, method, dataset, noise)
    last = rows["step"].max()
    half = rows[(rows["step"] > (0.5 - _END) * last) & (rows["step"] <= 0.5 * last)]
    end = _end(table, method, dataset, noise)
    return Measured(end.value - float(half["value"].mean()), end.error)


def _over_floor(table: Table, method: str, dataset: str, noise: float) -> Measured:
    """Loss at the end over the least possible loss, both negative: at most 1."""
    floor = _case(table, method, dataset, noise)["expected"].iloc[0]
    value, error, _ = _end(table, method, dataset, noise)
    return Measured(value / floor, error / abs(floor))


def _squared(table: Table, method: str, dataset: str, noise: float) -> Measured:
    conditions = {"method": method, "dataset": dataset, "data_noise": noise}
    return number(table, "score", "squared score inside", **conditions)


def _draw_curves(
    axis: Axes, table: Table, theme: Theme, cases: Sequence[tuple[str, str, float]]
) -> None:
    """Losses by training step; the least possible loss is dashed."""
    for k, (method, dataset, noise) in enumerate(cases):
        rows = _case(table, method, dataset, noise)
        label = f"{method} on {dataset}" + (f", noise {noise:g}" if noise else "")
        step, value, error = (rows[name] for name in ("step", "value", "error"))
        colour, half = theme.palette[k], 1.96 * error
        axis.plot(step, value, color=colour, linewidth=1.2, label=label)
        axis.fill_between(step, value - half, value + half, color=colour, alpha=0.2, linewidth=0)
        floor = rows["expected"].iloc[0]
        if floor > -math.inf:
            axis.axhline(floor, color=colour, linestyle="--", linewidth=1)


@findings.register("illposed")
class IllPosed(Finding):
    """On the checkerboard the loss of implicit score matching falls without bound.

    E[tr ∇s + ½|s|²] is the Fisher divergence up to a constant only if p·s vanishes where the
    support ends (Hyvärinen 2005). For a uniform density it is the flux of s through the edges plus
    ½E|s|², which a boundary layer of width δ makes as low as -2/δ here, although the true score is
    0 inside. The finding trains networks with and without noise on the data, and on a smooth
    density for comparison; with noise the least loss is -½E|∇log p_σ|².

    Attributes:
        steps: Training steps.
        seeds: Networks of each case.
        width: Units of each of the two hidden layers.
        learning_rate: Learning rate of Adam.
    """

    steps: int = Field(3000, ge=100)
    seeds: int = Field(3, ge=2)
    width: int = Field(128, ge=8)
    learning_rate: float = Field(3e-3, gt=0)

    def parts(self) -> Parts:
        return {
            f"{method} {dataset} {noise:g}": partial(self._train, method, dataset, noise)
            for method, dataset, noise in (*_UNBOUNDED, *_BOUNDED, ("ssm", "checkerboard", 0.2))
        }

    def _train(self, method: str, name: str, noise: float) -> list[TableRow]:
        dataset = get_density(name)
        options: TableRow = {"data_noise": noise} if noise else {}
        if method == "ssm":
            options |= {"n_slices": 1, "slice_kind": "gaussian"}
        objective = ISM() if method == "ism" else SSM()
        only_wrong = method == "ssm" and noise > 0
        trained = train(objective, options, dataset, seed=self.seed,
                        seeds=2 if only_wrong else self.seeds, steps=self.steps, width=self.width,
                        learning_rate=self.learning_rate)  # fmt: skip
        floor = (
            -math.inf if noise < dataset.score_from else -0.5 * dataset.fisher_information(noise)
        )
        axes: TableRow = {"method": method, "dataset": name, "data_noise": noise}
        rows = []
        for group in trained.curve.split(4):
            value, error = mean_error(group[:, 1:].mean(0))
            step = int(group[-1, 0])
            rows.append(row("training", "loss", value, error, floor, step=step, **axes))
        x = dataset.sample(20_000, generator(self.seed, "inside"))
        if name == "checkerboard":
            # Points more than 0.25 from every edge, where the density is constant.
            x = x[((x.abs() % 2) - 1).abs().amax(1) < 0.75]
        squares = [score_at(model, x, 0.0).square().sum(1).mean() for model in trained.models]
        value, error = mean_error(torch.stack(squares))
        rows.append(row("score", "squared score inside", value, error, **axes))
        if name != "checkerboard":
            # The floor of a loss whose squared score is not halved.
            return rows + as_wrong("no ½", rows[:-1], expected=2 * floor)
        if not noise and method == "ssm":
            return rows
        if not noise:
            bound = -0.5 * dataset.fisher_information(0.2)
            return rows + as_wrong("no noise", rows[:-1], data_noise=0.2, expected=bound)
        wrong = as_wrong(_NOISE, rows, data_noise=0.0)
        return wrong if only_wrong else rows + wrong

    sentence: ClassVar[str] = (
        "On checkerboard the loss of implicit score matching ends at {0:.1f} and still falls "
        "({2:+.1f} over the second half), while the true score is 0 inside; with noise of 0.2 on "
        "the data it settles at {4:.2f} times the least loss."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A13", f"{method} on checkerboard: loss at the end", "boundary layer: -2/δ",
                partial(_end, method=method, dataset="checkerboard", noise=0.0), most=most,
                wrong=_NOISE,
            )
            for method, most in (("ism", -8.0), ("ssm", -5.0))
        ),
        Claim(
            "A13", "ism on checkerboard: loss at the end minus loss half way: still falling",
            "boundary layer: -2/δ",
            partial(_still_falling, method="ism", dataset="checkerboard", noise=0.0), most=-0.5,
            wrong=_NOISE,
        ),
        Claim(
            "A13", "ism on checkerboard: mean squared score inside the squares, truly 0",
            "uniform density",
            partial(_squared, method="ism", dataset="checkerboard", noise=0.0), least=2.0,
            wrong=_NOISE,
        ),
        Claim(
            "A13", "ism on checkerboard with data noise 0.2: loss at the end over the least loss",
            "Song and Ermon 2019, section 3.1",
            partial(_over_floor, method="ism", dataset="checkerboard", noise=0.2),
            least=0.8, most=1.02, wrong="no noise",
        ),
        Claim(
            "A13", "ism on 8gaussians, a smooth density: loss at the end over the least loss",
            "Hyvärinen 2005", partial(_over_floor, method="ism", dataset="8gaussians", noise=0.0),
            least=0.9, most=1.05, wrong="no ½",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _NOISE: "noise of 0.2 is added to the data in every batch",
        "no noise": "the noise is drawn and not added, while the least loss counts on it",
        "no ½": "the least loss is taken for -E|∇log p|²",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(_draw_curves, cases=_UNBOUNDED), "training step", "loss"),
        Panel(
            partial(_draw_curves, cases=_BOUNDED),
            "training step",
            "loss (dashed: the least possible)",
        ),
    )
