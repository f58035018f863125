"""Sliced score matching."""

from torch import full_like

from .. import methods
from .base import BaseTrial, ClassVar, MemberRandom, NetworkModel, SliceKind, Suggested, Tensor
from .implicit import Implicit
from .slices import PUBLISHED, suggest_slices


@methods.register("ssm")
class SSM(Implicit):
    """Sliced score matching: fits the data's score along random directions.

    E [v·∇s·v + ½ (v·s)²] with E[vvᵀ] = I (Song et al. 2019, equation 7).
    """

    published: ClassVar[Suggested] = PUBLISHED

    def space(self, trial: BaseTrial) -> Suggested:
        return suggest_slices(trial) | self.noise(trial)

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        n_slices: int,
        slice_kind: SliceKind,
        data_noise: Tensor | float = 0.0,
    ) -> Tensor:
        x = self.noisy(x, rng, data_noise)
        first, second = model.along(x, rng.slices(slice_kind, n_slices, x))
        return (second + 0.5 * first.square()).mean((-2, -1))

    def gradient(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        n_slices: int,
        slice_kind: SliceKind,
        data_noise: Tensor | float = 0.0,
    ) -> tuple[Tensor, Tensor]:
        x = self.noisy(x, rng, data_noise)
        v = rng.slices(slice_kind, n_slices, x)
        (_, _, first, second), pull = model.vjp(x, v, "slices")
        loss = (second + 0.5 * first.square()).mean((-2, -1))
        share = 1 / (second.shape[1] * second.shape[2])
        return loss, pull(None, None, first * share, full_like(second, share))
