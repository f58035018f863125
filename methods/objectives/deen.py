"""Deep energy estimator networks."""

from torch import addcmul

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


@methods.register("deen")
class DEEN(ScoreMatching):
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

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        y = x + sigma * rng.normal_like(x)
        residual = x - y - sigma**2 * model.score(y)
        return 0.5 * residual.square().sum(-1).mean(-1)

    def gradient(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        shift, variance = sigma * rng.normal_like(x), sigma * sigma
        (_, score, _, _), pull = model.vjp(x + shift, None, "score")
        residual = addcmul(shift, variance, score)
        loss = residual.square().sum((1, 2)) * (0.5 / x.shape[1])
        return loss, pull(None, residual * (variance / x.shape[1]), None, None)
