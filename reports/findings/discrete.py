"""Ratio matching, the score matching of binary data, on an Ising model."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from . import findings
from .base import Claim, Finding, Parts, TableRow, row
from .figure import Panel, grouped
from .measures import number
from .tools import sandwich

_SIDE = 4
# At couplings .1 and .44, the critical one of the infinite square: expected variance ratios.
_EXPECTED = {
    ("ratio matching", 0.1): 1.068, ("ratio matching", 0.44): 3.012,
    ("pseudo-likelihood", 0.1): 1.066, ("pseudo-likelihood", 0.44): 1.776,
}  # fmt: skip


def neighbours() -> Tensor:
    """Multiply each spin by the sum of its four neighbours in all states: (65536, 16), float64."""
    states = torch.arange(2 ** (_SIDE**2))
    spins = ((states[:, None] >> torch.arange(_SIDE**2)) & 1) * 2 - 1
    grid = spins.view(-1, _SIDE, _SIDE)
    field = sum(grid.roll(step, axis) for axis in (1, 2) for step in (1, -1))
    return (grid * field).flatten(1).double()


@findings.register("discrete")
class Discrete(Finding):
    """Ratio matching for binary data: near maximum likelihood at weak coupling, far at strong.

    Ratio matching fits the ratios p(x)/p(x with one spin flipped) as score matching fits slopes: it
    minimises the sum of g² over spins, g = 1/(1 + ratio) (Hyvärinen 2007). The constant of
    normalisation drops out, as in the pseudo-likelihood (Besag 1975), the sum of -log(1 - g). On a
    periodic square of 4 by 4 spins with coupling θ, all 65,536 states can be enumerated: the
    asymptotic variances of the three estimates are exact sums.

    Attributes:
        couplings: Values of θ.
    """

    couplings: tuple[float, ...] = (0.1, 0.2, 0.3, 0.44)

    def parts(self) -> Parts:
        return {"enumeration": self._enumerate}

    def _enumerate(self) -> list[TableRow]:
        k = neighbours()
        energy = k.sum(1) / 2
        rows = []
        for theta in self.couplings:
            mass = torch.softmax(theta * energy, 0)
            information = float((mass * energy.square()).sum() - (mass * energy).sum() ** 2)
            g = torch.sigmoid(-2 * theta * k)
            flat = 2 * k * g * (1 - g)
            losses = {
                # Slope and curvature of -log(1 - g) and of g² in θ; g' = -flat.
                "pseudo-likelihood": (-2 * k * g, 2 * k * flat),
                "ratio matching": (
                    -2 * g * flat,
                    2 * flat.square() + 4 * k * g * flat * (1 - 2 * g),
                ),
            }
            for name, (slope, bend) in losses.items():
                values = sandwich(mass, slope.sum(1), bend.sum(1))
                for wrong, value in zip(("", "no sandwich"), values, strict=True):
                    rows.append(row("ising", "variance ratio", value * information, method=name,
                                    coupling=theta, wrong=wrong))  # fmt: skip
        return rows

    sentence: ClassVar[str] = (
        "At the coupling 0.44 ratio matching has {1:.2f} times the variance of maximum "
        "likelihood, and the pseudo-likelihood {3:.2f} times."
    )
    claims: ClassVar[tuple[Claim, ...]] = tuple(
        Claim(
            "A33", f"Ising model, θ = {theta:g}: variance of {name} over maximum likelihood's",
            "Hyvärinen 2007; all states enumerated",
            partial(number, experiment="ising", quantity="variance ratio", method=name,
                    coupling=theta), expected=expected, slack=2e-3, wrong="no sandwich",
        )
        for (name, theta), expected in _EXPECTED.items()
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        "no sandwich": "variances are inverse curvatures of the loss, as for a likelihood",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            partial(grouped, experiment="ising", quantity="variance ratio", x="coupling",
                    by="method"), "coupling θ", "variance over maximum likelihood's", "y",
        ),
    )  # fmt: skip
