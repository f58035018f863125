"""A control variate for denoising score matching."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_dataset, get_density
from ...methods.network_model import NetworkModel
from ...methods.networks import MLP
from ...methods.objectives.dsm import DSM
from ...methods.objectives.dsm_cv import ControlledDSM
from ...methods.objectives.ssm_vr import SSMVR
from ...methods.reference.exact import ExactScore
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme, grouped, measured, ticks
from .measures import average, exponent, number, pick
from .tools import Fixed, full, trained_scores

_DATASET = "8gaussians"
_SIGN, _PAIR = "wrong sign", "unpaired sign"


class _Signed(DSM):
    """DSM minus |ε|²/2σ² + ε·s(x)/σ: ``dsm_cv`` but for d/2σ²; its sign is -1 for a wrong one."""

    def __init__(self, sign: int = 1) -> None:
        self._sign = sign

    def by_point(self, model: Any, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Compute the loss of each point, shape (K, B)."""
        residual = model.score(x + sigma * noise) + noise / sigma
        control = 0.5 * (noise / sigma).square() + self._sign * noise * model.score(x) / sigma
        value: Tensor = (0.5 * residual.square() - control).sum(-1)
        return value

    def loss(self, model: Any, x: Tensor, rng: Any, *, sigma: Tensor) -> Tensor:
        return self.by_point(model, x, rng.normal_like(x), sigma).mean(-1)


def _gain(table: Table, sigma: float) -> Measured:
    """Fisher divergence after training with the control variate over that without."""
    first, second = (
        average(table, "training", "fisher_target", sigma=sigma, loss=name).value
        for name in ("controlled", "dsm")
    )
    return Measured(first / second)


def _crossing(table: Table) -> Measured:
    """Level where terms with and without the control variate vary alike."""
    first, second = (pick(table, "terms", "sd", loss=name) for name in ("controlled", "dsm"))
    first, second = first.sort_values("sigma"), second.sort_values("sigma")
    gap = np.log(first["value"].to_numpy() / second["value"].to_numpy())
    return Measured(float(np.exp(np.interp(0.0, gap, np.log(first["sigma"])))))


_order = partial(exponent, quantity="rms error", axis="sigma")


def _draw_order(axis: Axes, table: Table, theme: Theme) -> None:
    for k, name in enumerate(("control variate", "antithetic")):
        rows = pick(table, name, "rms error")
        measured(axis, "sigma", rows, theme, k, f"{name}, order {k + 1}")
    ticks(axis, rows["sigma"])


