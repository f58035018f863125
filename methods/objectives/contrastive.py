"""Contrastive divergence and noise-contrastive estimation: data against other points."""

import math

import torch
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
    """Lowers the energy of data against that of other points."""

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it fits an energy: network.kind = "energy"'


@methods.register("cd")
class CD(_Contrast):
    """Contrastive divergence: lowers the energy of data, raises it where short chains lead.

    E [E(x) - E(x_n)], x_n after ``n_steps`` Langevin steps from x, x ← x + (ε/2)·s(x) + √ε·z, whose
    dependence on the parameters is ignored (Hinton 2002, section 3). For ε → 0 the gradient is nε/2
    times that of implicit score matching (Hyvärinen 2007, "Connections between score matching,
    contrastive divergence, and pseudolikelihood"); its value is not what it descends.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "n_steps": trial.suggest_categorical("n_steps", [1, 5, 20]),
            "step_size": trial.suggest_float("step_size", 1e-3, 0.1, log=True),
        }

    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, n_steps: int, step_size: Tensor
    ) -> Tensor:
        y = x
        with torch.no_grad():
            for _ in range(n_steps):
                drift = 0.5 * step_size * model.score(y)
                y = y + drift + step_size**0.5 * rng.normal_like(x)
        return (model.energies(x) - model.energies(y)).mean(-1)


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
        scale = x.new_zeros(len(x), 1) + math.sqrt(2 * math.pi)
        constant = x.shape[-1] * (scale.unsqueeze(-1) * spread).log().squeeze(-1)

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
