"""The modes that Langevin's chains end in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.metrics.modes import shares
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.model import Model
from ...methods.random import MemberRandom
from ...methods.reference.exact import ExactScore
from ...methods.sampling.annealed_langevin import AnnealedLangevin
from ...methods.sampling.base import Samples, collect, uniform
from ...methods.sampling.langevin import Langevin
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme, measured, ticks
from .measures import average, pick
from .tools import draw, scored, streams

# Radii half way between neighbouring circles of rings.
_BETWEEN = (2.625, 1.875, 1.125)
_BOX = 8.0**2
_NAMES = ("naive", "annealed")


@dataclass(frozen=True)
class _Unscaled(AnnealedLangevin):
    """The annealed Langevin of the two code bases that the blog post discusses, which is wrong.

    The step grows with the noise level but the added noise, √ε, does not: levels of large noise do
    not move any mass.
    """

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        ratio = (self.sigma_min / self.sigma_max) ** (1 / (self.levels - 1))

        def run(size: int) -> tuple[Tensor, Tensor]:
            x = uniform(model, size, rng, self.box)
            for sigma in (self.sigma_max * ratio**i for i in range(self.levels)):
                half = 0.5 * self.step_size * (sigma / self.sigma_min) ** 2
                for _ in range(self.steps):
                    x = x + half * model.score(x, sigma)
                    x = x + self.step_size**0.5 * rng.normal_like(x)
            return x, torch.full((rng.members,), -1)

        return collect(model, n, rng, run)


# NCSN's toy: 1280 chains in [-8, 8]², ε = 0.1; annealed from noise 20 to 1 in 10 levels.
_TOY: dict[str, Any] = {
    "step_size": 0.1, "steps": 100, "levels": 10, "sigma_max": 20.0, "sigma_min": 1.0, "box": 8.0,
}  # fmt: skip
_RINGS: dict[str, Any] = {
    "step_size": 2e-3, "steps": 40, "levels": 10, "sigma_max": 3.0, "sigma_min": 0.08,
}  # fmt: skip


def _start_at_data(sampler: Langevin, model: ExactScore, n: int, seed: int, *names: Any) -> Tensor:
    start = model.dataset.sample(n, generator(seed, *names, "start")).float().unsqueeze(0)
    return sampler.sample_from(model, start, streams(seed, *names, "from data")).points[0]


def basins(name: str) -> list[float]:
    """Compute the share of the box [-4, 4]² that is nearest to each mode of rings or 8gaussians."""
    if name == "rings":
        discs = [math.pi * radius**2 / _BOX for radius in _BETWEEN]
        return [1 - discs[0], discs[0] - discs[1], discs[1] - discs[2], discs[2]]
    # A sector of 45° around an axis of the square is two triangles with legs 4 and 4 tan(22.5°).
    axis = 16 * math.tan(math.pi / 8) / _BOX
    return [axis, 0.25 - axis] * 4


def _largest_difference(table: Table, dataset: str) -> Measured:
    """Largest difference of a weight from the share of the box."""
    rows = pick(table, "basins", "weight", dataset=dataset)
    return Measured(float((rows["value"] - rows["expected"]).abs().max()))


def _times_floor(table: Table, model: str) -> Measured:
    floor, sw1 = (average(table, "masked", "sw1", model=name) for name in ("floor", model))
    return Measured(sw1.value / floor.value)


def _gain_of_smoothing(table: Table) -> Measured:
    """SW1 of the exact score minus that of a smoothed one, with naive Langevin."""
    exact, smooth = (
        average(table, "masked", "sw1", model=name) for name in ("naive", "naive, smoothed")
    )
    return Measured(exact.value - smooth.value, math.hypot(exact.error, smooth.error))


_weight = partial(average, experiment="two modes", quantity="weight")


def _draw_repeats(axis: Axes, rows: Table, by: str, theme: Theme) -> None:
    """Every value of a group as a point, side by side, and their mean as a bar."""
    groups = list(dict.fromkeys(rows[by]))
    for i, name in enumerate(groups):
        values = rows[rows[by] == name]["value"]
        x = [i + 0.03 * (j - len(values) / 2) for j in range(len(values))]
        axis.plot(x, values, "o", color=theme.palette[i], markersize=3, alpha=0.8)
        axis.plot([i - 0.28, i + 0.28], [values.mean()] * 2, color=theme.ink, linewidth=1.2)
    axis.set_xticks(range(len(groups)), [str(name).replace(", ", ",\n") for name in groups])
    axis.set_xlim(-0.5, len(groups) - 0.5)


def _draw_two_modes(axis: Axes, table: Table, theme: Theme) -> None:
    axis.axhline(0.8, color=theme.faint, linestyle="--", linewidth=1.1, label="truth")
    axis.axhline(0.5, color=theme.faint, linestyle=":", linewidth=1.1, label="share of the box")
    _draw_repeats(axis, pick(table, "two modes", "weight"), "sampler", theme)
    axis.set_ylim(0.4, 1.05)


def _draw_basins(axis: Axes, table: Table, theme: Theme) -> None:
    ends = [0.05, 0.8]
    axis.plot(ends, ends, color=theme.faint, linewidth=1.1, label="area of the box")
    for k, (name, truth) in enumerate((("rings", 1 / 4), ("8gaussians", 1 / 8))):
        rows = pick(table, "basins", "weight", dataset=name)
        measured(axis, "expected", rows, theme, k, name)
        axis.axhline(truth, color=theme.palette[k], linestyle="--", linewidth=0.9)
    ticks(axis, [0.06, 0.1, 0.2, 0.4, 0.7], "xy")


def _draw_masked(axis: Axes, table: Table, theme: Theme) -> None:
    _draw_repeats(axis, pick(table, "masked", "sw1"), "model", theme)
    ticks(axis, [0.02, 0.05, 0.1, 0.2, 0.5], "y")


@findings.register("mixing")
class Mixing(Finding):
    """Weights of distant modes: naive Langevin loses them, annealing finds them.

    With the exact score, chains of naive Langevin stay in the mode whose basin they start in: on
    NCSN's two modes, of weights 0.8 and 0.2, half of the chains end in each mode, and on rings and
    8gaussians the weights are areas of the starting box. Annealed Langevin moves mass between
    modes while the noise is high; without scaling the noise to the level it collapses. On rings
    the sampler hides the quality of a score: a smoothed score does better than the exact one.

    Attributes:
        chains: Chains on the two modes, per repeat.
        points: Chains on the other toys, per repeat.
        repeats: Number of repeats.
    """

    chains: int = Field(1280, ge=100)
    points: int = Field(4000, ge=100)
    repeats: int = Field(10, ge=3)

    def parts(self) -> Parts:
        return {
            **{f"two modes {name}": partial(self._two_modes, name) for name in _NAMES},
            **{f"basins {name}": partial(self._basins, name) for name in ("rings", "8gaussians")},
            **{
                f"rings {name}": partial(self._masked, name)
                for name in ("floor", "naive", "naive, smoothed", "annealed")
            },
        }

    def _two_modes(self, name: str) -> list[TableRow]:
        dataset = get_density("two_modes")
        exact, n = ExactScore(dataset), self.chains * self.repeats
        langevin = Langevin(step_size=0.1, steps=1000, box=8.0)
        points = {}
        if name == "naive":
            points[""] = draw(langevin, exact, n, self.seed, "two_modes", name)
            few = Langevin(step_size=0.1, steps=100)
            points["start at data"] = _start_at_data(few, exact, n, self.seed, "two_modes")
        else:
            for wrong, kind in (("", AnnealedLangevin), ("unscaled noise", _Unscaled)):
                points[wrong] = draw(kind(**_TOY), exact, n, self.seed, "two_modes", name)
        return [
            row("two modes", "weight", float(shares(dataset, repeat)[0]), expected=0.8,
                sampler=name, dataset="two_modes", mode=0, repeat=k, wrong=wrong)
            for wrong, x in points.items()
            for k, repeat in enumerate(x.split(self.chains))
        ]  # fmt: skip

    def _basins(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        n = self.points * self.repeats
        exact = ExactScore(dataset)
        points = {
            "": draw(Langevin(), exact, n, self.seed, "basins", name),
            "start at data": _start_at_data(Langevin(), exact, n, self.seed, "basins", name),
        }
        return [
            row("basins", "weight", float(share), math.sqrt(area * (1 - area) / n), area,
                sampler="naive", dataset=name, mode=mode, wrong=wrong)
            for wrong, x in points.items()
            for mode, (share, area) in enumerate(zip(shares(dataset, x), basins(name), strict=True))
        ]  # fmt: skip

    def _masked(self, name: str) -> list[TableRow]:
        dataset = get_density("rings")
        exact = ExactScore(dataset, 0.1 if name == "naive, smoothed" else 0.0)
        n, rows = self.points, []
        for k in range(self.repeats):
            if name == "floor":
                points = {"": dataset.sample(n, generator(self.seed, "floor", k))}
            elif name == "annealed":
                points = {
                    wrong: draw(kind(**_RINGS), exact, n, self.seed, name, k)
                    for wrong, kind in (("", AnnealedLangevin), ("unscaled noise", _Unscaled))
                }
            else:
                points = {
                    "": draw(Langevin(), exact, n, self.seed, name, k),
                    "start at data": _start_at_data(Langevin(), exact, n, self.seed, name, k),
                }
            for wrong, x in points.items():
                rows += scored("masked", ["sw1"], dataset, self.seed + k, x, model=name,
                               dataset="rings", repeat=k, wrong=wrong)  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "With the exact score and a true weight of 0.8, naive Langevin gives {0:.2f} and annealed "
        "Langevin {1:.2f}. On rings naive Langevin's SW1 is {4:.0f} times the noise floor, that "
        "of annealed Langevin {5:.1f} times."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A9", "naive Langevin on modes of weight 0.8 and 0.2: weight of the first",
            "Song and Ermon 2019, section 3.2.2", partial(_weight, sampler="naive"),
            expected=0.5, slack=0.02, wrong="start at data",
        ),
        Claim(
            "A10", "annealed Langevin on the same modes", "Song and Ermon 2019, figure 3",
            partial(_weight, sampler="annealed"), expected=0.8, slack=0.04,
            wrong="unscaled noise",
        ),
        Claim(
            "A11", "naive Langevin on rings: weights are areas of the box; largest difference",
            "areas in closed form", partial(_largest_difference, dataset="rings"), most=0.02,
            wrong="start at data",
        ),
        Claim(
            "A11", "the same on 8gaussians", "areas in closed form",
            partial(_largest_difference, dataset="8gaussians"), most=0.01,
            wrong="start at data",
        ),
        Claim(
            "A19", "rings, exact score, naive Langevin: SW1 over its floor", "basins",
            partial(_times_floor, model="naive"), least=5, wrong="start at data",
        ),
        Claim(
            "A19", "rings, exact score, annealed Langevin: SW1 over its floor", "annealing",
            partial(_times_floor, model="annealed"), most=2, wrong="unscaled noise",
        ),
        Claim(
            "A19", "rings, naive Langevin: fall of SW1 when a score smoothed by 0.1 replaces the "
            "exact one", "the sampler hides quality", _gain_of_smoothing, least=0.02,
            wrong="start at data",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "unscaled noise": "each level adds √ε·z, not √α·z: the code of the blog post",
        "start at data": "chains start at points of the data",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(_draw_two_modes, y="weight of the first of two modes", legend="upper left"),
        Panel(
            _draw_basins,
            "share of the starting box nearest to the mode",
            "weight (dashed: truth)",
            "xy",
        ),
        Panel(_draw_masked, y="SW1 on rings, exact score", log="y"),
    )
