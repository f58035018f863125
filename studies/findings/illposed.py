"""A loss without a lower bound: implicit score matching where the density jumps."""

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from ...bench.metrics.fisher import score_at
from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.objectives.ism import ISM
from ...methods.objectives.ssm import SSM
from . import findings
from .base import Claim, Finding, Measured, Parts, Row, pick, row
from .tools import mean_error, train

if TYPE_CHECKING:
    import pandas as pd

_CASES = (
    ("ism", "checkerboard", 0.0), ("ssm", "checkerboard", 0.0), ("ism", "checkerboard", 0.2),
    ("ism", "8gaussians", 0.0),
)  # fmt: skip
# The loss at the end is a mean over this share of the steps.
_END = 0.1


def _case(table: "pd.DataFrame", method: str, dataset: str, noise: float) -> "pd.DataFrame":
    return pick(table, "training", "loss", method=method, dataset=dataset, data_noise=noise)


def _end(table: "pd.DataFrame", method: str, dataset: str, noise: float) -> Measured:
    """Loss over the last tenth of the steps."""
    found = _case(table, method, dataset, noise)
    last = found[found["step"] > (1 - _END) * found["step"].max()]
    return Measured(float(last["value"].mean()), float(last["error"].mean()))


def _still_falling(table: "pd.DataFrame", method: str, dataset: str, noise: float) -> Measured:
    """What the last half of the steps brought: loss at the end minus loss half way."""
    found = _case(table, method, dataset, noise)
    last = found["step"].max()
    half = found[(found["step"] > (0.5 - _END) * last) & (found["step"] <= 0.5 * last)]
    end = _end(table, method, dataset, noise)
    return Measured(end.value - float(half["value"].mean()), end.error)


def _over_floor(table: "pd.DataFrame", method: str, dataset: str, noise: float) -> Measured:
    """Loss at the end over the least that there can be, both negative: at most 1."""
    floor = _case(table, method, dataset, noise)["expected"].iloc[0]
    value, error, _ = _end(table, method, dataset, noise)
    return Measured(value / floor, error / abs(floor))


def _squared(table: "pd.DataFrame", method: str, dataset: str, noise: float) -> Measured:
    (found,) = pick(
        table, "score", "squared score inside", method=method, dataset=dataset, data_noise=noise
    ).to_dict("records")
    return Measured(found["value"], found["error"])


@findings.register("illposed")
class IllPosed(Finding):
    """On the checkerboard the loss of implicit score matching falls without bound.

    E[tr ∇s + ½|s|²] is the Fisher divergence up to a constant only if p·s vanishes where the
    support ends (Hyvärinen 2005). For a uniform density it is the flux of s through the edges plus
    ½E|s|², which a boundary layer of width δ makes as low as -2/δ here, whatever the truth, whose
    score is 0 inside. Networks are trained with and without noise on the data, and on a smooth
    density to compare; with noise the least loss is -½E|∇log p_σ|².

    Attributes:
        steps: Training steps.
        seeds: Networks that are trained in each case.
        width: Units of each of their two hidden layers.
        learning_rate: Adam's.
    """

    steps: int = Field(3000, ge=100)
    seeds: int = Field(3, ge=2)
    width: int = Field(128, ge=8)
    learning_rate: float = Field(3e-3, gt=0)

    def parts(self) -> Parts:
        """One for each objective, dataset and noise."""
        return {f"{m} {d} {noise:g}": partial(self._train, m, d, noise) for m, d, noise in _CASES}

    def _train(self, method: str, name: str, noise: float) -> list[Row]:
        dataset = get_dataset(name)
        options: Row = {"data_noise": noise} if noise else {}
        if method == "ssm":
            options |= {"n_slices": 1, "slice_kind": "gaussian"}
        objective = ISM() if method == "ism" else SSM()
        done = train(objective, options, dataset, seed=self.seed, seeds=self.seeds,
                     steps=self.steps, width=self.width,
                     learning_rate=self.learning_rate)  # fmt: skip
        floor = (
            -math.inf if noise < dataset.score_from else -0.5 * dataset.fisher_information(noise)
        )
        axes: Row = {"method": method, "dataset": name, "data_noise": noise}
        rows = []
        for group in done.curve.split(4):
            value, error = mean_error(group[:, 1:].mean(0))
            step = int(group[-1, 0])
            rows.append(row("training", "loss", value, error, floor, step=step, **axes))
        x = dataset.sample(20_000, generator(self.seed, "inside"))
        if name == "checkerboard":
            # Further than 0.25 from every edge, where the truth is flat.
            x = x[((x.abs() % 2) - 1).abs().amax(1) < 0.75]
        squares = [score_at(model, x, 0.0).square().sum(1).mean() for model in done.models]
        value, error = mean_error(torch.stack(squares))
        rows.append(row("score", "squared score inside", value, error, **axes))
        return rows

    def verdict(self, table: "pd.DataFrame") -> str:
        """Where the losses end."""
        free = _end(table, "ism", "checkerboard", 0.0).value
        falling = _still_falling(table, "ism", "checkerboard", 0.0).value
        noisy = _end(table, "ism", "checkerboard", 0.2).value
        floor = _case(table, "ism", "checkerboard", 0.2)["expected"].iloc[0]
        return (
            f"On checkerboard the loss of implicit score matching is {free:.1f} after {self.steps} "
            f"steps and still falling ({falling:+.1f} over the second half), while the true score "
            f"is 0 inside; with noise of 0.2 on the data it settles at {noisy:.2f}, above the "
            f"floor of {floor:.2f}."
        )

    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A13", f"{method} on checkerboard: loss at the end", "boundary layer: -2/δ",
                partial(_end, method=method, dataset="checkerboard", noise=0.0), most=most,
            )
            for method, most in (("ism", -8.0), ("ssm", -5.0))
        ),
        Claim(
            "A13", "ism on checkerboard: loss at the end minus loss half way: still falling",
            "boundary layer: -2/δ",
            partial(_still_falling, method="ism", dataset="checkerboard", noise=0.0), most=-0.5,
        ),
        Claim(
            "A13", "ism on checkerboard: mean squared score inside the squares, truly 0",
            "uniform density",
            partial(_squared, method="ism", dataset="checkerboard", noise=0.0), least=1.0,
        ),
        Claim(
            "A13", "ism on checkerboard with data noise 0.2: loss at the end over the least loss",
            "Song and Ermon 2019, section 3.1",
            partial(_over_floor, method="ism", dataset="checkerboard", noise=0.2),
            least=0.8, most=1.02,
        ),
        Claim(
            "A13", "ism on 8gaussians, a smooth density: loss at the end over the least loss",
            "Hyvärinen 2005", partial(_over_floor, method="ism", dataset="8gaussians", noise=0.0),
            least=0.9, most=1.05,
        ),
    )  # fmt: skip
