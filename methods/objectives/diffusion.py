"""Noise, data, velocity and flow: one regression at all noise levels."""

from typing import get_args

from torch import erf, special

from .. import methods
from ..network_model import DATA_SCALE, Scaling
from .base import (
    BaseTrial,
    ClassVar,
    MemberRandom,
    NetworkModel,
    Options,
    Prediction,
    ScoreMatching,
    Suggested,
    Tensor,
)

_PREDICTIONS = list(get_args(Prediction))


@methods.register("diffusion")
class Diffusion(ScoreMatching):
    """One regression at all noise levels: of the noise, the clean point, the velocity, or a flow.

    ½ E (σq/δ)² |s(x + σε, σ) + ε/σ|² (Karras et al. 2022, equation 8), each point with its own σ.
    It is the squared error of a network that predicts ``weight``, whatever this one ``predicts``:
    q = δ is `ncsn`, q = σ is σ⁴/δ² `dsm` (that is, `deen`) at every level, q = σ + δ is flow
    matching, with δ the scale of the data (``network_model.Scaling``). log σ is normal with mean
    ``log_level`` and standard deviation ``log_spread``, cut off at the bounds; a ``log_spread`` of
    100 is uniform, and log δ and 1.7 are, up to .01, a time t = σ/(σ + δ) uniform between 0 and 1.
    """

    conditional: ClassVar[bool] = True

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "sigma_min": trial.suggest_float("sigma_min", 0.01, 0.1, log=True),
            "sigma_max": trial.suggest_float("sigma_max", 10.0, 10.0),
            "predicts": trial.suggest_categorical("predicts", _PREDICTIONS),
            "weight": trial.suggest_categorical("weight", _PREDICTIONS),
            "log_level": trial.suggest_float("log_level", -1.2, -1.2),
            "log_spread": trial.suggest_float("log_spread", 1.2, 1.2),
        }

    def target(self, options: Options) -> float:
        return float(options["sigma_min"])

    def predicts(self, options: Options) -> Prediction:
        predicts: Prediction = options["predicts"]
        return predicts

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        sigma_min: Tensor,
        sigma_max: Tensor,
        weight: Prediction,
        log_level: Tensor,
        log_spread: Tensor,
        predicts: Prediction,  # noqa: ARG002 (a property of the network)
    ) -> Tensor:
        noise = rng.normal_like(x)
        low, high = (
            0.5 + 0.5 * erf((bound.log() - log_level) / (log_spread * 2**0.5))
            for bound in (sigma_min, sigma_max)
        )
        rank = low + (high - low) * rng.uniform(x.shape[1], 1)
        sigma = (log_level + log_spread * special.ndtri(rank)).exp()
        # Far out in the tail, ranks round to 0 or 1.
        sigma = sigma.clamp(sigma_min, sigma_max)
        residual = sigma * model.score(x + sigma * noise, sigma) + noise
        residual = residual * (Scaling.of(weight, sigma).reach / DATA_SCALE)
        return 0.5 * residual.square().sum(-1).mean(-1)
