"""Denoising score matching with a control variate."""

from torch import cat, zeros_like

from .. import methods
from .base import MemberRandom, QuadraticLoss, Tensor
from .dsm import DSM


@methods.register("dsm_cv")
class ControlledDSM(DSM):
    """Denoising score matching with a control variate: `dsm`, whose noise explodes as σ → 0, tamed.

    E [½ |s(x + σε)|² + ε·(s(x + σε) - s(x))/σ] + d/2σ² (Wang et al. 2020; Song and Kingma 2021,
    section 4.3). The terms ε·s(x)/σ and |ε|²/2σ² that are taken off have known means, 0 and d/2σ²:
    the expectation is that of `dsm`, and the standard deviation of a term stays bounded where that
    of `dsm` is √(d/2)/σ². It evaluates two scores per point.
    """

    def terms(self, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> QuadraticLoss:
        noise = rng.normal_like(x)
        # Twice the terms of half of the points.
        kick, known = 2 * noise / sigma, x.shape[-1] / sigma**2
        square = cat([zeros_like(x[..., :1]) + 2, zeros_like(x[..., :1])], 1)
        points = cat([x + sigma * noise, x], 1)
        return QuadraticLoss(points, square, cat([kick, -kick], 1), 0.5 * known)
