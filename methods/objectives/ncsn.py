"""Noise-conditional score networks."""

from .. import methods
from .base import (
    BaseTrial,
    ClassVar,
    MemberRandom,
    NetworkModel,
    Options,
    ScoreMatching,
    Suggested,
    Tensor,
)


@methods.register("ncsn")
class NCSN(ScoreMatching):
    """Denoising score matching at all noise levels at once; the network gets the level as input.

    ½ E σ²|s(x + σε, σ) + ε/σ|² (Song and Ermon 2019, equation 6), each point with its own σ, log σ
    uniform between the two bounds. The samplers ``annealed_langevin`` and ``pf_ode`` use falling
    levels; others use the lowest.
    """

    conditional: ClassVar[bool] = True

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "sigma_min": trial.suggest_float("sigma_min", 0.01, 0.1, log=True),
            "sigma_max": trial.suggest_float("sigma_max", 10.0, 10.0),
        }

    def target(self, options: Options) -> float:
        return float(options["sigma_min"])

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        sigma_min: Tensor,
        sigma_max: Tensor,
    ) -> Tensor:
        noise = rng.normal_like(x)
        sigma = sigma_min * (sigma_max / sigma_min) ** rng.uniform(x.shape[1], 1)
        residual = sigma * model.score(x + sigma * noise, sigma) + noise
        return 0.5 * residual.square().sum(-1).mean(-1)
