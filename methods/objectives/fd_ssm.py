"""Sliced score matching by finite differences."""

import math

from torch import cat

from .. import methods
from .base import BaseTrial, Density, MemberRandom, NetworkModel, Options, Suggested, Tensor
from .implicit import Implicit


@methods.register("fd_ssm")
class FDSSM(Implicit):
    """Sliced score matching by finite differences: needs no derivative with respect to x.

    (d/r²) E [(E(x+ru) - E(x-ru))²/8 - E(x+ru) - E(x-ru) + 2E(x)] for energies E and u uniform on
    the unit sphere, and E [|s(x+ru) + s(x-ru)|²/8 + (d/2r) u·(s(x+ru) - s(x-ru))] for scores
    (Pang et al. 2020, equation 12 and its counterpart for scores). Both are sliced score matching
    up to O(r²). In single precision differences of energies are rounding noise below r = 0.01.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {"radius": trial.suggest_float("radius", 0.03, 0.2, log=True)} | self.noise(trial)

    def least(self, dataset: Density, options: Options) -> float:
        """Return NaN: the loss is known up to O(r²) only."""
        return math.nan

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        radius: Tensor,
        data_noise: Tensor | float = 0.0,
    ) -> Tensor:
        x = self.noisy(x, rng, data_noise)
        dim, count = x.shape[-1], x.shape[1]
        u = rng.slices("sphere", 1, x)[:, 0] / dim**0.5
        step = radius * u
        if model.has_energy:
            energy = model.energies(cat([x + step, x - step, x], 1)).unsqueeze(-1)
            above, below, middle = energy.split(count, 1)
            bend = (2 * middle - above - below) + (above - below).square() / 8
            terms = bend * (dim / radius**2)
        else:
            above, below = model.score(cat([x + step, x - step], 1)).split(count, 1)
            slope = (u * (above - below)).sum(-1, keepdim=True) * (dim / (2 * radius))
            terms = (above + below).square().sum(-1, keepdim=True) / 8 + slope
        loss: Tensor = terms.mean((-2, -1))
        return loss
