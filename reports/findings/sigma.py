"""The noise of denoising score matching: bias, variance, and the best level."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from ...bench.metrics.fisher import score_at
from ...bench.streams import generator
from ...datasets import get_density
from ...datasets.quadrature import grid
from ...methods.normal_model import NormalModel
from ...methods.objectives.dsm import DSM
from ...methods.reference.exact import ExactScore
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Axes, Panel, Series, Table, Theme, grouped, measured, repeated, ticks
from .measures import end_ratio, largest_deviation, number, pick
from .tools import Crowd, Fixed, full, mean_error, scores, train, trained_scores, variance_error

_FLOORS = ("8gaussians", "rings", "checkerboard", "2spirals")
_BIASED = ("8gaussians", "rings")
_HELD_OUT = 200_000


def _best_noise(table: Table) -> Measured:
    rows = pick(table, "efficiency", "variance ratio")
    return Measured(float(rows["u"].iloc[int(rows["value"].argmin())]))


def _mean_kl(table: Table, dataset: str) -> Series:
    """Mean KL divergence by noise level."""
    return pick(table, "sweep", "kl", dataset=dataset).groupby("sigma")["value"].mean()


def _edge(table: Table, dataset: str, *, wide: bool) -> Measured:
    """KL divergence at the largest or smallest noise level, over the least."""
    mean = _mean_kl(table, dataset)
    return Measured(float(mean.iloc[-1 if wide else 0] / mean.min()))


_floor = partial(number, experiment="floor")


def _relative_excess(table: Table, dataset: str) -> Measured:
    """Excess of a trained network's loss over the floor, relative to the floor."""
    excess, floor = (
        _floor(table, quantity=name, dataset=dataset) for name in ("excess loss", "floor")
    )
    return Measured(excess.value / floor.value)


_low_density = partial(
    end_ratio, experiment="where", quantity="squared error", axis="log_density", last=False
)


def _rank_correlation(table: Table) -> Measured:
    rows = pick(table, "where", "squared error")
    return Measured(float(rows["value"].rank().corr(rows["log_density"].rank())))


def efficiency(u: Any) -> Any:
    """Variance of the unbiased estimate from DSM, over that of maximum likelihood.

    Data are N(0, 1/λ), the model's score is -θx and u = σ²λ: DSM's minimiser estimates
    1/(1/λ + σ²), and 1/(1/θ - σ²) estimates λ.
    """
    return (1 + u) ** 2 / (2 * u)


def _draw_sweep(axis: Axes, table: Table, theme: Theme) -> None:
    for k, name in enumerate(("8gaussians", "rings")):
        rows = pick(table, "sweep", "kl", dataset=name)
        bias = pick(table, "bias", "kl", dataset=name).sort_values("sigma")
        bias = bias[bias["sigma"] >= rows["sigma"].min()]
        colour, label = theme.palette[k], f"KL(p, p_σ), {name}"
        axis.plot(bias["sigma"], bias["value"], "--", color=colour, linewidth=1, label=label)
        repeated(axis, "sigma", rows, theme, k, f"dsm, {name}")
        ticks(axis, rows["sigma"])
    axis.set_ylim(1e-3, None)


def _draw_efficiency(axis: Axes, table: Table, theme: Theme) -> None:
    rows = pick(table, "efficiency", "variance ratio")
    u = np.geomspace(rows["u"].min(), rows["u"].max(), 200)
    axis.plot(u, efficiency(u), color=theme.faint, linewidth=1.1, label="(1 + u)²/2u")
    measured(axis, "u", rows, theme, 0, "dsm on a normal, bias taken out")
    axis.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axis.minorticks_off()


def _draw_floors(axis: Axes, table: Table, theme: Theme) -> None:
    network = pick(table, "floor", "excess loss")
    floor = pick(table, "floor", "loss of the exact score")
    exact = floor.assign(value=floor["value"] - floor["expected"])
    x = np.arange(len(network))
    measured(axis, x - 0.08, exact, theme, 0, "exact score")
    measured(axis, x + 0.08, network, theme, 1, "network")
    label = "its Fisher divergence to p_σ"
    axis.plot(x + 0.08, network["expected"], "_", color=theme.ink, markersize=14, label=label)
    axis.axhline(0, color=theme.faint, linewidth=1)
    axis.set_xticks(x, list(network["dataset"]))


