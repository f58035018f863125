"""Maximum likelihood with the normaliser from a grid."""

from torch import Tensor, arange, cartesian_prod, cat, logsumexp

from .. import methods
from .base import (
    BaseTrial,
    Density,
    MemberRandom,
    NetworkModel,
    Options,
    ScoreMatching,
    Setting,
    Suggested,
)


@methods.register("mle_grid")
class GridLikelihood(ScoreMatching):
    """Maximum likelihood of an energy, normalised on a grid: a reference for score matching in 2-D.

    E_p E(x) + log ∫ exp(-E) with the integral as a sum over ``cells``² cells of the square of half
    side ``box`` around the data; the grid is shifted at random by less than a cell at each step,
    so that no peak stays between its points. Each step evaluates cells² energies in addition to
    those of the batch.
    """

    def space(self, trial: BaseTrial) -> Suggested:
        return {
            "box": trial.suggest_float("box", 6.0, 6.0),
            "cells": trial.suggest_int("cells", 96, 96),
        }

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if setting.dataset.dim != 2:
            return f"its grid needs d = 2, and the data have d = {setting.dataset.dim}"
        if not setting.energy:
            return 'it fits an energy: network.kind = "energy"'
        return None

    def least(self, dataset: Density, options: Options) -> float:
        """Return the entropy of the data, exact if the grid covers them."""
        return dataset.entropy()

    def loss(
        self,
        model: NetworkModel,
        x: Tensor,
        rng: MemberRandom,
        *,
        box: Tensor,
        cells: int,
        centre: Tensor | float = 0.0,
    ) -> Tensor:
        side = x.new_zeros(len(x), 1, 1) + 2 * box / cells
        ticks = arange(cells, dtype=x.dtype, device=x.device)
        grid = (cartesian_prod(ticks, ticks) + rng.uniform(1, 2)) * side - box + centre
        energy = model.energies(cat([x, grid], 1))
        count = x.shape[1]
        log_z = logsumexp(-energy[:, count:].contiguous(), 1) + 2 * side.flatten().log()
        return energy[:, :count].mean(-1) + log_z
