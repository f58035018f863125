"""Base class of sliced score matching."""

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

# What Song et al. 2019 and their code use: one Rademacher projection.
_PUBLISHED: Suggested = {"n_slices": 1, "slice_kind": "rademacher"}


class Sliced(Implicit, QuadraticObjective):
    """An objective with random directions v, E[vvᵀ] = I: v·∇s·v plus half a square.

    Attributes:
        square: Factor of |s|².
        sliced: Factor of (v·s)².
    """

    square: ClassVar[float] = 0.0
    sliced: ClassVar[float] = 0.0
    published: ClassVar[Suggested] = _PUBLISHED

    def space(self, trial: BaseTrial) -> Suggested:
        """Suggest number and kind of the projection vectors (Song et al. 2019, section 3)."""
        kinds = ["gaussian", "rademacher", "sphere", "orthogonal"]
        return {
            "n_slices": trial.suggest_categorical("n_slices", [1, 2, 4]),
            "slice_kind": trial.suggest_categorical("slice_kind", kinds),
        } | self.noise(trial)

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
        return QuadraticLoss(x, self.square, directions=v, sliced=self.sliced, bend=1.0)
