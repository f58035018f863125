"""Target score matching: a regression target from the score of the data themselves."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from ...bench.streams import generator
from ...datasets import get_density
from ...datasets.tabulate import fast_score
from ...methods.objectives.dsm import DSM
from ...methods.objectives.tsm import TSM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Panel, Table, grouped
from .measures import average, number, pick
from .tools import mean_error, trained_scores

# Floors of the loss at σ = 0.1 in closed form, and the level where the two methods' are equal.
_EXPECTED = {"8gaussians": (0.657, 0.359), "rings": (49.7, 0.113), "2spirals": (18.9, 0.157)}
_SIGMA = 0.1
# Level of training, below all crossings.
_LOW = 0.02
_OWN, _SIGN, _NOISE = "score of the noisy point", "unpaired sign", "noise for score"


def _crossing(table: Table, dataset: str) -> Measured:
    """Level where the floors of the two methods are equal, between levels on log scales."""
    target, noise = (
        pick(table, "floors", "floor", dataset=dataset, target=name).sort_values("sigma")
        for name in ("score", "noise")
    )
    gap = np.log(target["value"].to_numpy() / noise["value"].to_numpy())
    return Measured(float(np.exp(np.interp(0.0, gap, np.log(target["sigma"])))))


def _gain(table: Table) -> Measured:
    """Fisher divergence after training by target scores over that by noise."""
    first, second = (
        average(table, "training", "fisher_target", target=name).value
        for name in ("score", "noise")
    )
    return Measured(first / second)


@findings.register("target")
class TargetScore(Finding):
    """The score of the data is a far less noisy target than the noise, below a known level.

    E[∇log p(x)|y] is the score of p_σ at y = x + σε, so ∇log p(x) may stand for -ε/σ where it is
    known (De Bortoli et al. 2024). The floor of its loss is (I - I_σ)/2, that of denoising
    (d/σ² - I_σ)/2, with I_σ = E|∇log p_σ|²: they cross at σ = √(d/I). The finding measures both
    floors with the exact score, and trains networks below the crossing.

    Attributes:
        points: Points of a floor.
        steps: Training steps.
        seeds: Networks of each case.
    """

    points: int = Field(50_000, ge=1000)
    steps: int = Field(1500, ge=10)
    seeds: int = Field(2, ge=1)

    def parts(self) -> Parts:
        floors = {f"floors {name}": partial(self._floors, name) for name in _EXPECTED}
        return {**floors, "training": self._train}

    def _floors(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        x = dataset.sample(self.points, generator(self.seed, name, "points"))
        noise = torch.randn(x.shape, generator=generator(self.seed, name), dtype=x.dtype)
        clean, own = fast_score(dataset)(x), fast_score(dataset)
        rows = []
        for sigma in [_SIGMA, *(_EXPECTED[name][1] * np.geomspace(0.7, 1.4, 5)).tolist()]:
            y = x + sigma * noise
            score = dataset.score(y, sigma)
            information = [math.nan] * 2
            if sigma == _SIGMA:
                information = [dataset.fisher_information(s) for s in (0.0, sigma)]
            for target, wrong, values in (
                ("score", "", clean), ("score", _OWN, own(y)), ("noise", "", -noise / sigma),
                ("noise", _SIGN, noise / sigma),
            ):  # fmt: skip
                first = information[0] if target == "score" else dataset.dim / sigma**2
                value, error = mean_error(0.5 * (score - values).square().sum(1))
                rows.append(row("floors", "floor", value, error, (first - information[1]) / 2,
                                dataset=name, sigma=sigma, target=target, wrong=wrong))  # fmt: skip
        return rows

    def _train(self) -> list[TableRow]:
        dataset = get_density("8gaussians")
        rows = []
        for name, objective in (("noise", DSM()), ("score", TSM())):
            rows += trained_scores("training", ["fisher_target"], objective, dataset, _LOW,
                                   seed=self.seed, axes={"target": name}, width=64,
                                   seeds=self.seeds, steps=self.steps)  # fmt: skip
        return rows + as_wrong(_NOISE, rows[: self.seeds], target="score")

    sentence: ClassVar[str] = (
        "Targets from the score of the data are the less noisy ones up to σ = {3:.3f} on "
        "8gaussians, {4:.3f} on rings and {5:.3f} on 2spirals. After equal training at σ = 0.02 "
        "the Fisher divergence is {6:.2g} times that of denoising."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A30", f"{name}, σ = 0.1: loss of the exact score, a floor of (I - I_σ)/2",
                "De Bortoli et al. 2024",
                partial(number, experiment="floors", quantity="floor", dataset=name,
                        target="score", sigma=_SIGMA), slack=0.01 * floor, wrong=_OWN,
            )
            for name, (floor, _) in _EXPECTED.items()
        ),
        *(
            Claim(
                "A30", f"{name}: level at which that floor is denoising's", "√(d/I)",
                partial(_crossing, dataset=name), expected=place, slack=0.02 * place, wrong=_SIGN,
            )
            for name, (_, place) in _EXPECTED.items()
        ),
        Claim(
            "A30", f"8gaussians, σ = {_LOW}: Fisher divergence after training over denoising's",
            "De Bortoli et al. 2024", _gain, most=0.5, wrong=_NOISE,
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _OWN: "the target is ∇log p at the noisy point",
        _SIGN: "denoising's target is +ε/σ",
        _NOISE: "the networks with the score as target are trained by denoising",
    }
    panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(
            partial(grouped, quantity="floor", x="sigma", by="target", dataset=name),
            "noise σ",
            "floor of the loss",
            "xy",
        )
        for name in _EXPECTED
    )
    columns: ClassVar[int] = 3
