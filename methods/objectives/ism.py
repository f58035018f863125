"""Implicit score matching."""

from torch import eye

from .. import methods
from .base import (
    BaseTrial,
    MemberRandom,
    QuadraticLoss,
    QuadraticObjective,
    Suggested,
    Tensor,
)
from .implicit import Implicit


@methods.register("ism")
class ISM(Implicit, QuadraticObjective):
    """Implicit score matching: fits the data's score with the exact trace of its Jacobian.

    E [tr ∇s + ½ |s|²] (Hyvärinen 2005, theorem 1); the trace needs one direction per dimension.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return self.noise(trial)

    def terms(
        self, x: Tensor, rng: MemberRandom, *, data_noise: Tensor | float = 0.0
    ) -> QuadraticLoss:
        x = self.noisy(x, rng, data_noise)
        members, points, dim = x.shape
        axes = eye(dim, dtype=x.dtype, device=x.device).view(1, dim, 1, dim)
        v = axes.repeat(members, 1, points, 1)
        return QuadraticLoss(x, 1.0, directions=v, bend=float(dim))
