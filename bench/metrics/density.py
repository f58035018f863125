"""Likelihood and divergences of an energy that is normalised on a grid in the plane.

With log Z = log ∫ exp(-E) over a box the model is a density, and likelihood and Kullback-Leibler
divergences are integrals. The box is 1.5 times as large as the dataset's; an energy with mass on
its border (see ``edge_mass``) cannot be normalised on it.
"""

import math
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...datasets.base import Density
from ...datasets.box import box_of
from ...datasets.cache import cached
from ...datasets.quadrature import require_mass
from . import metrics
from .base import Model, ModelMetric, Setting
from .plane import log_prob_on, nodes

SIDE = 600
"""Cells along either axis."""

_BEYOND = 1.5
_ROWS = 16_384
# The fast densities of curves underflow below this.
_FAINT = -600.0
# Share of the data that may lie beyond the grid: the widest part of the funnel does.
_OUTSIDE = 0.04


class Normalised(NamedTuple):
    """A model's energy on a grid.

    Attributes:
        axis: Centres of the cells along either axis, relative to the middle of the data's box,
            shape (SIDE,).
        log_density: Log of the normalised density, shape (SIDE, SIDE).
        log_z: Logarithm of ∫ exp(-E).
    """

    axis: Tensor
    log_density: Tensor
    log_z: float

    @property
    def cell(self) -> float:
        """Area of a cell."""
        return float(self.axis[1] - self.axis[0]) ** 2


# One entry per model that is being scored: several metrics use the same grid.
_grids: "WeakKeyDictionary[Model, Normalised]" = WeakKeyDictionary()


def normalise(model: Model, dataset: Density) -> Normalised:
    """Integrate exp(-E) over the square of half side 1.5 · extent, once per model.

    Raises:
        UsageError: The grid does not hold or resolve the data, so it cannot judge models of them.
    """
    if model not in _grids:
        half = _BEYOND * dataset.extent
        axis = _axis(half)
        require_mass(dataset, 0.0, _mass_on(dataset, half), _OUTSIDE)
        energy = energy_at(model, torch.cartesian_prod(axis, axis) + box_of(dataset).centre)
        log_z = float(torch.logsumexp(-energy, 0)) + 2 * math.log(2 * half / SIDE)
        _grids[model] = Normalised(axis, (-energy - log_z).view(SIDE, SIDE), log_z)
    return _grids[model]


def _axis(half: float) -> Tensor:
    return (torch.arange(SIDE, dtype=torch.float64) + 0.5) * (2 * half / SIDE) - half


@lru_cache(maxsize=64)
def _mass_on(dataset: Density, half: float) -> float:
    """Integrate the density of the data over the grid."""

    def make() -> dict[str, Tensor]:
        mass = log_prob_on(dataset, _axis(half)).exp().sum() * (2 * half / SIDE) ** 2
        return {"mass": mass.view(1)}

    return float(cached("grid mass", dataset, half, make=make)["mass"])


def energy_at(model: Model, x: Tensor) -> Tensor:
    """Evaluate the energy of a model of one member at points (n, d): float64, shape (n,)."""
    parts = []
    for part in x.split(_ROWS):
        energy = model.energy(part.float().unsqueeze(0).to(model.device))
        if energy is None:
            return x.new_full((len(x),), math.nan)
        parts.append(energy[0].cpu().double())
    return torch.cat(parts)


class _Density(ModelMetric):
    needs_density: ClassVar[bool] = True
    needs: ClassVar[Literal["samples", "score", "energy"]] = "energy"
    cost: ClassVar[str] = "the energy at 360,000 points, once for all metrics of this kind"

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.dim != 2:
            return f"it needs a grid over the plane, but the data have d = {setting.dataset.dim}"
        if not setting.energy:
            return 'it needs an energy: network.kind = "energy"'
        return None


@metrics.register("kl")
class KL(_Density):
    """Kullback-Leibler divergence of the model from the data, KL(p, model), in nats."""

    def of_model(self, model: Model, target: float) -> float:
        x, mass, log_prob, _ = nodes(self.density, 0.0)
        log_model = -energy_at(model, x) - normalise(model, self.density).log_z
        return float(((log_prob - log_model) * mass).sum())


@metrics.register("nll")
class NLL(KL):
    """Negative log likelihood of the data under the model, in nats; at best their entropy."""

    def of_model(self, model: Model, target: float) -> float:
        return super().of_model(model, target) + self.of_truth()

    def of_truth(self) -> float:
        return self.density.entropy()


@metrics.register("kl_reverse")
class ReverseKL(_Density):
    """Kullback-Leibler divergence of the data from the model, KL(model, p): sensitive to junk.

    Log densities of the data below -600 count as -600.
    """

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.score_from > 0:
            return "the density is 0 between the modes, so every smooth model scores infinity"
        return super().unfit(setting)

    def of_model(self, model: Model, target: float) -> float:
        grid = normalise(model, self.density)
        q = grid.log_density.exp() * grid.cell
        exact = log_prob_on(self.density, grid.axis).clamp(min=_FAINT)
        return float((q * (grid.log_density - exact)).sum())


@metrics.register("edge_mass")
class EdgeMass(_Density):
    """Share of the model's mass on the border of the grid: above 1e-6 its log Z is wrong."""

    diagnostic: ClassVar[bool] = True

    def of_model(self, model: Model, target: float) -> float:
        grid = normalise(model, self.density)
        q = grid.log_density.exp() * grid.cell
        return float(q.sum() - q[1:-1, 1:-1].sum())
