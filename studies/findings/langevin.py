"""What Langevin dynamics gives when nothing but the dynamics is in error."""

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.normal_model import NormalModel
from ...methods.reference.exact import ExactScore
from ...methods.sampling.langevin import Langevin
from ...methods.sampling.mala import MALA
from . import findings
from .base import Claim, Finding, Measured, Parts, Row, one, pick, row
from .tools import Crowd, draw, mean_error, scores, variance_error

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

# Datasets with the step sizes at which the width of their modes is measured.
_MODES = (("8gaussians", 0.01), ("8gaussians", 0.1), ("rings", 0.01))
# On either side of the step size at which chains on a standard normal begin to explode.
_ASTRIDE = (3.9, 4.1)


def _worst(table: "pd.DataFrame") -> Measured:
    """Largest deviation of the stationary variance from the formula, in standard errors."""
    found = pick(table, "normal", "variance", sampler="langevin")
    return Measured(float(((found["value"] - found["expected"]).abs() / found["error"]).max()))


def _mala(table: "pd.DataFrame") -> Measured:
    """Mean of MALA's variance over the step sizes at which it moves."""
    found = pick(table, "normal", "variance", sampler="mala")
    error = math.sqrt(float((found["error"] ** 2).sum())) / len(found)
    return Measured(float(found["value"].mean()), error)


def _first_and_last(table: "pd.DataFrame", experiment: str, axis: str) -> Measured:
    found = pick(table, experiment, "mmd_z").sort_values(axis)["value"]
    return Measured(float(found.iloc[-1] / found.iloc[0]))


def _at_the_end(table: "pd.DataFrame", experiment: str, axis: str, *, last: bool) -> Measured:
    """``mmd_z`` at the end of a sweep, in units in which the truth has 0 ± 1."""
    found = pick(table, experiment, "mmd_z").sort_values(axis)["value"]
    return Measured(float(found.iloc[-1 if last else 0]))


