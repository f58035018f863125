"""Langevin dynamics with the exact score: the bias of the dynamics alone."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_density
from ...methods.normal_model import NormalModel
from ...methods.reference.exact import ExactScore
from ...methods.sampling.langevin import Langevin
from ...methods.sampling.metropolis import MALA
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, as_wrong, row
from .figure import Axes, Panel, Table, Theme, joined, measured, ticks
from .measures import at_end, largest_deviation, number, pick
from .tools import Crowd, Scaled, draw, mean_error, scored, streams, variance_error

# Datasets, and the step sizes at which the width of their modes is measured.
_MODES = (("8gaussians", 0.01), ("8gaussians", 0.1), ("rings", 0.01))
# Step sizes just below and above the limit of stability for a standard normal.
_NEAR_LIMIT = (3.9, 4.1)
_LABELS = {"langevin": "Langevin", "mala": "with Metropolis"}


_mmd = partial(at_end, quantity="mmd_z")


def _mala(table: Table) -> Measured:
    """Mean of MALA's variance over the step sizes at which it moves."""
    rows = pick(table, "normal", "variance", sampler="mala")
    error = math.sqrt(float((rows["error"] ** 2).sum())) / len(rows)
    return Measured(float(rows["value"].mean()), error)


def _draw_variance(axis: Axes, table: Table, theme: Theme) -> None:
    grid = np.linspace(0.01, 3.85, 200)
    axis.plot(grid, 1 / (1 - grid / 4), color=theme.palette[0], linewidth=1.1, label="1/(1 - ελ/4)")
    axis.axhline(1, color=theme.palette[1], linewidth=1.1)
    axis.axvline(4, color=theme.faint, linestyle=":", linewidth=1.1, label="unstable from here on")
    for k, (name, label) in enumerate(_LABELS.items()):
        rows = pick(table, "normal", "variance", sampler=name)
        measured(axis, "step_size", rows, theme, k, label)
    axis.set_xlim(0, 4.15)


def _draw_modes(axis: Axes, table: Table, theme: Theme) -> None:
    rows = pick(table, "modes", "variance ratio")
    names = [f"{d}\nε = {e:g}" for d, e in zip(rows["dataset"], rows["step_size"], strict=True)]
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    axis.axhline(1, color=theme.faint, linewidth=0.8)
    for k, (sampler, label) in enumerate(_LABELS.items()):
        chosen = (rows["sampler"] == sampler).to_numpy()
        x = np.array([places[name] for name in names])[chosen] + 0.12 * (2 * k - 1)
        expected, formula = rows[chosen]["expected"], "formula" if k else ""
        axis.plot(x, expected, "_", color=theme.ink, markersize=16, label=formula)
        measured(axis, x, rows[chosen], theme, k, label)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_xticks(list(places.values()), list(places))


def _draw_limit(axis: Axes, table: Table, theme: Theme, experiment: str, x: str) -> None:
    """MMD² along an axis, with the noise floor."""
    rows = pick(table, experiment, "mmd_z").sort_values(x)
    axis.axhspan(-2, 2, color=theme.shade, linewidth=0, label="noise floor, ± 2 sd")
    joined(axis, rows[x], rows["value"], theme, 0, "8gaussians")
    axis.set_yscale("symlog", linthresh=3)
    ticks(axis, rows[x])


def _draw_steps(axis: Axes, table: Table, theme: Theme) -> None:
    _draw_limit(axis, table, theme, "steps", "steps")
    axis.set_xlabel(f"steps T, at ε = {pick(table, 'steps', 'mmd_z')['step_size'].iloc[0]:g}")


