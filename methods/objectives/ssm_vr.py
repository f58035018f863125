"""Sliced score matching with variance reduction."""

from .. import methods
from ..quadratic import few
from .base import (
    BaseTrial,
    ClassVar,
    MemberRandom,
    QuadraticLoss,
    QuadraticObjective,
    SliceKind,
    Suggested,
    Tensor,
)
from .implicit import Implicit
from .slices import PUBLISHED, suggest_slices


@methods.register("ssm_vr")
class SSMVR(Implicit, QuadraticObjective):
    """Sliced score matching with variance reduction: the squared score is not sliced.

    E [v·∇s·v] + ½ E |s|² with E[vvᵀ] = I (Song et al. 2019, equation 8).
    """

    published: ClassVar[Suggested] = PUBLISHED

    def space(self, trial: BaseTrial) -> Suggested:
        return suggest_slices(trial) | self.noise(trial)

    def terms(
        self,
        x: Tensor,
        rng: MemberRandom,
        *,
        n_slices: int,
        slice_kind: SliceKind,
        data_noise: Tensor | float = 0.0,
    ) -> QuadraticLoss:
        x = self.noisy(x, rng, data_noise)
        v = few(rng.slices(slice_kind, n_slices, x))
        return QuadraticLoss(x, 1.0, directions=v, bend=1.0)
