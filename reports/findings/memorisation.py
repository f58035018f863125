"""What a model of a finite training set repeats, and from which noise level on."""

import itertools
import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.spatial import cKDTree
from torch import Tensor

from ...bench.metrics.fisher import score_at
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.estimators.kde import KernelDensity
from ...methods.objectives.dsm import DSM
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme, grouped, repeated, ticks
from .measures import average, end_ratio, exponent, pick
from .tools import mean_error, scores, train

# A sample is a copy if its nearest training point is this many times nearer than the second.
_TIMES = 3


def copies(points: Tensor, samples: Tensor) -> float:
    """Compute the share of samples (n, d) that are copies of points (m, d)."""
    near = np.asarray(cKDTree(points.numpy()).query(samples.numpy(), k=2)[0])
    return float((_TIMES * near[:, 0] < near[:, 1]).mean())


def _nearer(table: Table) -> Measured:
    """Distance to the kernel density's score over that to the truth's, at the last step."""
    distances = [pick(table, "memorise", f"fisher to {name}") for name in ("kde", "truth")]
    last = [rows[rows["steps"] == rows["steps"].max()]["value"].mean() for rows in distances]
    return Measured(float(last[0] / last[1]))


def _draw_memorise(axis: Axes, table: Table, theme: Theme) -> None:
    for k, (name, label) in enumerate((("kde", "their kernel density"), ("truth", "the truth"))):
        rows = pick(table, "memorise", f"fisher to {name}")
        repeated(axis, "steps", rows, theme, k, f"to {label}")
        ticks(axis, rows["steps"])


