"""Contrastive divergence."""

import torch

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


@methods.register("cd")
class CD(ScoreMatching):
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

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.energy else 'it fits an energy: network.kind = "energy"'

    def loss(
        self, model: NetworkModel, x: Tensor, rng: MemberRandom, *, n_steps: int, step_size: Tensor
    ) -> Tensor:
        y = x
        with torch.no_grad():
            for _ in range(n_steps):
                drift = 0.5 * step_size * model.score(y)
                y = y + drift + step_size**0.5 * rng.normal_like(x)
        return (model.energies(x) - model.energies(y)).mean(-1)
