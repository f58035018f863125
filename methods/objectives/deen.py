"""Deep energy estimator networks."""

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


@methods.register("deen")
class DEEN(QuadraticObjective):
    """Deep energy estimator network: predicts the clean point from a noisy one; σ⁴ times DSM.

    ½ E |x - y - σ² s(y)|² with y = x + σε (Saremi et al. 2018, equation 6, with a factor ½ so
    that it is exactly σ⁴ times denoising score matching).
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {"sigma": trial.suggest_float("sigma", 0.02, 0.5, log=True)}

    def target(self, options: Options) -> float:
        return float(options["sigma"])

    def least(self, dataset: Density, options: Options) -> float:
        """Compute σ⁴ times that of denoising score matching."""
        sigma = float(options["sigma"])
        return sigma**2 * (dataset.dim - sigma**2 * dataset.fisher_information(sigma)) / 2

    def terms(self, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> QuadraticLoss:
        shift, variance = sigma * rng.normal_like(x), sigma**2
        constant = 0.5 * shift.square().sum(-1, keepdim=True)
        return QuadraticLoss(x + shift, variance**2, variance * shift, constant)
