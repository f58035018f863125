"""What a bound on the likelihood of a diffusion says about its flow: nothing."""

import math
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from ...datasets import get_density
from ...datasets.base import Density
from ...datasets.mixture import GaussianMixture
from . import findings
from .base import Claim, Finding, Parts, TableRow, row
from .figure import Panel, grouped
from .measures import number
from .tools import mean_error

_HIGH, _LOW, _VARIANCE = 10.0, 0.002, 1 / 8
_KL = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)
_TRACE = "no divergence"


def _normal_kl(ratio: float) -> float:
    """KL(N(0, v), N(0, ratio·v))."""
    return 0.5 * (1 / ratio - 1 + math.log(ratio))


def flow_log_density(q: Density, x: Tensor, steps: int, *, divergence: bool = True) -> Tensor:
    """Follow dx/dσ = -σs from data to noise by Heun's method: log density of points (n, d).

    log q(x) = log N(x(σ_max); 0, σ_max² + variances of q) - ∫σ tr ∇s dσ (Song et al. 2021); the
    trace is a central difference.
    """
    levels = np.geomspace(_LOW, 10 * _HIGH, steps + 1).tolist()
    total, step = torch.zeros(len(x), dtype=x.dtype), 1e-4

    def slope(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        bend = torch.zeros(len(x), dtype=x.dtype)
        for axis in torch.eye(q.dim, dtype=x.dtype) * step * max(1.0, sigma):
            ends = [(q.score(x + k * axis, sigma) @ axis.sign()) for k in (1, -1)]
            bend += (ends[0] - ends[1]) / (2 * step * max(1.0, sigma))
        return -sigma * q.score(x, sigma), -sigma * bend * divergence

    for low, high in pairwise(levels):
        first, bend = slope(x, low)
        second, other = slope(x + (high - low) * first, high)
        x = x + (high - low) / 2 * (first + second)
        total = total + (high - low) / 2 * (bend + other)
    # At the last level the data are a small part of the noise, and known exactly.
    return q.log_prob(x, levels[-1]) + total


@findings.register("flow")
class Flow(Finding):
    """Score errors bound the KL divergence of the reverse diffusion, not that of the flow.

    KL(p, q) ≤ ½∫g²E|s - ŝ|²dt for the diffusion with the score ŝ (Song et al. 2021), plus what is
    left at the last level; the flow has another term (Lu et al. 2022). With ŝ = (1 + δ)s on a
    normal both divergences are exact: the flow's variance is off by the power δ of the ratio of
    variances, a divergence near (δL)²/4, L = log(σ_max²/v), and the bound is δ²L/2. If ŝ is the
    score of one density at all levels all three are equal: the finding integrates the flow's
    density for the wrong weights of two modes.

    Attributes:
        deltas: Relative errors δ of the score.
        points: Points of the likelihood.
        steps: Steps of the flow.
    """

    deltas: tuple[float, ...] = (0.01, 0.03, 0.1, 0.2)
    points: int = Field(2000, ge=100)
    steps: int = Field(300, ge=10)

    def parts(self) -> Parts:
        return {"normal": self._normal, "weights": self._weights}

    def _normal(self) -> list[TableRow]:
        sigma = np.geomspace(_HIGH, _LOW, 20_001)
        rows = []
        for delta in self.deltas:
            flow = sde = _VARIANCE + _HIGH**2
            for high, low in pairwise(sigma.tolist()):
                gain, rate = high**2 - low**2, (1 + delta) / (_VARIANCE + high * low)
                flow *= math.exp(-gain * rate)
                sde = sde * math.exp(-2 * gain * rate) + gain * math.exp(-gain * rate)
            end = _VARIANCE + _LOW**2
            span = math.log((_VARIANCE + _HIGH**2) / end)
            bound = delta**2 * span / 2
            for kind, wrong, value in (
                ("flow", "", _normal_kl(flow / end)), ("diffusion", "", _normal_kl(sde / end)),
                ("flow", "as a diffusion", _normal_kl(sde / end)),
                ("diffusion", "as a flow", _normal_kl(flow / end)),
            ):  # fmt: skip
                rows.append(row("normal", "over the bound", value / bound, delta=delta, kind=kind,
                                wrong=wrong))  # fmt: skip
        return rows

    def _weights(self) -> list[TableRow]:
        p = get_density("two_modes")
        centres: Tensor = p.centres  # type: ignore[attr-defined]
        q = GaussianMixture(centres, 1.0, weights=(0.5, 0.5))
        x = p.sample(self.points, generator(self.seed, "weights"))
        rows = []
        for kind, wrong, other, divergence, expected in (
            ("right", "", p, True, 0.0), ("equal weights", "", q, True, _KL),
            ("right", _TRACE, p, False, 0.0), ("equal weights", _TRACE, q, False, _KL),
        ):  # fmt: skip
            log_q = flow_log_density(other, x, self.steps, divergence=divergence)
            # The expected divergence, and a difference of logarithms at the same points.
            value, error = mean_error(other.log_prob(x, _LOW) - log_q)
            rows.append(row("likelihood", "kl", expected + value, error, expected, kind=kind,
                            wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "With a score of a normal that is 10 % too large the diffusion stays below the bound "
        "({1:.2f} of it), and the flow is at {0:.1f} times the bound. The likelihood of the flow "
        "gives KL {3:.4f} for wrong weights of two modes."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "A32", "score of a normal 10 % too large: KL divergence of the flow over the bound",
            "Lu et al. 2022", partial(number, experiment="normal", quantity="over the bound",
            delta=0.1, kind="flow"), least=2.0, wrong="as a diffusion",
        ),
        Claim(
            "A32", "the same of the reverse diffusion", "Song et al. 2021",
            partial(number, experiment="normal", quantity="over the bound", delta=0.1,
                    kind="diffusion"), most=1.0, wrong="as a flow",
        ),
        *(
            Claim(
                "A32", f"two modes, {kind}: KL divergence by the likelihood of the flow",
                "Song et al. 2021", partial(number, experiment="likelihood", quantity="kl",
                kind=kind), slack=2e-3, wrong=_TRACE,
            )
            for kind in ("right", "equal weights")
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "as a diffusion": "the bound is compared with the diffusion's divergence",
        "as a flow": "the bound is compared with the flow's divergence",
        _TRACE: "the change of volume is left out of the likelihood",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="normal", quantity="over the bound", x="delta",
                      by="kind"),
              "relative error δ of the score", "KL divergence over the bound", "x"),
    )  # fmt: skip
