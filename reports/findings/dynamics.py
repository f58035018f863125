"""Dynamics that keep their promise: an integrator without bias, and chains that cross."""

import itertools
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
from ...methods.normal_model import NormalModel
from ...methods.random import MemberRandom
from ...methods.reference.exact import ExactScore
from ...methods.sampling.langevin import BAOAB, Langevin
from ...methods.sampling.metropolis import ParallelTempering
from . import findings
from .base import Claim, Finding, Parts, TableRow, row
from .figure import Panel, grouped
from .measures import average, number
from .tools import streams, variance_error

_STEPS = (0.5, 1.0, 1.5)
_ULA = {h: 1 / (1 - h * h / 4) for h in _STEPS}
_ROOT, _SWAP, _NOISE = "forgotten root", "no exchange", "doubled noise"
_WRONGS = {"baoab": _ROOT, "ula": _NOISE}


class _Scaled(MemberRandom):
    """Normal numbers times a factor."""

    factor = 1.0

    def normal_like(self, x: Tensor) -> Tensor:
        return self.factor * super().normal_like(x)


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
        model = NormalModel(torch.ones(1, 1, 1), 1.0, 0.0)
        rows = []
        for h in _STEPS:
            steps = {"baoab": BAOAB(step_size=h, steps=100), "ula": Langevin(h * h, steps=100)}
            for name, wrong in itertools.product(steps, (False, True)):
                rng = _Scaled([generator(self.seed, name, str(wrong), str(h))])
                if wrong:
                    rng.factor = math.sqrt(1 - math.exp(-2 * h) if name == "baoab" else 2.0)
                x = steps[name].sample(model, self.chains // 2, rng).points.view(1, -1, 1)
                value, error = variance_error(x)
                expected = 1.0 if name == "baoab" else _ULA[h]
                rows.append(row("harmonic", "variance", value, error, expected, sampler=name, h=h,
                                wrong=_WRONGS[name] if wrong else ""))  # fmt: skip
        return rows

    def _temper(self) -> list[TableRow]:
        dataset = get_density("two_modes")
        model = ExactScore(dataset)
        rows = []
        for wrong, temperatures in (("", 6), (_SWAP, 1)):
            sampler = ParallelTempering(steps=self.sweeps, temperatures=temperatures)
            rng = streams(self.seed, "tempering", str(temperatures))
            cold = sampler.sample(model, self.tempered, rng).points
            for k, part in enumerate(cold.chunk(10, 1)):
                weight = float(shares(dataset, part[0])[0])
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
                wrong=_ROOT if name == "baoab" else _NOISE,
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
        _NOISE: "the noise of a Langevin step has the variance 2ε",
        _SWAP: "the chains do not exchange places with hotter ones",
    }
    panels: ClassVar[tuple[Panel, ...]] = (
        Panel(partial(grouped, experiment="harmonic", quantity="variance", x="h", by="sampler"),
              "step h", "variance over the truth's"),
        Panel(partial(grouped, experiment="tempering", quantity="weight", x="repeat"),
              "tenth of the chains", "weight of the first mode"),
    )  # fmt: skip
