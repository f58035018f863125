"""Solvers of the flow and of the reverse diffusion: errors, and evaluations to the floor."""

import math
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from ...bench.streams import generator
from ...datasets import get_density
from ...methods.normal_model import NormalModel
from ...methods.reference.exact import ExactScore
from ...methods.sampling.diffusion import (
    Ancestral,
    DPMSolver,
    Euler,
    Heun,
    NoiseToData,
    ReverseSDE,
)
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme, grouped, joined, ticks
from .measures import average, exponent, number, pick
from .tools import Scaled, scored, streams

# Error of the standard deviation of a normal at 32 levels, in per cent, and order in their number.
_NORMAL = {
    "euler": (-6.3, 1.0), "heun": (0.70, 2.0), "reverse_sde": (13.1, 1.0),
    "ancestral": (-12.2, 1.0),
}  # fmt: skip
# Evaluations after which SW1 is at its floor.
_FLOOR = {"dpmpp_2m": 16, "heun": 33, "euler": 32, "ancestral": 64}
_SAMPLERS: dict[str, type[NoiseToData]] = {
    "dpmpp_2m": DPMSolver, "heun": Heun, "euler": Euler, "ancestral": Ancestral,
    "reverse_sde": ReverseSDE,
}  # fmt: skip
_KINDS = (*_NORMAL, "dpmpp_2m")
_TWICE = "score twice"


def _times_floor(table: Table, kind: str, dataset: str) -> Measured:
    floor = average(table, "floor", "sw1", dataset=dataset, kind="truth").value
    axes = {"dataset": dataset, "kind": kind, "evaluations": _FLOOR[kind]}
    return Measured(average(table, "floor", "sw1", **axes).value / floor)


def _draw_floor(axis: Axes, table: Table, theme: Theme, dataset: str) -> None:
    rows = pick(table, "floor", "sw1", dataset=dataset)
    for k, kind in enumerate(_FLOOR):
        mean = rows[rows["kind"] == kind].groupby("evaluations")["value"].mean()
        joined(axis, mean.index, mean, theme, k, kind)
    floor = rows[rows["kind"] == "truth"]["value"].mean()
    axis.axhline(floor, color=theme.faint, linestyle="--", label=f"floor, {dataset}")
    ticks(axis, mean.index)


@findings.register("solvers")
class Solvers(Finding):
    """Errors of the solvers of diffusion models in closed form, and their cost with exact scores.

    For a normal every step is linear in the points, so the variance at the end is a recursion:
    solvers of the flow and of the reverse diffusion have the orders of their schemes (Pierret and
    Galerne 2025). On 8gaussians and rings, with the exact score, the finding measures SW1 after
    equal numbers of evaluations of the score. Levels fall from 10 to 0.002 as in Karras et al.
    (2022), and the last evaluation removes the noise that is left.

    Attributes:
        levels: Numbers of levels for the normal.
        points: Points of a sample.
        repeats: Samples.
    """

    levels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    points: int = Field(8000, ge=500)
    repeats: int = Field(4, ge=2)

    def parts(self) -> Parts:
        floors = {name: partial(self._floor, name) for name in ("8gaussians", "rings")}
        return {"normal": self._normal, **floors}

    @staticmethod
    def _levels(count: int) -> list[float]:
        return Euler(steps=count - 1).levels(0.002)

    def _normal(self) -> list[TableRow]:
        variance = 1 / 8
        normal = NormalModel(torch.ones(1, 1, 1), math.sqrt(variance), 0.0, conditional=True)
        rows = []
        for wrong, model in (("", normal), (_TWICE, Scaled(normal, 2.0))):
            for kind in _KINDS:
                for count in self.levels:
                    levels, last = self._levels(count), None
                    x = torch.ones(1, 1, 1, dtype=torch.float64)
                    # Samplers start without the variance of the data, which hides high orders.
                    total = np.array([levels[0] ** 2, levels[0] ** 2 + variance])
                    for high, low in pairwise(levels):
                        there, noise, last = _SAMPLERS[kind]().step(model, x, high, low, last)
                        total = total * float(there / x) ** 2 + noise**2
                        x = there
                    error, order = 100 * (np.sqrt(total / (variance + levels[-1] ** 2)) - 1)
                    axes: TableRow = {"kind": kind, "levels": count, "wrong": wrong}
                    rows.append(row("normal", "per cent", error, **axes))
                    rows.append(row("normal", "size", abs(order), **axes))
        return rows

    def _floor(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        exact = ExactScore(dataset)
        rows = []
        for k in range(self.repeats):
            truth = dataset.sample(self.points, generator(self.seed, name, "fresh", k))
            axes: TableRow = {"dataset": name, "repeat": k}
            rows += scored("floor", ["sw1"], dataset, self.seed + k, truth, **axes, kind="truth",
                           evaluations=0)  # fmt: skip
            for kind, count in _FLOOR.items():
                for evaluations, wrong in ((16, ""), (32, ""), (64, ""), (count, _TWICE)):
                    evaluations += kind == "heun" and not wrong
                    model = Scaled(exact, 2.0) if wrong else exact
                    steps = evaluations // 2 if kind == "heun" else evaluations - 1
                    sampler = _SAMPLERS[kind](steps=steps, sigma_min=0.002, denoise=True)
                    rng = streams(self.seed, name, kind, evaluations, k)
                    x = sampler.sample(model, self.points, rng).points[0]
                    rows += scored("floor", ["sw1"], dataset, self.seed + k, x, **axes, kind=kind,
                                   evaluations=evaluations, wrong=wrong)  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "At 32 levels the standard deviation of a normal is off by {0:.1f} % (Euler), {1:.2f} % "
        "(Heun), {2:.0f} % (reverse diffusion) and {3:.0f} % (ancestral). With the exact score of "
        "8gaussians DPM-Solver++(2M) is at {9:.2f} times the floor after 16 evaluations."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A25", f"{kind}, normal, 32 levels: error of the standard deviation in per cent",
                "linear recursion; Pierret and Galerne 2025",
                partial(number, experiment="normal", quantity="per cent", kind=kind, levels=32),
                expected=error, slack=0.05 * abs(error), wrong=_TWICE,
            )
            for kind, (error, _) in _NORMAL.items()
        ),
        *(
            Claim(
                "A25", f"{kind}: exponent of that error in the levels from 100 on", "order",
                partial(exponent, experiment="normal", quantity="size", axis="levels", low=100,
                        kind=kind), expected=-order, slack=0.25, wrong=_TWICE,
            )
            for kind, order in (*((k, o) for k, (_, o) in _NORMAL.items()), ("dpmpp_2m", 2.0))
        ),
        *(
            Claim(
                "A25", f"{kind} on {name}: SW1 after {count} evaluations over its floor",
                "exact scores", partial(_times_floor, kind=kind, dataset=name), most=1.5,
                wrong=_TWICE,
            )
            for kind, count in _FLOOR.items()
            for name in ("8gaussians", *(("rings",) if kind in ("heun", "dpmpp_2m") else ()))
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {_TWICE: "dx/dσ = -2σs: the ½ of the flow is left out"}
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="normal", quantity="size", x="levels", by="kind"),
              "levels", "error of the standard deviation, %", "xy"),
        *(
            Panel(partial(_draw_floor, dataset=name), "evaluations", "SW1", "xy")
            for name in ("8gaussians", "rings")
        ),
    )  # fmt: skip