@findings.register("langevin")
class LangevinBias(Finding):
    """Langevin with the exact score: a bias that grows with ε, and none as ε → 0 and T → ∞.

    On N(0, 1/λ) the chain x ← x - (ελ/2)x + √ε·z is autoregressive: its variance settles at
    1/(λ(1 - ελ/4)), and it has none beyond ε = 4/λ. The exact score of a standard normal is sampled
    at many step sizes, with and without Metropolis's correction; then the exact scores of two
    toys, whose modes are locally normal; then one toy at a fixed time εT with falling ε, and at
    a fixed ε with growing T.

    Attributes:
        chains: Chains for the normal, and for the modes of toys.
        steps: Steps of each.
        step_sizes: ε, in units of 1/λ.
        points: Chains for the limits.
        time: εT at which ε is varied.
        small: The step sizes there.
        lengths: The numbers T of steps that are tried at the smallest of them.
    """

    chains: int = Field(20_000, ge=100)
    steps: int = Field(400, ge=100)
    step_sizes: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.6)
    points: int = Field(5_000, ge=500)
    time: float = Field(50.0, gt=0)
    small: tuple[float, ...] = (0.4, 0.2, 0.1, 0.05, 0.02)
    lengths: tuple[int, ...] = (30, 100, 300, 1000, 2500)

    def parts(self) -> Parts:
        """The normal, the modes of toys, and the two limits."""
        limits = {f"eps {e:g}": partial(self._limit, "step size", e, round(self.time / e))
                  for e in self.small}  # fmt: skip
        limits |= {f"T {t}": partial(self._limit, "steps", self.small[-1], t) for t in self.lengths}
        modes = {f"{name} {e:g}": partial(self._modes, name, e) for name, e in _MODES}
        return {"normal": self._normal, "stability": self._stability, **modes, **limits}

    def _normal(self) -> list[Row]:
        rows = []
        step_size = torch.tensor(self.step_sizes).view(-1, 1, 1)
        model = NormalModel(torch.ones_like(step_size), 1.0, 0.0)
        for name, kind in (("langevin", Langevin), ("mala", MALA)):
            stream = Crowd(generator(self.seed, "normal", name), len(self.step_sizes))
            sampler = kind(step_size=step_size, steps=self.steps)  # type: ignore[arg-type]
            made = sampler.sample(model, self.chains, stream)
            for k, epsilon in enumerate(self.step_sizes):
                value, error = variance_error(made.points[k])
                expected = 1 / (1 - epsilon / 4) if name == "langevin" else 1.0
                axes: Row = {"sampler": name, "step_size": epsilon, "steps": self.steps}
                rows.append(row("normal", "variance", value, error, expected, **axes))
                if made.acceptance is not None:
                    share = float(made.acceptance[k])
                    rows.append(row("normal", "acceptance", share, **axes))
        return rows

    def _stability(self) -> list[Row]:
        step_size = torch.tensor(_ASTRIDE).view(-1, 1, 1)
        model = NormalModel(torch.ones_like(step_size), 1.0, 0.0)
        stream = Crowd(generator(self.seed, "stability"), len(_ASTRIDE))
        steps = max(self.steps, 400)
        sampler = Langevin(step_size=step_size, steps=steps)  # type: ignore[arg-type]
        lost = sampler.sample(model, 1000, stream).lost
        return [
            row("stability", "lost", float(n) / 1000, expected=float(epsilon > 4),
                sampler="langevin", step_size=epsilon, steps=steps)
            for epsilon, n in zip(_ASTRIDE, lost, strict=True)
        ]  # fmt: skip

    def _modes(self, name: str, epsilon: float) -> list[Row]:
        dataset = get_dataset(name)
        rate = 1 / dataset.noise**2
        truth = dataset.sample(20 * self.chains, generator(self.seed, name, "truth"))
        wanted, _ = mean_error(_within(name, truth))
        rows = []
        for kind, steps in ((Langevin, self.steps), (MALA, 2 * self.steps)):
            label = kind.__name__.lower()
            sampler = kind(step_size=epsilon, steps=steps)
            x = draw(sampler, ExactScore(dataset), self.chains, self.seed, name, epsilon.hex())
            value, error = mean_error(_within(name, x))
            expected = 1 / (1 - epsilon * rate / 4) if kind is Langevin else 1.0
            axes: Row = {"sampler": label, "dataset": name, "step_size": epsilon, "steps": steps}
            rows.append(row("modes", "variance ratio", value / wanted, error / wanted, expected,
                            **axes))  # fmt: skip
        return rows

    def _limit(self, experiment: str, epsilon: float, steps: int) -> list[Row]:
        dataset = get_dataset("8gaussians")
        sampler = Langevin(step_size=epsilon, steps=steps)
        x = draw(sampler, ExactScore(dataset), self.points, self.seed, experiment)
        found = scores(["mmd_z", "sw1", "mode_error"], dataset, self.seed, x)
        axes: Row = {"sampler": "langevin", "dataset": "8gaussians", "step_size": epsilon}
        return [row(experiment, name, v, steps=steps, **axes) for name, v in found.items()]

    def verdict(self, table: "pd.DataFrame") -> str:
        """The bias, its absence, and the limits."""
        rings = one(table, "modes", "variance ratio", dataset="rings", sampler="langevin")
        mala = one(table, "modes", "variance ratio", dataset="rings", sampler="mala")
        coarse = _at_the_end(table, "step size", "step_size", last=True).value
        fine = _at_the_end(table, "step size", "step_size", last=False).value
        return (
            f"With the exact score and ε = 0.01 Langevin makes rings {rings.value:.2f} times as "
            f"wide in variance as they are, as 1/(1 - ελ/4) says; with Metropolis's correction "
            f"they are {mala.value:.2f} times. On 8gaussians the error falls from {coarse:.0f} to "
            f"{fine:.1f} standard deviations of the noise floor as ε → 0."
        )

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A12", "Langevin on N(0, 1/λ): variance 1/(λ(1 - ελ/4)) at every ε; largest "
            "deviation in standard errors", "autoregression in closed form", _worst, most=4.0,
        ),
        *(
            Claim(
                "A12", f"Langevin on {name} at ε = {epsilon:g}: variance within modes over the "
                "truth's", "autoregression in closed form",
                partial(one, experiment="modes", quantity="variance ratio", sampler="langevin",
                        dataset=name, step_size=epsilon), slack=0.03,
            )
            for name, epsilon in _MODES
        ),
        Claim(
            "A12", "Langevin at ε = 3.9/λ, below the limit of stability: share of lost chains",
            "|1 - ελ/2| < 1",
            partial(one, experiment="stability", quantity="lost", step_size=3.9),
        ),
        Claim(
            "A12", "Langevin at ε = 4.1/λ, above that limit: share of lost chains",
            "|1 - ελ/2| > 1",
            partial(one, experiment="stability", quantity="lost", step_size=4.1),
        ),
        Claim(
            "A12", "MALA on N(0, 1/λ): variance over the truth's, mean over all ε",
            "Roberts and Tweedie 1996", _mala, expected=1.0,
        ),
        *(
            Claim(
                "A12", f"MALA on {name} at ε = {epsilon:g}: variance within modes over the truth's",
                "Roberts and Tweedie 1996",
                partial(one, experiment="modes", quantity="variance ratio", sampler="mala",
                        dataset=name, step_size=epsilon), slack=0.01,
            )
            for name, epsilon in _MODES
        ),
        Claim(
            "A12", "ε → 0 at a fixed time on 8gaussians: MMD² at the smallest ε, in standard "
            "deviations of the noise floor", "Roberts and Tweedie 1996",
            partial(_at_the_end, experiment="step size", axis="step_size", last=False), most=3.0,
        ),
        Claim(
            "A12", "the same at the largest ε", "Roberts and Tweedie 1996",
            partial(_at_the_end, experiment="step size", axis="step_size", last=True), least=20.0,
        ),
        Claim(
            "A12", "T → ∞ at the smallest ε: MMD² at the largest T",
            "Roberts and Tweedie 1996",
            partial(_at_the_end, experiment="steps", axis="steps", last=True), most=3.0,
        ),
        Claim(
            "A12", "the same at the smallest T", "Roberts and Tweedie 1996",
            partial(_at_the_end, experiment="steps", axis="steps", last=False), least=10.0,
        ),
    )  # fmt: skip


def _within(name: str, x: "Tensor") -> "Tensor":
    """Squared distances across the modes that points belong to: their means are variances."""
    dataset = get_dataset(name)
    x = x.double()
    if name == "rings":
        radii: Tensor = dataset.radii  # type: ignore[attr-defined]
        across: Tensor = x.norm(dim=1) - radii[dataset.assign(x)]
        return across.square()
    centres: Tensor = dataset.centres  # type: ignore[attr-defined]
    across = x - centres[dataset.assign(x)]
    return across.square()
