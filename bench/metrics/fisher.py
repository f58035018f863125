"""Fisher divergences: errors of a score, independent of any sampler."""

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.box import box_of
from ...datasets.errors import UsageError, require_within
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


@metrics.register("path_fisher")
class PathFisher(_Fisher):
    """KL divergence from the data by the errors of the score at all noise levels: sees weights.

    KL(p, q) = ∫_0^S σ E_{p_σ}|∇log p_σ - ∇log q_σ|² dσ + KL(p_S, q_S), p_σ and q_σ after noise σ
    (de Bruijn's identity; Lyu 2009; Song et al. 2021, "Maximum likelihood training", theorem 1).
    The integral is a Gauss-Legendre rule in log σ between the options ``low`` and ``high``, where
    the model should have levels; the rest is as of two Gaussians that differ in their means, which
    very noisy densities come down to.
    """

    cost: ClassVar[str] = "the model's score at about 20,000 points of each of 13 noise levels"

    def __init__(
        self,
        dataset: Dataset,
        reference: Tensor,
        *,
        low: float = 0.02,
        high: float = 10.0,
        levels: int = 12,
    ) -> None:
        if not 0 < low < high < math.inf:
            raise UsageError(f"low = {low!r} and high = {high!r}: both must be > 0, and low < high")
        require_within("levels", levels, 2, 100)
        super().__init__(dataset, reference)
        unit = box_of(dataset).size
        first, last = max(low * unit, self.density.score_from), high * unit
        node, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(levels))
        half = math.log(last / first) / 2
        self.levels: list[float] = [*(first * (half * (node + 1)).exp()).tolist(), last]
        # A score that is wrong by v at the last level is that of a mean wrong by v σ², whose
        # divergence is |v|² σ²/2.
        self.weights = torch.cat([half * weight, torch.tensor([0.5], dtype=torch.float64)])

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.levels else "it needs a score for every noise level, as of ncsn"

    def of_model(self, model: Model, target: float) -> float:
        return float(self.weights @ self.spectrum(model)[:, 1])

    def spectrum(self, model: Model) -> Tensor:
        """Tabulate σ and σ² E|s - ∇log p_σ|², which integrates to the divergence over log σ."""
        rows = [(sigma, 2 * sigma**2 * self.divergence(model, sigma)) for sigma in self.levels]
        return torch.tensor(rows, dtype=torch.float64)


def score_at(model: Model, x: Tensor, sigma: float) -> Tensor:
    """Evaluate the score of a model of one member at points (n, d), in parts: float64."""
    parts = [
        model.score(part.float().unsqueeze(0).to(model.device), sigma)[0].cpu()
        for part in x.split(_ROWS)
    ]
    return torch.cat(parts).double()
