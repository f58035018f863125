"""The error of a score at all noise levels, which adds up to a Kullback-Leibler divergence.

With p_σ and q_σ the densities after noise of standard deviation σ, de Bruijn's identity gives

    KL(p, q) = ∫_0^S σ E_{p_σ}|∇log p_σ - ∇log q_σ|² dσ + KL(p_S, q_S)

(Lyu 2009; Song et al. 2021, "Maximum likelihood training", theorem 1). The Fisher divergence at one
level does not see the weights of far modes; the integral over all levels does.
"""

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.box import box_of
from ...datasets.errors import UsageError
from . import metrics
from .base import Model, ModelMetric, Setting
from .fisher import score_at
from .plane import nodes


@metrics.register("path_fisher")
class PathFisher(ModelMetric):
    """KL divergence from the data by the errors of the score at all noise levels: sees weights.

    From the lowest level to the highest, by a Gauss-Legendre rule in log σ; beyond that as of two
    Gaussians that differ in their means, which very noisy densities come down to. For models that
    have a score at every level. Their first and last levels should not lie within those of the
    metric.

    Args:
        dataset: The distribution.
        reference: Points of the truth, shape (m, d); not used.
        low: Lowest noise level, in the unit of the data.
        high: Highest noise level.
        levels: Number of levels.
    """

    needs_density: ClassVar[bool] = True
    needs: ClassVar[Literal["samples", "score", "energy"]] = "score"
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
        if not 2 <= levels <= 100:
            raise UsageError(f"levels = {levels!r}: it must be an integer from 2 to 100")
        super().__init__(dataset, reference)
        unit = box_of(dataset).size
        first, last = max(low * unit, self.density.score_from), high * unit
        node, weight = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(levels))
        half = math.log(last / first) / 2
        inner = first * (half * (node + 1)).exp()
        self.levels: list[float] = [*inner.tolist(), last]
        # A score that is wrong by v at the last level is that of a mean wrong by v σ², whose
        # divergence is |v|² σ²/2.
        self.weights = torch.cat([half * weight, torch.tensor([0.5], dtype=torch.float64)])

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        return None if setting.levels else "it needs a score for every noise level, as of ncsn"

    def of_model(self, model: Model, target: float) -> float:
        return float(self.weights @ self.spectrum(model)[:, 1])

    def spectrum(self, model: Model) -> Tensor:
        """Tabulate σ and σ² E|s - ∇log p_σ|², shape (levels + 1, 2), of a model of one member.

        The second column integrates to the divergence, in nats, over the logarithm of σ.
        """
        rows = []
        for sigma in self.levels:
            x, mass, _, exact = nodes(self.density, sigma)
            square = (score_at(model, x, sigma) - exact).square().sum(1)
            rows.append([sigma, sigma**2 * float(square @ mass)])
        return torch.tensor(rows, dtype=torch.float64)
