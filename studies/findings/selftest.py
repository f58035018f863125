"""Whether the harness itself can be trusted: samplers without error must score like the truth."""

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from scipy.stats import ks_2samp

from ...bench.metrics.embedding import embeddings
from ...bench.metrics.mmd_exact import ExactMMD
from ...bench.metrics.sliced_wasserstein import SW1
from ...bench.streams import generator
from ...datasets import get_dataset
from ...methods.reference.exact import ExactScore
from ...methods.sampling.grid import GridSampler
from . import findings
from .base import Claim, Finding, Measured, Parts, Row, pick, row
from .tools import draw

if TYPE_CHECKING:
    import pandas as pd

_DATASETS = ("8gaussians", "rings", "checkerboard", "two_modes")


def _moment(table: "pd.DataFrame", source: str, *, second: bool) -> Measured:
    """Mean or mean square of standardised MMD² over all datasets and bandwidths."""
    found = pick(table, "mmd", "z", source=source)
    values = found["value"] ** 2 if second else found["value"]
    # Bandwidths of one sample go together: only repeats count as independent. Wide kernels make
    # MMD² a χ² of few degrees of freedom, whose squares have tails that few repeats miss: slack.
    means = values.groupby([found["dataset"], found["repeat"]]).mean()
    return Measured(float(means.mean()), float(means.std()) / math.sqrt(len(means)))


def _sw_ratio(table: "pd.DataFrame") -> Measured:
    """SW1 of the sampler's points over that of fresh truth."""
    a, b = (pick(table, "sw1", "sw1", source=name)["value"] for name in ("grid", "truth"))
    ratio = float(a.mean() / b.mean())
    spread = [float(v.std() / v.mean()) / math.sqrt(len(v)) for v in (a, b)]
    return Measured(ratio, ratio * math.hypot(*spread))


def _least_p(table: "pd.DataFrame", experiment: str) -> Measured:
    """Least p-value over datasets that two sources have one distribution, times their number."""
    found = pick(table, experiment, "p")["value"]
    return Measured(min(1.0, float(found.min()) * len(found)))


@findings.register("selftest")
class SelfTest(Finding):
    """Points without any error score as the theory of the metrics says, and like fresh truth.

    Fresh truth, and points that the sampler ``grid`` draws from the exact energy, are scored many
    times. MMD² from the truth has mean 0 and a known standard deviation at each bandwidth; SW1
    has to be the noise floor; and the scores of either source have to be one distribution, by
    Kolmogorov and Smirnov's test.

    Attributes:
        points: Points of a sample.
        repeats: Samples of either source, on every dataset.
    """

    points: int = Field(1000, ge=100)
    repeats: int = Field(150, ge=20)

    def parts(self) -> Parts:
        """One for each dataset."""
        return {name: partial(self._score, name) for name in _DATASETS}

    def _score(self, name: str) -> list[Row]:
        dataset = get_dataset(name)
        model = ExactScore(dataset, 0.0)
        sampler = GridSampler(box=1.5 * dataset.extent)
        made = draw(sampler, model, self.points * self.repeats, self.seed, name).double()
        truth = dataset.sample(self.points * self.repeats, generator(self.seed, name, "truth"))
        rows: list[Row] = []
        spread = torch.tensor([e.null_sd(self.points) for e in embeddings(dataset)])
        found: dict[str, dict[str, list[float]]] = {"mmd": {}, "sw1": {}}
        for source, points in (("truth", truth), ("grid", made)):
            for k, x in enumerate(points.split(self.points)):
                reference = dataset.sample(self.points, generator(self.seed, name, source, k))
                z = ExactMMD(dataset, reference).per_bandwidth(x) / spread
                rows += [
                    row("mmd", "z", float(v), expected=0.0, dataset=name, source=source, repeat=k,
                        bandwidth=level)
                    for level, v in enumerate(z)
                ]  # fmt: skip
                distance = SW1(dataset, reference)(x)
                rows.append(row("sw1", "sw1", distance, dataset=name, source=source, repeat=k))
                found["mmd"].setdefault(source, []).append(float(z.mean()))
                found["sw1"].setdefault(source, []).append(distance)
        return rows + [
            row(metric, "p", float(ks_2samp(v["truth"], v["grid"]).pvalue), dataset=name)
            for metric, v in found.items()
        ]

    def verdict(self, table: "pd.DataFrame") -> str:
        """Moments of MMD² and the ratio of SW1."""
        mean, square = (_moment(table, "grid", second=second).value for second in (False, True))
        return (
            f"Points drawn exactly score like fresh truth: standardised MMD² has mean {mean:.2f} "
            f"and mean square {square:.2f} where theory says 0 and 1, and SW1 is "
            f"{_sw_ratio(table).value:.2f} times its noise floor."
        )

    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A21", f"standardised MMD² of {said}: {moment}", "unbiased; Gretton et al. 2012",
                partial(_moment, source=source, second=second), expected=float(second),
                slack=0.1 * second,
            )
            for source, said in (("truth", "fresh truth"), ("grid", "points drawn exactly"))
            for moment, second in (("mean", False), ("mean square", True))
        ),
        Claim(
            "A21", "SW1 of points drawn exactly over that of fresh truth", "one distribution",
            _sw_ratio, expected=1.0,
        ),
        *(
            Claim(
                "A21", f"{metric} of both: least p-value over datasets (Bonferroni)",
                "one distribution", partial(_least_p, experiment=experiment), least=0.001,
            )
            for metric, experiment in (("MMD²", "mmd"), ("SW1", "sw1"))
        ),
    )  # fmt: skip
