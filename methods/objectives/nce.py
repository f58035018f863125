"""Noise-contrastive estimation, with noise of one place or around each point."""

import math

from torch.nn.functional import logsigmoid

from .. import methods
from .base import (
    BaseTrial,
    MemberRandom,
    NetworkModel,
    ScoreMatching,
    Setting,
    Suggested,
    Tensor,
)


class _Contrast(ScoreMatching):
    """Logistic regression between data and noise, whose logit has the energy in it."""

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it fits an energy: network.kind = "energy"'


@methods.register("nce")
class NCE(_Contrast):
    """Noise-contrastive estimation: tells data from a Gaussian; the energy is also normalised.

    E_p log(1 + q/e^-E) + E_q log(1 + e^-E/q) (Gutmann and Hyvärinen 2010, equation 3), as many
    points of q = N(m, ``spread``² I) around the middle m of the data as of the data.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {"spread": trial.suggest_float("spread", 2.0, 2.0)}

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        spread: Tensor,
        centre: Tensor | float = 0.0,
    ) -> Tensor:
        y = centre + spread * rng.normal_like(x)
        constant = 0.5 * x.shape[-1] * (2 * math.pi * spread**2).log().squeeze(-1)

        def logit(points: Tensor) -> Tensor:
            square = ((points - centre) / spread).square().sum(-1)
            return 0.5 * square + constant - model.energies(points)

        return -(logsigmoid(logit(x)) + logsigmoid(-logit(y))).mean(-1)


@methods.register("cnce")
class ConditionalNCE(_Contrast):
    """Conditional noise-contrastive estimation: tells each point from one near it.

    2 E log(1 + exp(E(x) - E(x + σε))) (Ceylan and Gutmann 2018, equation 9): the logit is the
    difference of energies, as the noise is symmetric, so no normaliser is needed. Fits the density
    of the data at any σ, and is score matching for σ → 0.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {"sigma": trial.suggest_float("sigma", 0.05, 1.0, log=True)}

    def loss(self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, sigma: Tensor) -> Tensor:
        y = x + sigma * rng.normal_like(x)
        return -2 * logsigmoid(model.energies(y) - model.energies(x)).mean(-1)
