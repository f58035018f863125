"""Fisher divergences: errors of a score, independent of any sampler."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from . import metrics
from .base import Model, ModelMetric, Setting
from .plane import nodes

_ROWS = 8192


class _Fisher(ModelMetric):
    needs_density: ClassVar[bool] = True
    needs: ClassVar[Literal["samples", "score", "energy"]] = "score"
    cost: ClassVar[str] = "the model's score at about 50,000 points"

    def divergence(self, model: Model, sigma: float) -> float:
        """Integrate ½ E |s(x) - ∇log p_sigma(x)|², x ~ p_sigma, s the model's score at sigma."""
        x, mass, _, exact = nodes(self.density, sigma)
        return 0.5 * float(((score_at(model, x, sigma) - exact).square().sum(1) * mass).sum())


@metrics.register("fisher")
class Fisher(_Fisher):
    """Fisher divergence ½ E|s - ∇log p|² of the model's score from that of the data."""

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.score_from > 0:
            return "the density jumps, so the data have no score: use fisher_target"
        return None

    def of_model(self, model: Model, target: float) -> float:
        return self.divergence(model, 0.0)


@metrics.register("fisher_target")
class FisherTarget(_Fisher):
    """Fisher divergence from the score the model should learn: its loss beyond the least possible.

    Denoising score matching learns the score of p_sigma; implicit score matching that of the
    data, or of the data with the noise that was added to them.
    """

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.target is not None and setting.target < setting.dataset.score_from:
            return (
                f"the density jumps, so it has no score at the target sigma ="
                f" {setting.target:g}: use a denoising objective, or one with data_noise"
            )
        return None

    def of_model(self, model: Model, target: float) -> float:
        return self.divergence(model, target)


def score_at(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Evaluate the score of a model of one member at points (n, d), in parts: float64."""
    parts = [
        model.score(part.float().unsqueeze(0).to(model.device), sigma)[0].cpu()
        for part in x.split(_ROWS)
    ]
    return torch.cat(parts).double()
