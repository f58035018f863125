"""What score matching loses to maximum likelihood when modes move apart."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.streams import generator
from . import findings
from .base import Claim, Finding, Parts, TableRow, row
from .figure import Panel, grouped
from .measures import number
from .tools import sandwich, variance_error

# Distances, and the ratios of variances at weight ½.
_EXPECTED = {1: 1.66, 2: 9.42, 3: 139.5, 4: 5543.0}
_SIMULATED = (2,)


def slopes(x: Tensor, a: float, logit: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate the losses of points by the log odds of two modes N(±a, 1).

    With r the share of the mode +a at x, the score is a(2r - 1) - x.

    Returns:
        The slopes of s' + ½s² (Hyvärinen 2005) and of -log p, both of the shape of ``x``.
    """
    r = torch.sigmoid(2 * a * x + logit)
    q = r * (1 - r)
    score_matching = 4 * a**2 * q * (1 - 2 * r) + 2 * a * q * (a * (2 * r - 1) - x)
    return score_matching, torch.sigmoid(logit) - r


@findings.register("separation")
class Separation(Finding):
    """The price of score matching grows without bound as modes move apart.

    The weight of one of the modes N(±a, 1) is estimated from N points. Maximum likelihood counts
    the points near each mode; score matching learns from the few between them, and its variance
    over maximum likelihood's grows with the isoperimetric constant of the density (Koehler,
    Heckett and Risteski 2023). The finding integrates the asymptotic variances at weight ½, and
    fits both estimates to many samples at one distance.

    Attributes:
        points: Points N of a sample.
        fits: Samples.
    """

    points: int = Field(1000, ge=100)
    fits: int = Field(3000, ge=100)

    def parts(self) -> Parts:
        simulated = {f"fits {a}": partial(self._fits, a) for a in _SIMULATED}
        return {"integrals": self._integrals, **simulated}

    def _integrals(self) -> list[TableRow]:
        x = torch.linspace(-16, 16, 200_001, dtype=torch.float64)
        rows = []
        for a, expected in _EXPECTED.items():
            mass = (-0.5 * (x.square() + a**2)).exp() * torch.cosh(a * x)
            mass /= mass.sum()
            r = torch.sigmoid(2 * a * x)
            q = r * (1 - r)
            slope, _ = slopes(x, a, torch.zeros(1, dtype=torch.float64))
            # The mean curvature is that of ½|∂s|², and maximum likelihood has 1/I.
            right, wrong = sandwich(mass, slope, (2 * a * q).square())
            information = float((mass * (r - 0.5).square()).sum())
            for name, value in (("", right), ("no sandwich", wrong)):
                rows.append(row("integral", "variance ratio", value * information,
                                expected=expected, distance=a, wrong=name))  # fmt: skip
        return rows

    def _fits(self, a: int) -> list[TableRow]:
        stream = generator(self.seed, "fits", a)
        signs = torch.randint(2, (self.fits, self.points), generator=stream) * 2 - 1
        x = signs * a + torch.randn(signs.shape, generator=stream, dtype=torch.float64)
        variances, wrong = [], []
        for which in (0, 1):
            logit = torch.zeros(self.fits, 1, dtype=torch.float64)
            for _ in range(12):
                slope, above = (
                    slopes(x, a, logit + h)[which].mean(1, keepdim=True) for h in (0, 1e-5)
                )
                bend = (above - slope) / 1e-5
                logit = logit - (slope / bend).clamp(-1, 1)
            variances.append(variance_error(logit))
            wrong.append(float((1 / bend).mean()) / self.points)
        (first, error), (second, other) = variances
        ratio = first / second
        spread = ratio * math.hypot(error / first, other / second)
        axes: dict[str, float] = {"distance": a, "expected": _EXPECTED[a]}
        return [
            row("fits", "variance ratio", ratio, spread, **axes),
            row("fits", "variance ratio", wrong[0] / wrong[1], spread, **axes, wrong="no sandwich"),
        ]

    sentence: ClassVar[str] = (
        "For modes at ±1 score matching has {0:.2f} times the variance of maximum likelihood, for "
        "modes at ±4 {3:.0f} times: as many more points are needed."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A23", f"modes at ±{a}: variance of score matching over maximum likelihood's",
                "Koehler et al. 2023; quadrature",
                partial(number, experiment="integral", quantity="variance ratio", distance=a),
                slack=3e-3 * expected, wrong="no sandwich",
            )
            for a, expected in _EXPECTED.items()
        ),
        *(
            Claim(
                "A23", f"modes at ±{a}: the same over fits to samples", "that integral",
                partial(number, experiment="fits", quantity="variance ratio", distance=a),
                slack=0.1 * _EXPECTED[a], wrong="no sandwich",
            )
            for a in _SIMULATED
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "no sandwich": "variances are inverse curvatures of the loss, as for a likelihood",
    }
    panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(
            partial(grouped, experiment=name, quantity="variance ratio", x="distance"),
            "distance a of the modes ±a", f"variance ratio, {name}", "y",
        )
        for name in ("integral", "fits")
    )  # fmt: skip
