"""Missing modes, wrong mode weights, and points outside the data."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.base import Density
from ...datasets.box import box_of
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

    needs_density: ClassVar[bool] = True

    def value(self, samples: Tensor) -> float:
        return 0.5 * float((shares(self.density, samples) - self.density.weights).abs().sum())


@metrics.register("missed_mass")
class MissedMass(Metric):
    """True mass of the modes with less than a quarter of their expected points."""

    needs_density: ClassVar[bool] = True

    def value(self, samples: Tensor) -> float:
        weights = self.density.weights
        return float(weights[shares(self.density, samples) < _PRESENT * weights].sum())


@metrics.register("junk_mass")
class JunkMass(Metric):
    """Share of the points where the density is so low that only 0.001 of true points lie there.

    The density is that of the data smoothed by 0.1 (less or more for data far smaller or larger
    than usual); the truth itself has the value 0.001.
    """

    needs_density: ClassVar[bool] = True

    def value(self, samples: Tensor) -> float:
        low = _height(self.density)(samples) < threshold(self.density)
        return float(low.double().mean())


def shares(dataset: Density, samples: Tensor) -> Tensor:
    """Compute the share of the points that is nearest to each mode, shape (modes,)."""
    counts = torch.bincount(dataset.assign(samples), minlength=len(dataset.weights))
    return counts.double() / len(samples)


@lru_cache(maxsize=64)
def threshold(dataset: Density) -> float:
    """Estimate the 0.001 quantile of ``_height`` at true points."""

    def make() -> dict[str, Tensor]:
        probe = dataset.sample(_PROBE, torch.Generator().manual_seed(_SEED))
        return {"height": _height(dataset)(probe).quantile(_QUANTILE).view(1)}

    return float(cached("junk threshold", dataset, make=make)["height"])


def _height(dataset: Density) -> Callable[[Tensor], Tensor]:
    """Make a function that grows with the smoothed density, from points (n, d) to (n,)."""
    blur = _BLUR * box_of(dataset).size
    # In many dimensions the density itself is too small for floating-point numbers.
    return kernel_mean(dataset, blur) if dataset.dim == 2 else partial(dataset.log_prob, sigma=blur)
