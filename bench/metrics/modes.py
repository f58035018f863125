"""Missing modes, wrong mode weights, and points outside the data."""

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
    """Mass in the wrong mode: total variation between true and sampled mode weights."""

    def value(self, samples: Tensor) -> float:
        return 0.5 * float((shares(self.dataset, samples) - self.dataset.weights).abs().sum())


@metrics.register("missed_mass")
class MissedMass(Metric):
    """True mass of the modes with less than a quarter of their expected points."""

    def value(self, samples: Tensor) -> float:
        weights = self.dataset.weights
        return float(weights[shares(self.dataset, samples) < _PRESENT * weights].sum())


@metrics.register("junk_mass")
class JunkMass(Metric):
    """Share of the points where the density is so low that only 0.001 of true points lie there.

    The density is that of the data smoothed by 0.1; the truth itself has the value 0.001.
    """

    def value(self, samples: Tensor) -> float:
        low = kernel_mean(self.dataset, _BLUR)(samples) < threshold(self.dataset)
        return float(low.double().mean())


def shares(dataset: Dataset, samples: Tensor) -> Tensor:
    """Compute the share of the points that is nearest to each mode, shape (modes,)."""
    counts = torch.bincount(dataset.assign(samples), minlength=len(dataset.weights))
    return counts.double() / len(samples)


@lru_cache(maxsize=64)
def threshold(dataset: Dataset) -> float:
    """Estimate the 0.001 quantile of the smoothed density at true points, up to a factor."""

    def make() -> dict[str, Tensor]:
        probe = dataset.sample(_PROBE, torch.Generator().manual_seed(_SEED))
        return {"density": kernel_mean(dataset, _BLUR)(probe).quantile(_QUANTILE).view(1)}

    return float(cached("junk threshold", dataset, make=make)["density"])
