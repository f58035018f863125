"""Sliced score matching with variance reduction."""

from torch import full_like

from .. import methods
from .base import BaseTrial, ClassVar, MemberRandom, NetworkModel, SliceKind, Suggested, Tensor
from .implicit import Implicit
from .slices import PUBLISHED, suggest_slices


@methods.register("ssm_vr")
class SSMVR(Implicit):
    """Sliced score matching with variance reduction: the squared score is not sliced.

    E [v·∇s·v] + ½ E |s|² with E[vvᵀ] = I (Song et al. 2019, equation 8).
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
        score, second = model.score_and_curvature(x, rng.slices(slice_kind, n_slices, x))
        return second.mean((-2, -1)) + 0.5 * score.square().sum(-1).mean(-1)

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
        (_, score, _, second), pull = model.vjp(x, v, "slices", "score")
        loss = second.mean((1, 2)) + score.square().sum((1, 2)) * (0.5 / x.shape[1])
        share = 1 / (second.shape[1] * second.shape[2])
        return loss, pull(None, score / x.shape[1], None, full_like(second, share))
