"""Denoising score matching with a control variate."""

from torch import cat

from .. import methods
from .base import MemberRandom, NetworkModel, Tensor
from .dsm import DSM


@methods.register("dsm_cv")
class ControlledDSM(DSM):
    """Denoising score matching with a control variate: `dsm`, whose noise explodes as σ → 0, tamed.

    E [½ |s(x + σε)|² + ε·(s(x + σε) - s(x))/σ] + d/2σ² (Wang et al. 2020; Song and Kingma 2021,
    section 4.3). The terms ε·s(x)/σ and |ε|²/2σ² that are taken off have known means, 0 and d/2σ²:
    the expectation is that of `dsm`, and the standard deviation of a term stays bounded where that
    of `dsm` is √(d/2)/σ². It evaluates two scores per point.
    """

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        noise = rng.normal_like(x)
        noisy, clean = model.score(cat([x + sigma * noise, x], 1)).chunk(2, 1)
        terms = 0.5 * noisy.square() + noise * (noisy - clean) / sigma + 0.5 / sigma**2
        return terms.sum(-1).mean(-1)

    def gradient(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        noise = rng.normal_like(x)
        (_, score, _, _), pull = model.vjp(cat([x + sigma * noise, x], 1), None, "score")
        noisy, clean = score.chunk(2, 1)
        kick = noise / sigma
        terms = 0.5 * noisy.square() + kick * (noisy - clean) + 0.5 / sigma**2
        bars = cat([noisy + kick, -kick], 1) / x.shape[1]
        return terms.sum((1, 2)) / x.shape[1], pull(None, bars, None, None)
