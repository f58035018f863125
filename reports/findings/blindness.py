"""Metrics that do not see the weights of distant modes, and one that does."""

import math
from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...bench.metrics.fisher import score_at
from ...bench.metrics.plane import nodes
from ...bench.streams import generator
from ...datasets import get_density
from ...datasets.base import Density
from ...datasets.mixture import GaussianMixture
from ...methods.reference.exact import ExactScore
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Series, Table, Theme, joined
from .measures import number, pick
from .tools import scored, scores

_TRUTH = "0.8, 0.2"
_KL = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)


def _equal(dataset: Density) -> GaussianMixture:
    centres: Tensor = dataset.centres  # type: ignore[attr-defined]
    return GaussianMixture(centres, 1.0, weights=(0.5, 0.5))


def _negative(dataset: Density) -> Density:
    """Give a density the wrong score +∇E."""

    def both(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        log_density, score = dataset.density_and_score(x, sigma)
        return log_density, -score

    other = copy(dataset)
    other.density_and_score = both  # type: ignore[method-assign]
    return other


def _box() -> Tensor:
    side = torch.linspace(-8, 8, 400, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def _gap(a: Density, b: Density, x: Tensor, sigma: float) -> Tensor:
    """Compute squared differences of two scores, shape (n,)."""
    return (a.score(x, sigma) - b.score(x, sigma)).square().sum(1)


def _by_weights(table: Table, quantity: str) -> Series:
    """A metric of points of the two modes, indexed by the weights of the modes."""
    return pick(table, "blind", quantity).set_index("weights")["value"]


def _sensitivity(table: Table, quantity: str, weights: str) -> Measured:
    """Change of a metric with wrong weights, in its standard deviations with the true ones."""
    values = _by_weights(table, quantity)
    true, wrong = values[_TRUTH], values[weights]
    return Measured(float((wrong.mean() - true.mean()) / true.std()))


def _reversal(table: Table) -> Measured:
    """KL divergence of the model with the lower Fisher divergence minus that of the other."""
    fisher, kl = (
        pick(table, "ranking", name).set_index("model")["value"] for name in ("fisher", "kl")
    )
    low, high = fisher.sort_values().index
    return Measured(float(kl[low] - kl[high]))


def _integral(table: Table, low: float = 0.0, high: float = math.inf) -> float:
    """Integrate σE|∇log p_σ - ∇log q_σ|² over levels, on a logarithmic scale."""
    rows = pick(table, "levels", "per log σ")
    inside = rows[(rows["sigma"] >= low) & (rows["sigma"] <= high)]
    return float(np.trapezoid(inside["value"], np.log(inside["sigma"])))


def _whole(table: Table) -> Measured:
    """That integral, and the KL divergence left at the last level."""
    return Measured(_integral(table) + float(pick(table, "levels", "kl")["value"].iloc[-1]))


def _share(table: Table) -> Measured:
    return Measured(_integral(table, 3, 30) / _integral(table))


def _fine(table: Table) -> Measured:
    """Half the divergence of scores at the level nearest to 0.1."""
    rows = pick(table, "levels", "divergence")
    nearest = int((rows["sigma"].map(math.log10) + 1).abs().argmin())
    return Measured(0.5 * float(rows["value"].iloc[nearest]))


def _draw_blind(axis: Axes, table: Table, theme: Theme) -> None:
    for k, name in enumerate(("ksd", "sw1")):
        metric = _by_weights(table, name)
        groups = list(dict.fromkeys(metric.index))
        for i, weights in enumerate(groups):
            values = (metric[weights] - metric[_TRUTH].mean()) / metric[_TRUTH].std()
            x = [i + 0.2 * (2 * k - 1) + 0.02 * (j - len(values) / 2) for j in range(len(values))]
            label = name.upper() if i == 0 else ""
            axis.plot(x, values, "os"[k], color=theme.palette[k], markersize=3, label=label)
    axis.set_yscale("symlog", linthresh=3)
    axis.set_xticks(range(len(groups)), groups)


def _draw_levels(axis: Axes, table: Table, theme: Theme) -> None:
    for k, name in enumerate(("per log σ", "kl")):
        rows = pick(table, "levels", name)
        label = ("σ²E|∇log p_σ - ∇log q_σ|²", "KL(p_σ, q_σ)")[k]
        joined(axis, rows["sigma"], rows["value"], theme, k, label)


@findings.register("blindness")
class Blindness(Finding):
    """Scores of the data are blind to the weights of distant modes; all noise levels together see.

    Where modes are far apart, weights change the score only where there are no data, so KSD and the
    Fisher divergence hardly see them (Wenliang and Kanagawa 2020). Noise brings the modes together:
    KL(p, q) is the integral of σE|∇log p_σ - ∇log q_σ|² over σ, plus the KL divergence at the last
    level (Song et al. 2021, theorem 1). The finding scores points of two modes with correct and
    wrong weights, ranks a model with wrong weights and one that is too wide, and splits the KL
    divergence of equal weights over levels by quadrature.

    Attributes:
        repeats: Sets of points.
        levels: Noise levels from 0.01 to 100.
    """

    repeats: int = Field(10, ge=3)
    levels: int = Field(81, ge=9)

    def parts(self) -> Parts:
        return {"metrics": self._blind, "ranking": self._ranking, "levels": self._levels}

    def _blind(self) -> list[TableRow]:
        dataset = get_density("two_modes")
        rows = []
        for weights, weight in ((_TRUTH, 0.8), ("0.5, 0.5", 0.5), ("1, 0", 1.0)):
            for k in range(self.repeats):
                stream = generator(self.seed, "blind", weights, k)
                first = torch.rand(1000, generator=stream) < weight
                centre = torch.where(first.unsqueeze(1), 5.0, -5.0).double()
                x = centre + torch.randn(1000, 2, generator=stream, dtype=torch.float64)
                axes: TableRow = {"weights": weights, "repeat": k, "dataset": "two_modes"}
                names = ["ksd", "sw1", "mode_error"]
                rows += scored("blind", names, dataset, self.seed + k, x, **axes)
                rows += scored("blind", ["ksd"], _negative(dataset), self.seed + k, x, **axes,
                               wrong="wrong sign")  # fmt: skip
                truth = dataset.sample(len(x), generator(self.seed + k, "truth"))
                across, other = (
                    (points[:, 0] - points[:, 1]).sort().values for points in (x, truth)
                )
                distance = float((across - other).abs().mean()) / math.sqrt(2)
                rows.append(row("blind", "sw1", distance, **axes, wrong="one direction"))
        return rows

    def _ranking(self) -> list[TableRow]:
        """Score two models: one has wrong weights, the other is slightly too wide."""
        dataset = get_density("two_modes")
        models = {
            "equal weights": ExactScore(_equal(dataset)),
            "smoothed": ExactScore(dataset, 0.3),
        }
        rows = []
        for label, model in models.items():
            x = dataset.sample(1000, generator(self.seed, "ranking"))
            model.is_truth = False
            axes: TableRow = {"model": label, "dataset": "two_modes"}
            rows += scored("ranking", ["fisher", "kl"], dataset, self.seed, x, model, **axes)
            reverse = scores(["kl_reverse"], dataset, self.seed, x, model)["kl_reverse"]
            rows.append(row("ranking", "kl", reverse, **axes, wrong="KL reversed"))
            error = score_at(model, _box(), 0.0) - dataset.score(_box())
            even = 0.5 * float(error.square().sum(1).mean())
            rows.append(row("ranking", "fisher", even, **axes, wrong="even weights"))
        return rows

    def _levels(self) -> list[TableRow]:
        """Split the KL divergence of wrong weights over levels of noise."""
        dataset = get_density("two_modes")
        equal = _equal(dataset)
        sigmas = torch.logspace(-2, 2, self.levels, dtype=torch.float64)
        rows = []
        for sigma in sigmas.tolist():
            x, mass, log_prob, _ = nodes(dataset, sigma)
            gap = _gap(equal, dataset, x, sigma)
            density, even = (
                float((gap * mass).sum()),
                float(_gap(equal, dataset, _box(), sigma).mean()),
            )
            kl = float(((log_prob - equal.log_prob(x, sigma)) * mass).sum())
            for quantity, value, wrong in (
                ("divergence", density, ""), ("divergence", even, "even weights"),
                ("per log σ", sigma**2 * density, ""), ("per log σ", sigma * density, "no σ"),
                ("kl", kl, ""),
            ):  # fmt: skip
                rows.append(row("levels", quantity, value, sigma=sigma, wrong=wrong))
        return rows

    sentence: ClassVar[str] = (
        "Equal weights in place of 0.8 and 0.2 change SW1 by {2:.0f} standard deviations of its "
        "noise, and KSD by {0:.1f}. Half the Fisher divergence at σ = 0.1 is {7:.0e}; its "
        "integral over all levels is {6:.4f} of KL 0.1927, {8:.0%} of it from σ = 3 to 30."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A14", "KSD of points with equal weights, in standard deviations of the truth's",
            "Wenliang and Kanagawa 2020", partial(_sensitivity, quantity="ksd", weights="0.5, 0.5"),
            least=-3, most=3, wrong="wrong sign",
        ),
        Claim(
            "A14", "KSD of points that are all in one mode", "Wenliang and Kanagawa 2020",
            partial(_sensitivity, quantity="ksd", weights="1, 0"), least=-3, most=3,
            wrong="wrong sign",
        ),
        Claim(
            "A14", "SW1 of points with equal weights, in the same units: clearly different",
            "mass × distance", partial(_sensitivity, quantity="sw1", weights="0.5, 0.5"), least=10,
            wrong="one direction",
        ),
        Claim(
            "A14", "Fisher divergence of the model with equal weights", "distant modes",
            partial(number, experiment="ranking", quantity="fisher", model="equal weights"),
            expected=0.0, slack=1e-6, wrong="even weights",
        ),
        Claim(
            "A14", "KL divergence of the model with equal weights",
            "0.8 log(0.8/0.5) + 0.2 log(0.2/0.5)",
            partial(number, experiment="ranking", quantity="kl", model="equal weights"),
            expected=_KL, slack=1e-3, wrong="KL reversed",
        ),
        Claim(
            "A17", "a score matching loss and likelihood rank models differently: KL of the one "
            "with the lower Fisher divergence minus KL of the other",
            "Song et al. 2019, table 1 (on images)", _reversal, least=0.1,
            wrong="even weights",
        ),
        Claim(
            "A24", "integral of σE|∇log p_σ - ∇log q_σ|² over σ for equal weights q, plus the KL "
            "divergence at the last σ: KL(p, q)", "Song et al. 2021, theorem 1", _whole,
            expected=_KL, slack=1e-3, wrong="no σ",
        ),
        Claim(
            "A24", "half the Fisher divergence of p_σ and q_σ at σ = 0.1", "distant modes", _fine,
            most=1e-9, wrong="even weights",
        ),
        Claim(
            "A24", "share of that integral from σ = 3 to 30", "quadrature", _share, expected=0.9,
            slack=0.02, wrong="no σ",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "wrong sign": "KSD takes +∇E for the score",
        "one direction": "SW1 of a single projection, across the line through the modes",
        "even weights": "the Fisher divergence is a mean over the box, not over the data",
        "KL reversed": "KL(model, p) in place of KL(p, model)",
        "no σ": "levels are integrated over dσ without the factor σ",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            _draw_blind,
            "weights of the points (truth: 0.8, 0.2)",
            "standard deviations above the truth's",
        ),
        Panel(_draw_levels, "noise σ", "nats", "x"),
    )
