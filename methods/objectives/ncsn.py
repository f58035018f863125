"""Noise-conditional score networks."""

from .. import methods
from .base import (
    BaseTrial,
    ClassVar,
    MemberRandom,
    Options,
    QuadraticLoss,
    QuadraticObjective,
    Suggested,
    Tensor,
)


@methods.register("ncsn")
class NCSN(QuadraticObjective):
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

    def terms(
        self, x: Tensor, rng: MemberRandom, *, sigma_min: Tensor, sigma_max: Tensor
    ) -> QuadraticLoss:
        noise = rng.normal_like(x)
        sigma = sigma_min * (sigma_max / sigma_min) ** rng.uniform(x.shape[1], 1)
        constant = 0.5 * noise.square().sum(-1, keepdim=True)
        return QuadraticLoss(
            x + sigma * noise, sigma.square(), sigma * noise, constant, sigma=sigma
        )
