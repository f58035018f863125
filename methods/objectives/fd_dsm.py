"""Denoising score matching by finite differences."""

from torch import cat

from .. import methods
from .base import BaseTrial, MemberRandom, NetworkModel, Options, ScoreMatching, Suggested, Tensor


@methods.register("fd_dsm")
class FDDSM(ScoreMatching):
    """Denoising score matching by finite differences: fits the score of p_σ along directions.

    (d/2r²) E [(E(y-ru) - E(y+ru))/2 + (r/σ) u·ε]² with y = x + σε and u uniform on the unit sphere
    (Pang et al. 2020, equation 16); score networks take r u·(s(y+ru) + s(y-ru))/2 for the
    difference of energies. Denoising score matching up to O(r²).
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "sigma": trial.suggest_float("sigma", 0.02, 0.5, log=True),
            "radius": trial.suggest_float("radius", 0.03, 0.2, log=True),
        }

    def target(self, options: Options) -> float:
        return float(options["sigma"])

    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor, radius: Tensor
    ) -> Tensor:
        dim, count = x.shape[-1], x.shape[1]
        noise = rng.normal_like(x)
        y = x + sigma * noise
        u = rng.slices("sphere", 1, x)[:, 0] / dim**0.5
        step = radius * u
        around = cat([y + step, y - step], 1)
        if model.has_energy:
            above, below = model.energies(around).split(count, 1)
            rise = (below - above).unsqueeze(-1) / (2 * radius)
        else:
            ahead, behind = model.score(around).split(count, 1)
            rise = (u * (ahead + behind)).sum(-1, keepdim=True) / 2
        residual = rise + (u * noise / sigma).sum(-1, keepdim=True)
        loss: Tensor = 0.5 * dim * residual.square().mean((-2, -1))
        return loss
