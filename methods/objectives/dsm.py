"""Denoising score matching."""

from .. import methods
from .base import (
    BaseTrial,
    Density,
    MemberRandom,
    Options,
    QuadraticLoss,
    QuadraticObjective,
    Suggested,
    Tensor,
)


@methods.register("dsm")
class DSM(QuadraticObjective):
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

    def terms(self, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> QuadraticLoss:
        noise = rng.normal_like(x)
        kick = noise / sigma
        constant = 0.5 * kick.square().sum(-1, keepdim=True)
        return QuadraticLoss(x + sigma * noise, 1.0, kick, constant)