@findings.register("memorisation")
class Memorisation(Finding):
    """The perfect denoiser of n points copies them below a level that falls as n^(-1/d).

    Over all functions DSM is minimised by the score of the kernel density estimate of its training
    points (Vincent 2011); its samples are training points plus noise. They condense on single
    points below σ_c = (e^H/n)^(1/d)/√(2πe), where n spheres of noise no longer fill the volume of
    the data of entropy H (Biroli, Bonnaire, de Bortoli and Mézard 2024). The finding bisects for
    the level at which half of the samples are three times nearer to one point than to any other,
    and trains networks on a few points until they equal that estimate.

    Attributes:
        sizes: Numbers n of training points.
        samples: Samples of an estimate.
        few: Points that networks memorise.
        lengths: Training steps of those networks.
        seeds: Networks of each length.
    """

    sizes: tuple[int, ...] = (100, 300, 1000, 3000)
    samples: int = Field(5000, ge=100)
    few: int = Field(50, ge=2)
    lengths: tuple[int, ...] = (300, 1000, 3000)
    seeds: int = Field(2, ge=1)

    def parts(self) -> Parts:
        trained = {f"memorise {steps}": partial(self._memorise, steps) for steps in self.lengths}
        return {"copies": self._copies, "kde": self._kde, **trained}

    def _copies(self) -> list[TableRow]:
        dataset = get_density("8gaussians")
        rows = []
        for n, k in itertools.product(self.sizes, range(5)):
            stream = generator(self.seed, "copies", n, k)
            points = dataset.sample(n, stream)
            centres = points[torch.randint(n, (self.samples,), generator=stream)]
            noise = torch.randn(centres.shape, generator=stream, dtype=centres.dtype)
            critical = math.sqrt(math.exp(dataset.entropy()) / (2 * math.pi * math.e * n))
            for wrong, power in (("", 1.0), ("σ for σ²", 0.5)):
                low, high = 0.0, 10 * critical
                for _ in range(12):
                    level = (low + high) / 2
                    above = copies(points, centres + level**power * noise) < 0.5
                    low, high = (low, level) if above else (level, high)
                for quantity, value in (("level", level), ("of σ_c", level / critical)):
                    rows.append(row("copies", quantity, value, points=n, repeat=k, wrong=wrong))
        return rows

    def _kde(self) -> list[TableRow]:
        dataset, sigma = get_density("8gaussians"), 0.2
        x = dataset.sample(max(self.sizes), generator(self.seed, "kde")).float()
        rows = []
        for n in self.sizes:
            # Silverman's rule of thumb in the plane.
            silverman = float(x[:n].std(0).mean()) * n ** (-1 / 6)
            for wrong, width in (("", sigma), ("bandwidth of the points", silverman)):
                model = KernelDensity(x[:n], width)
                fisher = scores(["fisher_target"], dataset, self.seed, x[:2], model, sigma)
                rows.append(row("kde", "fisher to truth", fisher["fisher_target"], points=n,
                                wrong=wrong))  # fmt: skip
        return rows

    def _memorise(self, steps: int) -> list[TableRow]:
        dataset, sigma = get_density("8gaussians"), 0.2
        trained = train(DSM(), {"sigma": sigma}, dataset, seed=self.seed, seeds=self.seeds,
                        steps=steps, points=self.few, learning_rate=3e-3,
                        schedule="cosine")  # fmt: skip
        rows = []
        for k, model in enumerate(trained.models):
            centres = trained.data[k].float()
            stream = generator(self.seed, "memorise", k)
            y = centres[torch.randint(self.few, (20_000,), generator=stream)]
            y = (y + sigma * torch.randn(y.shape, generator=stream)).double()
            fresh = dataset.sample(self.few, generator(self.seed, "fresh", k)).float()
            score = score_at(model, y, sigma)
            for wrong, label, other in (
                ("", "kde", score_at(KernelDensity(centres, sigma), y, sigma)),
                ("other points", "kde", score_at(KernelDensity(fresh, sigma), y, sigma)),
                ("", "truth", dataset.score(y, sigma)),
            ):
                value, error = mean_error(0.5 * (score - other).square().sum(1))
                rows.append(row("memorise", f"fisher to {label}", value, error, seed=k, steps=steps,
                                wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "Half of a kernel density's samples are copies at {1:.2f} of the critical level σ_c. "
        "Networks trained on a few points end {4:.2g} times as far from the score of their kernel "
        "density as from the true one."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A26", f"{n} points: level at which half of the samples are copies, over σ_c",
                "Biroli et al. 2024", partial(average, experiment="copies", quantity="of σ_c",
                points=n), expected=0.55, slack=0.05, wrong="σ for σ²",
            )
            for n in (100, 1000)
        ),
        Claim(
            "A26", "exponent of that level in the number of points", "-1/d; Biroli et al. 2024",
            partial(exponent, experiment="copies", quantity="level", axis="points"),
            expected=-0.5, slack=0.05, wrong="σ for σ²",
        ),
        Claim(
            "A18", "Fisher divergence of a kernel density estimate to p_σ: exponent in the number "
            "of its points", "Vincent 2011",
            partial(exponent, experiment="kde", quantity="fisher to truth", axis="points"),
            expected=-1.0, slack=0.15, wrong="bandwidth of the points",
        ),
        Claim(
            "A18", "trained on few points: distance to their kernel density's score over that to "
            "the truth's", "Vincent 2011", _nearer, most=0.5, wrong="other points",
        ),
        Claim(
            "A18", "distance to the kernel density's score at the most steps over at the fewest",
            "Vincent 2011",
            partial(end_ratio, experiment="memorise", quantity="fisher to kde", axis="steps",
                    last=True), most=0.5, wrong="other points",
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "σ for σ²": "the noise has the variance σ",
        "bandwidth of the points": "the kernels' width is Silverman's, from the points",
        "other points": "the kernel density is that of as many new points",
    }
    columns: ClassVar[int] = 3
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="copies", quantity="level", x="points"),
              "training points", "σ at which half are copies", "xy"),
        Panel(partial(grouped, experiment="kde", quantity="fisher to truth", x="points"),
              "training points", "Fisher divergence of their kernel density", "xy"),
        Panel(_draw_memorise, "training steps on few points", "Fisher divergence", "xy"),
    )  # fmt: skip
