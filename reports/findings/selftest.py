"""A test of the harness: points without error must score like the truth."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.stats import ks_2samp

from ...bench.metrics.embedding import embeddings
from ...bench.metrics.mmd_exact import ExactMMD
from ...bench.metrics.sliced_wasserstein import SW1
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.reference.exact import ExactScore
from ...methods.sampling.grid import GridSampler
from . import findings
from .base import Claim, Finding, Measured, Parts, TableRow, row
from .figure import Axes, Panel, Table, Theme
from .measures import pick
from .tools import draw

_DATASETS = ("8gaussians", "rings", "checkerboard", "two_modes")
_MOVED = "corners of cells"
_SOURCES = {"truth": "fresh truth", "grid": "drawn exactly"}


def _moment(table: Table, source: str, *, second: bool) -> Measured:
    """Mean or mean square of standardised MMD² over all datasets and bandwidths."""
    rows = pick(table, "mmd", "z", source=source)
    values = rows["value"] ** 2 if second else rows["value"]
    # Bandwidths of one sample are correlated: only repeats count as independent. With wide kernels
    # MMD² is a χ² of few degrees of freedom; few repeats miss the tails of its square: slack.
    means = values.groupby([rows["dataset"], rows["repeat"]]).mean()
    return Measured(float(means.mean()), float(means.std()) / math.sqrt(len(means)))


def _sw_ratio(table: Table) -> Measured:
    """SW1 of the sampler's points over that of fresh truth."""
    a, b = (pick(table, "sw1", "sw1", source=name)["value"] for name in ("grid", "truth"))
    ratio = float(a.mean() / b.mean())
    spread = [float(v.std() / v.mean()) / math.sqrt(len(v)) for v in (a, b)]
    return Measured(ratio, ratio * math.hypot(*spread))


def _least_p(table: Table, experiment: str) -> Measured:
    """Least p-value over datasets for equal distributions, times the number of datasets."""
    values = pick(table, experiment, "p")["value"]
    return Measured(min(1.0, float(values.min()) * len(values)))


def _draw_moments(axis: Axes, table: Table, theme: Theme) -> None:
    bins = [-3 + 0.2 * i for i in range(46)]
    for k, (source, name) in enumerate(_SOURCES.items()):
        values = pick(table, "mmd", "z", source=source)["value"]
        label = f"{name}: mean {values.mean():.2f}, sd {values.std():.2f}"
        x, colour = values.clip(bins[0], bins[-1]), theme.palette[k]
        axis.hist(x, bins, density=True, histtype="step", color=colour, linewidth=1.3, label=label)


def _draw_distances(axis: Axes, table: Table, theme: Theme) -> None:
    names = list(dict.fromkeys(table["dataset"]))
    for k, (source, label) in enumerate(_SOURCES.items()):
        rows = pick(table, "sw1", "sw1", source=source)
        for i, name in enumerate(names):
            x = i + 0.18 * (2 * k - 1)
            values = rows[rows["dataset"] == name]["value"]
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
            axis.plot([x, x], [low, high], color=theme.palette[k], linewidth=1.2)
            entry = label if i == 0 else ""
            axis.plot([x], [middle], "os"[k], color=theme.palette[k], markersize=5, label=entry)
    axis.set_xticks(range(len(names)), names)


@findings.register("selftest")
class SelfTest(Finding):
    """Points without error score as the theory of the metrics predicts, and like fresh truth.

    The finding scores fresh truth, and points that the sampler ``grid`` draws from the exact
    energy, many times. MMD² from the truth must have mean 0 and a known standard deviation at each
    bandwidth, SW1 must equal its noise floor, and the scores of the two sources must have the same
    distribution in a Kolmogorov–Smirnov test.

    Attributes:
        points: Points of a sample.
        repeats: Samples of each source on each dataset.
    """

    points: int = Field(1000, ge=100)
    repeats: int = Field(150, ge=20)

    def parts(self) -> Parts:
        return {name: partial(self._score, name) for name in _DATASETS}

    def _score(self, name: str) -> list[TableRow]:
        dataset = get_density(name)
        sampler, n = GridSampler(box=1.5 * dataset.extent), self.points * self.repeats
        exact = draw(sampler, ExactScore(dataset, 0.0), n, self.seed, name).double()
        truth = dataset.sample(n, generator(self.seed, name, "truth"))
        rows: list[TableRow] = []
        found = embeddings(dataset)
        spread = torch.tensor([e.null_sd(self.points) for e in found])
        # What the mean of the kernel over pairs gains if a point is paired with itself.
        bias = torch.tensor([1 - e.constant for e in found]) / self.points
        means: dict[str, dict[str, list[float]]] = {"mmd": {}, "sw1": {}}
        few = exact[: self.points * max(20, self.repeats // 4)] + 0.25
        for case, points in (("truth", truth), ("grid", exact), (_MOVED, few)):
            source, wrong = ("grid", case) if case == _MOVED else (case, "")
            for k, x in enumerate(points.split(self.points)):
                reference = dataset.sample(self.points, generator(self.seed, name, source, k))
                axes: TableRow = {"dataset": name, "source": source, "repeat": k}
                z = ExactMMD(dataset, reference).per_bandwidth(x) / spread
                biased = [("", z)] if wrong else [("", z), ("V-statistic", z + bias / spread)]
                rows += [
                    row("mmd", "z", float(v), expected=0.0, **axes, bandwidth=level,
                        wrong=wrong or other)
                    for other, values in biased
                    for level, v in enumerate(values)
                ]  # fmt: skip
                distance = SW1(dataset, reference)(x)
                rows.append(row("sw1", "sw1", distance, **axes, wrong=wrong))
                means["mmd"].setdefault(case, []).append(float(z.mean()))
                means["sw1"].setdefault(case, []).append(distance)
        return rows + [
            row(metric, "p", float(ks_2samp(v["truth"], v[case]).pvalue), dataset=name, wrong=wrong)
            for metric, v in means.items()
            for case, wrong in (("grid", ""), (_MOVED, _MOVED))
        ]

    sentence: ClassVar[str] = (
        "Points drawn exactly score like fresh truth: standardised MMD² has mean {2:.2f} and mean "
        "square {3:.2f} (theory: 0 and 1), and SW1 is {4:.2f} times its noise floor."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A21", f"standardised MMD² of {label}: {moment}", "unbiased; Gretton et al. 2012",
                partial(_moment, source=source, second=second), expected=float(second),
                slack=0.1 * second, wrong="V-statistic",
            )
            for source, label in (("truth", "fresh truth"), ("grid", "points drawn exactly"))
            for moment, second in (("mean", False), ("mean square", True))
        ),
        Claim(
            "A21", "SW1 of points drawn exactly over that of fresh truth", "one distribution",
            _sw_ratio, expected=1.0, wrong=_MOVED,
        ),
        *(
            Claim(
                "A21", f"{metric} of both: least p-value over datasets (Bonferroni)",
                "one distribution", partial(_least_p, experiment=experiment), least=0.001,
                wrong=_MOVED,
            )
            for metric, experiment in (("MMD²", "mmd"), ("SW1", "sw1"))
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "V-statistic": "the mean of the kernel over pairs includes a point with itself",
        _MOVED: "points are the corners of cells of side 0.5, not inside them: moved by 0.25",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            _draw_moments, "MMD² in its standard deviations, all datasets and bandwidths", "density"
        ),
        Panel(_draw_distances, y="SW1: median and 90 %"),
    )
