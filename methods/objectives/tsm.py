"""Target score matching."""

from collections.abc import Callable

from .. import methods
from .base import (
    BaseTrial,
    ClassVar,
    Density,
    MemberRandom,
    Options,
    QuadraticLoss,
    QuadraticObjective,
    Setting,
    Suggested,
    Tensor,
)


@methods.register("tsm")
class TSM(QuadraticObjective):
    """Target score matching: fits the score of p_σ to the known score of the clean points.

    ½ E |s(x + σε) - ∇log p(x)|² (De Bortoli et al. 2024, equation 8), since ∇log p_σ is the mean of
    ∇log p(x) given x + σε. It uses what other methods have to learn, so it is no competitor: it
    shows what the noise of `dsm`'s target costs.
    """

    needs_density: ClassVar[bool] = True
    needs_score: ClassVar[bool] = True

    def space(self, trial: BaseTrial) -> Suggested:
        return {"sigma": trial.suggest_float("sigma", 0.02, 0.5, log=True)}

    def target(self, options: Options) -> float:
        return float(options["sigma"])

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        jumps = setting.dataset.score_from > 0
        return "it needs the score of the clean data, whose density jumps" if jumps else None

    def least(self, dataset: Density, options: Options) -> float:
        """Compute (I_0 - I_σ)/2 with I_σ = E|∇log p_σ|²."""
        sigma = float(options["sigma"])
        return (dataset.fisher_information() - dataset.fisher_information(sigma)) / 2

    def terms(
        self,
        x: Tensor,
        rng: MemberRandom,
        *,
        sigma: Tensor,
        clean_score: Callable[[Tensor], Tensor],
    ) -> QuadraticLoss:
        score = clean_score(x)
        constant = 0.5 * score.square().sum(-1, keepdim=True)
        return QuadraticLoss(x + sigma * rng.normal_like(x), 1.0, -score, constant)
