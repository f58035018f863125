"""Exact sampling of an energy of the plane."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import samplers
from .base import MemberRandom, Model, Sampler, Samples, Setting, collect

_ROWS = 16_384


@samplers.register("grid")
@dataclass(frozen=True)
class GridSampler(Sampler):
    """Independent points of exp(-E) by inverting its distribution on a grid: no sampling error.

    A cell is drawn with the probability at its centre, then a uniform point of the cell. Needs an
    energy, and d = 2.

    Attributes:
        box: The grid covers ±box around the middle of the data.
        cells: Cells along either axis.
    """

    box: float = 6.0
    cells: int = 600

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.dim != 2:
            return f"its grid needs d = 2, and the data have d = {setting.dataset.dim}"
        return None if setting.energy else 'it needs an energy: network.kind = "energy"'

    def sample(self, model: Model, n: int, rng: MemberRandom) -> Samples:
        with torch.no_grad():
            cumulative = self._cumulative(model)
        side = 2 * self.box / self.cells

        def run(size: int) -> tuple[Tensor, Tensor]:
            u = rng.uniform(size, 4)
            # Two numbers for the cell: a single one of single precision cannot reach every cell.
            level = u[..., 2].double() + u[..., 3].double() * 2.0**-24
            cell = torch.searchsorted(cumulative, level * cumulative[:, -1:])
            cell = cell.clamp_(max=self.cells**2 - 1)
            corner = torch.stack([cell // self.cells, cell % self.cells], -1)
            points = (corner + u[..., :2].double()) * side - self.box
            return points.float(), torch.full((len(u),), -1, device=u.device)

        return collect(model, n, rng, run)

    def _cumulative(self, model: Model) -> Tensor:
        """Cumulative probabilities of the cells up to a factor, shape (K, cells²)."""
        ticks = (torch.arange(self.cells, device=model.device) + 0.5) * (
            2 * self.box / self.cells
        ) - self.box
        points = torch.cartesian_prod(ticks, ticks).expand(model.members, -1, -1)
        parts = []
        for part in points.split(_ROWS, 1):
            energy = model.energy(part)
            if energy is None:
                raise ValueError(
                    "grid needs an energy, and this model has none: use an energy network"
                )
            parts.append(energy.double())
        energy = torch.cat(parts, 1)
        # One member at a time: sums over several members may round in another order.
        return torch.stack([(e.min() - e).exp().cumsum(0) for e in energy])
