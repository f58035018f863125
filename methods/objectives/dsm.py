"""Denoising score matching."""

from torch import addcdiv, addcmul

from .. import methods
from .base import (
    BaseTrial,
    Density,
    MemberRandom,
    NetworkModel,
    Options,
    ScoreMatching,
    Suggested,
    Tensor,
)


@methods.register("dsm")
class DSM(ScoreMatching):
    """Denoising score matching: fits the score of the data smoothed by N(0, σ²I).

    ½ E |s(x + σε) + ε/σ|² (Vincent 2011, equation 9).
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {"sigma": trial.suggest_float("sigma", 0.02, 0.5, log=True)}

    def target(self, options: Options) -> float:
        return float(options["sigma"])

    def least(self, dataset: Density, options: Options) -> float:
        """Compute (d/σ² - I)/2 with I = E|∇log p_σ|² (Vincent 2011, section 4)."""
        sigma = float(options["sigma"])
        return (dataset.dim / sigma**2 - dataset.fisher_information(sigma)) / 2

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        noise = rng.normal_like(x)
        residual = model.score(x + sigma * noise) + noise / sigma
        return 0.5 * residual.square().sum(-1).mean(-1)

    def gradient(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        noise = rng.normal_like(x)
        (_, score, _, _), pull = model.vjp(addcmul(x, sigma, noise), None, "score")
        residual = addcdiv(score, noise, sigma)
        loss = residual.square().sum((1, 2)) * (0.5 / x.shape[1])
        return loss, pull(None, residual / x.shape[1], None, None)