@findings.register("langevin")
class LangevinBias(Finding):
    """Langevin with the exact score: a bias that grows with ε, and none as ε → 0 and T → ∞.

    On N(0, 1/λ) the chain x ← x - (ελ/2)x + √ε·z is autoregressive: its variance settles at
    1/(λ(1 - ελ/4)), and it diverges beyond ε = 4/λ. The finding samples a standard normal from its
    exact score at many step sizes, with and without the Metropolis correction; then two toys whose
    modes are locally normal; then one toy at a fixed time εT with falling ε, and at a fixed ε with
    growing T.

    Attributes:
        chains: Chains for the normal, and for the modes of toys.
        steps: Steps of each chain.
        step_sizes: Step sizes ε for the normal, in units of 1/λ.
        points: Chains for the two limits.
        time: Fixed time εT of the limit ε → 0.
        small: Step sizes of that limit.
        lengths: Numbers T of steps of the limit T → ∞, at the smallest of those step sizes.
    """

    chains: int = Field(20_000, ge=100)
    steps: int = Field(400, ge=100)
    step_sizes: tuple[float, ...] = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.6)
    points: int = Field(5_000, ge=500)
    time: float = Field(50.0, gt=0)
    small: tuple[float, ...] = (0.4, 0.2, 0.1, 0.05, 0.02)
    lengths: tuple[int, ...] = (30, 100, 300, 1000, 2500)

    def parts(self) -> Parts:
        limits = {
            f"eps {e:g}": partial(self._limit, "step size", e, round(self.time / e))
            for e in self.small
        }
        limits |= {f"T {t}": partial(self._limit, "steps", self.small[-1], t) for t in self.lengths}
        modes = {f"{name} {e:g}": partial(self._modes, name, e) for name, e in _MODES}
        return {"normal": self._normal, "stability": self._stability, **modes, **limits}

    def _normal(self) -> list[TableRow]:
        rows = []
        step_size = torch.tensor(self.step_sizes).view(-1, 1, 1)
        model = NormalModel(torch.ones_like(step_size), 1.0, 0.0)
        for name, kind in (("langevin", Langevin), ("mala", MALA)):
            stream = Crowd(generator(self.seed, "normal", name), len(self.step_sizes))
            sampler = kind(step_size=step_size, steps=self.steps)  # type: ignore[arg-type]
            samples = sampler.sample(model, self.chains, stream)
            for k, epsilon in enumerate(self.step_sizes):
                value, error = variance_error(samples.points[k])
                expected = 1 / (1 - epsilon / 4) if name == "langevin" else 1.0
                axes: TableRow = {"sampler": name, "step_size": epsilon, "steps": self.steps}
                rows.append(row("normal", "variance", value, error, expected, **axes))
                if samples.acceptance is not None:
                    share = float(samples.acceptance[k])
                    rows.append(row("normal", "acceptance", share, **axes))
        doubled = Scaled(model, 2.0)
        stream = Crowd(generator(self.seed, "normal", "doubled"), len(self.step_sizes))
        chains = Langevin(step_size=step_size, steps=self.steps)  # type: ignore[arg-type]
        points = chains.sample(doubled, self.chains // 10, stream).points
        for k, epsilon in enumerate(self.step_sizes):
            value, error = variance_error(points[k])
            rows.append(row("normal", "variance", value, error, 1 / (1 - epsilon / 4),
                            sampler="langevin", step_size=epsilon, steps=self.steps,
                            wrong="doubled drift"))  # fmt: skip
        plain = [r for r in rows if r["sampler"] == "langevin" and "wrong" not in r]
        return rows + as_wrong("no rejection", plain, sampler="mala", expected=1.0)

    def _stability(self) -> list[TableRow]:
        step_size = torch.tensor(_NEAR_LIMIT).view(-1, 1, 1)
        model = NormalModel(torch.ones_like(step_size), 1.0, 0.0)
        stream = Crowd(generator(self.seed, "stability"), len(_NEAR_LIMIT))
        steps = max(self.steps, 400)
        sampler = Langevin(step_size=step_size, steps=steps)  # type: ignore[arg-type]
        rows = []
        for wrong, factor in (("", 1.0), ("doubled drift", 2.0), ("halved drift", 0.5)):
            diverged = sampler.sample(Scaled(model, factor), 1000, stream).lost
            rows += [
                row("stability", "lost", float(count) / 1000, expected=float(epsilon > 4),
                    sampler="langevin", step_size=epsilon, steps=steps, wrong=wrong)
                for epsilon, count in zip(_NEAR_LIMIT, diverged, strict=True)
            ]  # fmt: skip
        return rows

    def _modes(self, name: str, epsilon: float) -> list[TableRow]:
        dataset = get_density(name)
        rate = 1 / dataset.noise**2
        truth = dataset.sample(20 * self.chains, generator(self.seed, name, "truth"))
        true_variance, _ = mean_error(_squares_within(name, truth))
        rows = []
        for kind, steps in ((Langevin, self.steps), (MALA, 2 * self.steps)):
            label = kind.__name__.lower()
            sampler = kind(step_size=epsilon, steps=steps)
            x = draw(sampler, ExactScore(dataset), self.chains, self.seed, name, epsilon.hex())
            value, error = mean_error(_squares_within(name, x))
            expected = 1 / (1 - epsilon * rate / 4) if kind is Langevin else 1.0
            axes: TableRow = {"sampler": label, "dataset": name, "step_size": epsilon}
            ratio, error = value / true_variance, error / true_variance
            rows.append(row("modes", "variance ratio", ratio, error, expected, **axes))
        doubled = Scaled(ExactScore(dataset), 2.0)
        x = draw(Langevin(step_size=epsilon, steps=self.steps), doubled, self.chains // 10,
                 self.seed, name, "doubled")  # fmt: skip
        value, error = (v / true_variance for v in mean_error(_squares_within(name, x)))
        rows += as_wrong("no rejection", rows[:1], sampler="mala", expected=1.0)
        return rows + as_wrong("doubled drift", rows[:1], value=value, error=error)

    def _limit(self, experiment: str, epsilon: float, steps: int) -> list[TableRow]:
        dataset = get_density("8gaussians")
        sampler = Langevin(step_size=epsilon, steps=steps)
        exact = ExactScore(dataset)
        points = {"": draw(sampler, exact, self.points, self.seed, experiment)}
        if epsilon == max(self.small):
            metropolis = MALA(step_size=epsilon, steps=steps)
            points["rejection"] = draw(metropolis, exact, self.points, self.seed, experiment)
        if steps == max(self.lengths) or epsilon == min(self.small):
            doubled = Langevin(step_size=epsilon, steps=min(steps, 500))
            points["doubled drift"] = draw(doubled, Scaled(exact, 2.0), self.points, self.seed)
        if steps == min(self.lengths):
            start = dataset.sample(self.points, generator(self.seed, "start")).float()[None]
            rng = streams(self.seed, "start")
            points["start at data"] = sampler.sample_from(exact, start, rng).points[0]
        rows = []
        for wrong, x in points.items():
            rows += scored(
                experiment, ["mmd_z", "sw1", "mode_error"], dataset, self.seed, x, steps=steps,
                sampler="langevin", dataset="8gaussians", step_size=epsilon, wrong=wrong,
            )  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "With the exact score and ε = 0.01, the variance of Langevin's rings is {3:.2f} times the "
        "true one, as 1/(1 - ελ/4) predicts; with the Metropolis correction it is {8:.2f} times. "
        "On 8gaussians the error falls from {10:.0f} to {9:.1f} standard deviations of the noise "
        "floor as ε → 0."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A12", "Langevin on N(0, 1/λ): variance 1/(λ(1 - ελ/4)) at every ε; largest "
            "deviation in standard errors", "autoregression in closed form",
            partial(largest_deviation, experiment="normal", quantity="variance",
                    sampler="langevin"), most=4.0, wrong="doubled drift",
        ),
        *(
            Claim(
                "A12", f"Langevin on {name} at ε = {epsilon:g}: variance within modes over the "
                "truth's", "autoregression in closed form",
                partial(number, experiment="modes", quantity="variance ratio", sampler="langevin",
                        dataset=name, step_size=epsilon), slack=0.03, wrong="doubled drift",
            )
            for name, epsilon in _MODES
        ),
        Claim(
            "A12", "Langevin at ε = 3.9/λ, below the limit of stability: share of diverged chains",
            "|1 - ελ/2| < 1",
            partial(number, experiment="stability", quantity="lost", step_size=3.9),
            wrong="doubled drift",
        ),
        Claim(
            "A12", "Langevin at ε = 4.1/λ, above that limit: share of diverged chains",
            "|1 - ελ/2| > 1",
            partial(number, experiment="stability", quantity="lost", step_size=4.1),
            wrong="halved drift",
        ),
        Claim(
            "A12", "MALA on N(0, 1/λ): variance over the truth's, mean over all ε",
            "Roberts and Tweedie 1996", _mala, expected=1.0, wrong="no rejection",
        ),
        *(
            Claim(
                "A12", f"MALA on {name} at ε = {epsilon:g}: variance within modes over the truth's",
                "Roberts and Tweedie 1996",
                partial(number, experiment="modes", quantity="variance ratio", sampler="mala",
                        dataset=name, step_size=epsilon), slack=0.01, wrong="no rejection",
            )
            # The bias of 8gaussians at ε = 0.01 is within the noise: nothing would fail a claim.
            for name, epsilon in _MODES[1:]
        ),
        Claim(
            "A12", "ε → 0 at a fixed time on 8gaussians: MMD² at the smallest ε, in standard "
            "deviations of the noise floor", "Roberts and Tweedie 1996",
            partial(_mmd, experiment="step size", axis="step_size", last=False), most=3.0,
            wrong="doubled drift",
        ),
        Claim(
            "A12", "the same at the largest ε", "Roberts and Tweedie 1996",
            partial(_mmd, experiment="step size", axis="step_size", last=True), least=20.0,
            wrong="rejection",
        ),
        Claim(
            "A12", "T → ∞ at the smallest ε: MMD² at the largest T",
            "Roberts and Tweedie 1996",
            partial(_mmd, experiment="steps", axis="steps", last=True), most=3.0,
            wrong="doubled drift",
        ),
        Claim(
            "A12", "the same at the smallest T", "Roberts and Tweedie 1996",
            partial(_mmd, experiment="steps", axis="steps", last=False), least=10.0,
            wrong="start at data",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "doubled drift": "the step is ε·s(x) + √ε·z, without the ½",
        "halved drift": "the step is ¼ε·s(x) + √ε·z: a factor of two in the noise",
        "no rejection": "every proposal of the Metropolis correction is accepted",
        "rejection": "the chain is corrected, as MALA is",
        "start at data": "chains start at points of the data",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(_draw_variance, "step size ε in units of 1/λ", "variance / truth, normal", "y"),
        Panel(_draw_modes, y="variance within modes / truth", legend="upper left"),
        Panel(
            partial(_draw_limit, experiment="step size", x="step_size"),
            "step size ε, at a fixed time εT",
            "MMD² in its standard deviations",
            "x",
        ),
        Panel(_draw_steps, y="MMD² in its standard deviations", log="x"),
    )


def _squares_within(name: str, x: Tensor) -> Tensor:
    """Squared distances of points from their modes; the mean is the variance within modes."""
    dataset = get_density(name)
    x = x.double()
    if name == "rings":
        radii: Tensor = dataset.radii  # type: ignore[attr-defined]
        across: Tensor = x.norm(dim=1) - radii[dataset.assign(x)]
        return across.square()
    centres: Tensor = dataset.centres  # type: ignore[attr-defined]
    across = x - centres[dataset.assign(x)]
    return across.square()
