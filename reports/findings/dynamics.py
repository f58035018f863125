"""Dynamics that keep their promise: an integrator without bias, and chains that cross."""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...bench.metrics.modes import shares
from ...bench.streams import generator
from ...datasets import get_density
from ...methods.random import MemberRandom
from ...methods.reference.exact import ExactScore
from . import findings
from .base import Claim, Finding, Parts, TableRow, row
from .figure import Panel, grouped
from .measures import average, number
from .tools import Crowd, streams, variance_error

_STEPS = (0.5, 1.0, 1.5)
_ULA = {h: 1 / (1 - h * h / 4) for h in _STEPS}
_ROOT, _SWAP, _HALF = "forgotten root", "swap everything", "doubled drift"


def baoab(x: Tensor, h: float, steps: int, rng: MemberRandom, *, root: bool = True) -> Tensor:
    """Run underdamped Langevin dynamics on |x|²/2: half kick, half drift, friction, and back.

    Leimkuhler and Matthews 2013, with friction 1 and mass 1; ``root=False`` has a wrong noise.
    """
    keep = math.exp(-h)
    noise = math.sqrt(1 - keep**2) if root else 1 - keep**2
    v = rng.normal_like(x)
    for _ in range(steps):
        v = v - h / 2 * x
        x = x + h / 2 * v
        v = keep * v + noise * rng.normal_like(x)
        x = x + h / 2 * v
        v = v - h / 2 * x
    return x


def parallel_tempering(
    model: ExactScore, x: Tensor, betas: Tensor, sweeps: int, rng: MemberRandom, *, swap: bool
) -> Tensor:
    """Move chains at inverse temperatures β (T, 1, 1) and swap neighbours (Geyer 1991).

    Args:
        model: Its energy is that of β = 1.
        x: Chains, shape (T, n, d); the last temperature is 1.
        betas: Inverse temperatures, rising.
        sweeps: A random-walk proposal and a swap of even or odd neighbours each.
        rng: One member for each temperature.
        swap: Whether swaps are accepted by Metropolis's rule; otherwise all are, which is wrong.
    """
    energy = model.energy(x)
    n, beta = x.shape[1], betas[:, :, 0]
    for sweep in range(sweeps):
        there = x + betas.rsqrt() * 1.5 * rng.normal_like(x)
        other = model.energy(there)
        yes = rng.uniform(n).log() < beta * (energy - other)
        x, energy = torch.where(yes[..., None], there, x), torch.where(yes, other, energy)
        low = torch.arange(sweep % 2, len(x) - 1, 2)
        gain = (beta[low + 1] - beta[low]) * (energy[low + 1] - energy[low])
        yes = rng.uniform(n).log()[low] < gain if swap else torch.ones_like(gain, dtype=torch.bool)
        for values in (x, energy):
            mask = yes.view(*yes.shape, *[1] * (values.ndim - 2))
            hot, cold = values[low], values[low + 1]
            values[low], values[low + 1] = (
                torch.where(mask, cold, hot),
                torch.where(mask, hot, cold),
            )
    return x[-1]


@findings.register("dynamics")
class Dynamics(Finding):
    """BAOAB has no bias on a harmonic energy, and parallel tempering weighs distant modes rightly.

    Unadjusted Langevin dynamics with ε = h² has the variance 1/(1 - h²/4) on |x|²/2; BAOAB, an
    integrator of underdamped Langevin dynamics with steps h, has 1 at every h below 2 (Leimkuhler
    and Matthews 2013). Neither crosses empty regions: on two modes of weights 0.8 and 0.2 chains
    at six temperatures that swap places do (Geyer 1991), and half of naive chains end in each mode.

    Attributes:
        chains: Chains on the harmonic energy.
        tempered: Chains at each temperature.
        sweeps: Sweeps of parallel tempering.
    """

    chains: int = Field(100_000, ge=1000)
    tempered: int = Field(4000, ge=100)
    sweeps: int = Field(1500, ge=100)

    def parts(self) -> Parts:
        return {"harmonic": self._harmonic, "tempering": self._temper}

    def _harmonic(self) -> list[TableRow]:
        rows = []
        for h in _STEPS:
            start = torch.zeros(1, self.chains, 1, dtype=torch.float64)
            for name, wrong, expected in (
                ("baoab", "", 1.0), ("baoab", _ROOT, 1.0),
                ("ula", "", _ULA[h]), ("ula", _HALF, _ULA[h]),
            ):  # fmt: skip
                rng = Crowd(generator(self.seed, name, wrong, str(h)), 1, torch.float64)
                x = start
                if name == "baoab":
                    x = baoab(x, h, 100, rng, root=not wrong)
                else:
                    for _ in range(100):
                        x = x - (h * h if wrong else h * h / 2) * x + h * rng.normal_like(x)
                value, error = variance_error(x)
                rows.append(row("harmonic", "variance", value, error, expected, sampler=name, h=h,
                                wrong=wrong))  # fmt: skip
        return rows

    def _temper(self) -> list[TableRow]:
        dataset = get_density("two_modes")
        model = ExactScore(dataset)
        rows = []
        betas = torch.logspace(-2, 0, 6).view(-1, 1, 1)
        for wrong, swap in (("", True), (_SWAP, False)):
            rng = streams(self.seed, "tempering", members=len(betas))
            x = rng.uniform(self.tempered, 2) * 16 - 8
            cold = parallel_tempering(model, x, betas, self.sweeps, rng, swap=swap)
            for k, part in enumerate(cold.chunk(10)):
                weight = float(shares(dataset, part)[0])
                rows.append(row("tempering", "weight", weight, expected=0.8, repeat=k, wrong=wrong))
        return rows

    sentence: ClassVar[str] = (
        "On a harmonic energy BAOAB's variance is {0:.3f} times the truth's at h = 1.5, where "
        "unadjusted Langevin's is {1:.2f} times. Parallel tempering gives a mode of weight 0.8 "
        "the weight {6:.3f}."
    )
    claims: ClassVar[tuple[Claim, ...]] = (
        *(
            Claim(
                "A31", f"{name} at h = {h:g} on a harmonic energy: variance",
                "Leimkuhler and Matthews 2013" if name == "baoab" else "1/(1 - h²/4)",
                partial(number, experiment="harmonic", quantity="variance", sampler=name, h=h),
                wrong=_ROOT if name == "baoab" else _HALF,
            )
            for h in reversed(_STEPS)
            for name in ("baoab", "ula")
        ),
        Claim(
            "A31", "parallel tempering: weight of a mode of weight 0.8", "Geyer 1991",
            partial(average, experiment="tempering", quantity="weight"), expected=0.8, slack=0.01,
            wrong=_SWAP,
        ),
    )  # fmt: skip
    wrongs: ClassVar[Mapping[str, str]] = {
        _ROOT: "the noise of BAOAB is (1 - e^(-2h))·z, without the root",
        _HALF: "the step is ε·s(x) + √ε·z, without the ½",
        _SWAP: "every swap of neighbouring temperatures is accepted",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="harmonic", quantity="variance", x="h", by="sampler"),
              "step h", "variance over the truth's"),
        Panel(partial(grouped, experiment="tempering", quantity="weight", x="repeat"),
              "tenth of the chains", "weight of the first mode"),
    )  # fmt: skip