@findings.register("control")
class Control(Finding):
    """A control variate takes the noise out of denoising at small σ, where DSM becomes SSM-VR.

    The terms of DSM have a standard deviation near √(d/2)/σ², that of |ε|²/2σ². Without it, and
    without ε·s(x)/σ, whose mean is 0, they keep theirs as σ → 0 (Wang et al. 2020; Song and Kingma
    2021), where the loss becomes SSM-VR's: in first order of σ, in second if averaged over ±ε. The
    finding measures the terms of the exact score, the orders, and the scores that training
    gives with and without the control variate.

    Attributes:
        sigmas: Noise levels of the limits.
        levels: Noise levels of training.
        steps: Training steps.
        seeds: Networks of each case.
    """

    sigmas: tuple[float, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1)
    levels: tuple[float, ...] = (0.02, 0.2)
    steps: int = Field(1500, ge=10)
    seeds: int = Field(2, ge=1)

    def parts(self) -> Parts:
        return {"limits": self._limits, "terms": self._terms} | {
            f"train {s:g}": partial(self._train, s) for s in self.levels
        }

    def _limits(self) -> list[TableRow]:
        members = 20
        mlp = MLP(2, width=64)
        theta = mlp.init([generator(self.seed, "network")], torch.float64)
        x = (
            get_dataset(_DATASET)
            .sample(500 * members, generator(self.seed, "x"))
            .view(members, -1, 2)
        )
        noise = torch.randn(x.shape, generator=generator(self.seed, "e"), dtype=torch.float64)
        model = NetworkModel(mlp, theta.expand(members, -1).contiguous())
        sliced = SSMVR().loss(model, x, Fixed(noise), n_slices=1, slice_kind="gaussian")
        rows = []
        for value in self.sigmas:
            sigma = full(members, value, torch.float64)
            constant = 0.5 * (noise / sigma).square().sum(-1)
            plain, behind = (
                0.5 * (model.score(x + sigma * e) + e / sigma).square().sum(-1)
                for e in (noise, -noise)
            )
            controlled, wrong = (_Signed(k).by_point(model, x, noise, sigma) for k in (1, -1))
            for name, slip, terms in (
                ("control variate", "", controlled), ("control variate", _SIGN, wrong),
                ("antithetic", "", (plain + behind) / 2 - constant),
                ("antithetic", _PAIR, plain - constant),
            ):  # fmt: skip
                rms = float((terms.mean(-1) - sliced).square().mean().sqrt())
                rows.append(row(name, "rms error", rms, sigma=value, wrong=slip))
        return rows

    def _terms(self) -> list[TableRow]:
        dataset = get_density(_DATASET)
        x = dataset.sample(20_000, generator(self.seed, "x")).unsqueeze(0)
        noise = torch.randn(x.shape, generator=generator(self.seed, "e"), dtype=torch.float64)
        rows = []
        for value in (0.05, 0.1, 0.2, 0.3, 0.4, 0.6):
            exact, sigma = ExactScore(dataset, value), full(1, value, torch.float64)
            residual = exact.score(x + sigma * noise) + noise / sigma
            for name, slip, terms in (
                ("dsm", "", 0.5 * residual.square().sum(-1)),
                ("dsm", "doubled noise", 0.5 * (residual + noise / sigma).square().sum(-1)),
                ("controlled", "", _Signed().by_point(exact, x, noise, sigma)),
                ("controlled", _SIGN, _Signed(-1).by_point(exact, x, noise, sigma)),
            ):
                rows.append(
                    row("terms", "sd", float(terms.std()), sigma=value, loss=name, wrong=slip)
                )
        return rows

    def _train(self, sigma: float) -> list[TableRow]:
        dataset = get_density(_DATASET)
        rows = []
        for loss, wrong, objective in (
            ("dsm", "", DSM()), ("controlled", "", ControlledDSM()),
            ("controlled", _SIGN, _Signed(-1)),
        ):  # fmt: skip
            axes: TableRow = {"sigma": sigma, "loss": loss, "wrong": wrong}
            rows += trained_scores("training", ["fisher_target"], objective, dataset, sigma,
                                   seed=self.seed, axes=axes, width=64, seeds=self.seeds,
                                   steps=self.steps)  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "At σ = 0.1 the control variate lowers the standard deviation of a term from {0:.1f} to "
        "{1:.1f}; the two are equal at σ = {2:.2f}. After equal training the Fisher divergence is "
        "{3:.2g} (σ = 0.02) and {4:.2g} (σ = 0.2) times that without."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A29", "standard deviation of a term of DSM at σ = 0.1, exact score", "√(d/2)/σ²",
            partial(number, experiment="terms", quantity="sd", sigma=0.1, loss="dsm"),
            expected=100.0, slack=10.0, wrong="doubled noise",
        ),
        Claim(
            "A29", "the same with the control variate", "Wang et al. 2020",
            partial(number, experiment="terms", quantity="sd", sigma=0.1, loss="controlled"),
            most=25.0, wrong=_SIGN,
        ),
        Claim(
            "A29", "σ at which both have the same standard deviation", "√(d/2)/σ² and the score's",
            _crossing, least=0.2, most=0.4, wrong=_SIGN,
        ),
        *(
            Claim(
                "A29", f"Fisher divergence after training at σ = {sigma:g} over that without the "
                "control variate", "Song and Kingma 2021", partial(_gain, sigma=sigma), most=0.7,
                wrong=_SIGN,
            )
            for sigma in (0.02, 0.2)
        ),
        Claim(
            "A7", "DSM with control variate to SSM-VR: order of the error in σ",
            "Wang et al. 2020", partial(_order, experiment="control variate"),
            expected=1.0, slack=0.1, wrong=_SIGN,
        ),
        Claim(
            "A7", "the same with antithetic noise: order", "odd orders cancel",
            partial(_order, experiment="antithetic"), expected=2.0, slack=0.1, wrong=_PAIR,
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _SIGN: "the control variate is |ε|²/2σ² - ε·s(x)/σ",
        _PAIR: "both halves of the antithetic pair have the same ε",
        "doubled noise": "the noise has the variance 2σ² in the target",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="terms", quantity="sd", x="sigma", by="loss"),
              "noise σ", "standard deviation of a term", "xy"),
        Panel(_draw_order, "noise σ", "distance from SSM-VR", "xy"),
        Panel(partial(grouped, experiment="training", quantity="fisher_target", x="sigma",
                      by="loss"), "noise σ", "Fisher divergence after training", "xy"),
    )  # fmt: skip