@findings.register("sigma")
class Sigma(Finding):
    """Noise in denoising score matching: its floor, bias and variance, and the best level.

    DSM learns the score of p_σ: its loss has the floor d/2σ² - ½E|∇log p_σ|², its excess over the
    floor is the Fisher divergence to p_σ, and even a perfect network is KL(p, p_σ) from the data.
    Small σ makes the regression target noisy: on a normal the variance, without the bias, is
    (1 + u)²/2u times that of maximum likelihood, u = σ²λ. Networks trained at many σ have their
    least KL divergence in between. The errors of the score lie where there are no data.

    Attributes:
        steps: Training steps.
        seeds: Networks of each case.
        width: Units of each of the two hidden layers.
        learning_rate: First learning rate of Adam; it falls as a cosine.
        sigmas: Noise levels of the sweep.
        level: Noise level of the floors and of the errors by density.
        ratios: Ratios u of the noise's variance to that of the data.
        fits: Fits of a normal at each u.
        sample: Points of a fit; few points and large noise add a bias that the formula leaves out.
    """

    steps: int = Field(3000, ge=100)
    seeds: int = Field(2, ge=1)
    width: int = Field(128, ge=8)
    learning_rate: float = Field(3e-3, gt=0)
    sigmas: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
    level: float = Field(0.1, gt=0)
    ratios: tuple[float, ...] = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
    fits: int = Field(1000, ge=100)
    sample: int = Field(5000, ge=100)

    def parts(self) -> Parts:
        return {
            **{f"sweep {name} {s:g}": partial(self._sweep, name, s)
               for name in _BIASED for s in self.sigmas},
            **{f"floor {name}": partial(self._floor, name) for name in _FLOORS},
            "bias": self._bias, "efficiency": self._efficiency,
        }  # fmt: skip

    def _bias(self) -> list[TableRow]:
        return [
            row("bias", "kl", grid(get_density(name), 0.0).kl_to(factor * s), dataset=name,
                sigma=s, wrong=wrong)
            for name in _BIASED
            for s in sorted({*self.sigmas, 0.05, 0.1, 0.2, 0.3})
            for wrong, factor in (("", 1.0), ("doubled noise", math.sqrt(2)))
        ]  # fmt: skip

    def _efficiency(self) -> list[TableRow]:
        rows = []
        for u in self.ratios:
            sigma = math.sqrt(u)
            stream = Crowd(generator(self.seed, "efficiency", str(u)), self.fits, torch.float64)
            x, noise = (stream.normal(self.sample, 1) for _ in range(2))
            # The loss is a parabola in the factor: its slopes at 0 and 1 give the minimum.
            slopes = []
            for value in (0.0, 1.0):
                factors = full(self.fits, value, torch.float64).requires_grad_()
                model: Any = NormalModel(factors, 1.0, 0.0)
                level = full(self.fits, sigma, torch.float64)
                loss = DSM().loss(model, x, Fixed(noise), sigma=level).sum()
                slopes.append(torch.autograd.grad(loss, factors)[0].flatten())
            theta = slopes[0] / (slopes[0] - slopes[1])
            for wrong, estimate in (("", 1 / (1 / theta - u)), ("bias left in", theta)):
                # Maximum likelihood has variance 2λ²/N.
                value, error = (v * self.sample / 2 for v in variance_error(estimate))
                rows.append(row("efficiency", "variance ratio", value, error, efficiency(u), u=u,
                                wrong=wrong))  # fmt: skip
        return rows

    def _sweep(self, name: str, sigma: float) -> list[TableRow]:
        dataset = get_density(name)
        rows = trained_scores("sweep", ["kl", "fisher", "fisher_target"], DSM(), dataset, sigma,
                              seed=self.seed, axes={"dataset": name, "sigma": sigma},
                              steps=self.steps, seeds=self.seeds, width=self.width,
                              learning_rate=self.learning_rate)  # fmt: skip
        own = [r for r in rows if r["quantity"] == "fisher_target"]
        rows += as_wrong("DSM's own loss", own, quantity="kl")
        return rows + [
            {
                **each,
                "quantity": "kl",
                "value": sigma**4 * each["value"],
                "wrong": "DEEN's own loss",
            }
            for each in own
        ]

    def _floor(self, name: str) -> list[TableRow]:
        dataset, sigma = get_density(name), self.level
        (model,) = train(DSM(), {"sigma": sigma}, dataset, seed=self.seed, seeds=1,
                         steps=self.steps, width=self.width, schedule="cosine",
                         learning_rate=self.learning_rate).models  # fmt: skip
        floor = dataset.dim / (2 * sigma**2) - 0.5 * dataset.fisher_information(sigma)
        x = dataset.sample(_HELD_OUT, generator(self.seed, name, "held out"))
        noise = torch.randn(x.shape, generator=generator(self.seed, name), dtype=x.dtype)
        fisher = scores(["fisher_target"], dataset, self.seed, x[:2], model, sigma)["fisher_target"]
        axes: TableRow = {"dataset": name, "sigma": sigma}
        rows = [row("floor", "floor", floor, **axes)]
        for wrong, level, sign in (
            ("", 1.0, 1.0), ("doubled noise", math.sqrt(2), 1.0), ("wrong sign", 1.0, -1.0),
        ):  # fmt: skip
            y = x + level * sigma * noise
            truth = score_at(ExactScore(dataset, sigma), y, sigma)
            losses, exact = (
                0.5 * (score + noise / sigma).square().sum(1)
                for score in (sign * score_at(model, y, sigma), truth)
            )
            for quantity, values, expected in (
                ("loss of the exact score", exact, floor), ("excess loss", losses - exact, fisher),
            ):  # fmt: skip
                value, error = mean_error(values)
                rows.append(row("floor", quantity, value, error, expected, **axes, wrong=wrong))
        return rows + (self._where(model, name) if name == "8gaussians" else [])

    def _where(self, model: Any, name: str) -> list[TableRow]:
        """Measure errors of the score on a grid over the box, by density."""
        dataset, sigma = get_density(name), self.level
        axis = torch.linspace(-dataset.extent, dataset.extent, 200, dtype=torch.float64)
        x = torch.cartesian_prod(axis, axis)
        log_density = dataset.log_prob(x, sigma)
        errors = (score_at(model, x, sigma) - dataset.score(x, sigma)).square().sum(1)
        rows = []
        for group in log_density.argsort().chunk(10):
            middle = float(log_density[group].median())
            for wrong, power in (("", 0), ("by density", 1)):
                weight = torch.exp(power * log_density[group])
                value, error = mean_error(errors[group] * weight)
                rows.append(row("where", "squared error", value, error, dataset=name, sigma=sigma,
                                log_density=middle, wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "DSM's loss ends {8:.1%} above its exact floor on 8gaussians. KL divergence from the data "
        "is {15:.1f} times its least at the smallest σ, where the target is noise, and {16:.1f} "
        "times at the largest, where the bias KL(p, p_σ) dominates. The squared error of the "
        "score is {19:.0f} times as large where the density is lowest as where it is highest."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A5", f"DSM's loss of the exact score on {name} is its floor", "Vincent 2011",
                partial(_floor, quantity="loss of the exact score", dataset=name),
                wrong="doubled noise",
            )
            for name in _FLOORS
        ),
        *(
            Claim(
                "A5", f"excess of a network's held-out loss on {name} is its Fisher divergence to "
                "p_σ", "Vincent 2011",
                partial(_floor, quantity="excess loss", dataset=name), slack=2e-3,
                wrong="wrong sign",
            )
            for name in _FLOORS
        ),
        Claim(
            "A5", "that excess on 8gaussians over the floor: small", "consistency",
            partial(_relative_excess, dataset="8gaussians"), most=0.02,
            wrong="wrong sign",
        ),
        *(
            Claim(
                "A6", f"bias: KL(p, p_σ) on {name} at σ = {sigma:g}, by quadrature", "integral",
                partial(number, experiment="bias", quantity="kl", dataset=name, sigma=sigma),
                expected=kl, slack=0.006 * kl, wrong="doubled noise",
            )
            for name, sigma, kl in (
                ("8gaussians", 0.1, 0.00285), ("8gaussians", 0.3, 0.12118), ("rings", 0.1, 0.165),
                ("rings", 0.3, 0.787),
            )
        ),
        Claim(
            "A6", "variance of DSM on a normal over maximum likelihood's: largest deviation from "
            "(1 + u)²/2u in standard errors", "delta method",
            partial(largest_deviation, experiment="efficiency", quantity="variance ratio"),
            most=4.0, wrong="bias left in",
        ),
        Claim(
            "A6", "noise variance over data variance where that is smallest", "(1 + u)²/2u",
            _best_noise, expected=1.0, wrong="bias left in",
        ),
        *(
            Claim(
                "A6", f"KL divergence on {name} at the {side} σ over the least: U-shape",
                "bias and variance", partial(_edge, dataset=name, wide=side == "largest"),
                least=least, wrong=wrong,
            )
            for name in _BIASED
            for side, least, wrong in (
                ("smallest", 1.5, "DEEN's own loss"), ("largest", 1.1, "DSM's own loss"),
            )
        ),
        Claim(
            "A20", "squared error of the score where the density is lowest over where it is "
            "highest", "Song and Ermon 2019, figure 2", _low_density, least=10.0,
            wrong="by density",
        ),
        Claim(
            "A20", "rank correlation of that error with the density over ten bins",
            "Song and Ermon 2019, figure 2", _rank_correlation, most=-0.8,
            wrong="by density",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "doubled noise": "the noise has the variance 2σ², the target that of σ²",
        "wrong sign": "the score of an energy is +∇E",
        "bias left in": "DSM's minimiser stands for λ itself",
        "DSM's own loss": "levels are compared by the excess of DSM's loss at each",
        "DEEN's own loss": "levels are compared by the excess of DEEN's loss at each",
        "by density": "errors are weighted by the density, as in the loss",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(_draw_sweep, "noise σ", "KL divergence from the data", "xy"),
        Panel(_draw_efficiency, "u: variance of the noise over that of the data",
              "variance over maximum likelihood's", "xy"),
        Panel(_draw_floors, y="held-out loss above the floor"),
        Panel(partial(grouped, quantity="squared error", x="log_density"),
              "log density of 8gaussians, smoothed", "squared error of the score", "y"),
    )  # fmt: skip
