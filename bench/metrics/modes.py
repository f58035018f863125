"""Are all modes there, with their share of the mass, and nothing else?"""

from functools import lru_cache

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.cache import cached
from . import metrics
from .base import Metric
from .embedding import kernel_mean

_PRESENT = 0.25
_BLUR = 0.1
_QUANTILE = 1e-3
_PROBE = 20_000
_SEED = 20_170_331


@metrics.register("mode_error")
class ModeError(Metric):
    """Mass that is in the wrong mode: total variation between true and found mode weights."""

    def value(self, samples: Tensor) -> float:
        return 0.5 * float((shares(self.dataset, samples) - self.dataset.weights).abs().sum())


@metrics.register("missed_mass")
class MissedMass(Metric):
    """True mass of the modes that got less than a quarter of the points that they should have."""

    def value(self, samples: Tensor) -> float:
        weights = self.dataset.weights
        return float(weights[shares(self.dataset, samples) < _PRESENT * weights].sum())


@metrics.register("junk_mass")
class JunkMass(Metric):
    """Share of the points in places where only one in a thousand true points is.

    Places are judged by the density of the data smoothed by 0.1; 0.001 is what the truth has.
    """

    def value(self, samples: Tensor) -> float:
        low = kernel_mean(self.dataset, _BLUR)(samples) < threshold(self.dataset)
        return float(low.double().mean())


def shares(dataset: Dataset, samples: Tensor) -> Tensor:
    """Share of the points that is nearest to each mode, shape (modes,)."""
    counts = torch.bincount(dataset.assign(samples), minlength=len(dataset.weights))
    return counts.double() / len(samples)


@lru_cache(maxsize=64)
def threshold(dataset: Dataset) -> float:
    """Density of the blurred data, up to a factor, that one in a thousand true points is below."""

    def make() -> dict[str, Tensor]:
        probe = dataset.sample(_PROBE, torch.Generator().manual_seed(_SEED))
        return {"density": kernel_mean(dataset, _BLUR)(probe).quantile(_QUANTILE).view(1)}

    return float(cached("junk threshold", dataset, make=make)["density"])
