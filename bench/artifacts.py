"""What a run leaves besides its numbers: samples, fields, paths, parameters, how it learned."""

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.errors import UsageError
from ..methods import methods, samplers
from ..methods.model import Model
from ..methods.network_model import NetworkModel
from ..methods.sampling.base import Sampler
from .checkpoints import Checkpoints
from .from_spec import dataset_of, is_reference, streams_of
from .spec import RunSpec
from .training import Fit

ENERGY_GRID = 100
ARROW_GRID = 24
PATHS = 8


class Learning(NamedTuple):
    """How a run learned.

    Attributes:
        curve: Shape (points, 3): training step, and the means of the loss and of the norm of its
            gradient (before clipping) over the steps since the row before.
        least: Expected loss of the exact score, which the loss goes below by chance only; NaN
            where it is not known.
        names: Metrics at the checkpoints.
        checkpoints: Shape (c, 1 + len(names)): training step, then each metric of a small sample.
    """

    curve: NDArray[np.float64]
    least: float
    names: tuple[str, ...]
    checkpoints: NDArray[np.float64]


class Artifacts(NamedTuple):
    """What a run leaves besides its numbers.

    Attributes:
        samples: Shape (n, d).
        energy: On a square grid over the dataset's box, rows from bottom to top, shape (g, g);
            None without an energy or outside the plane.
        score_field: On a coarser grid over the same box, shape (q, q, 2); None outside the plane.
        paths: Where a few chains of the sampler went, start and end included, shape
            (places, chains, 2); None outside the plane or for samplers without chains.
        parameters: The network's tensors by name, with a leading member axis of length 1.
        learning: How it learned; None for what is not trained.
    """

    samples: NDArray[np.float32]
    energy: NDArray[np.float32] | None
    score_field: NDArray[np.float32] | None
    paths: NDArray[np.float32] | None
    parameters: dict[str, NDArray[np.float32]]
    learning: Learning | None


def artifacts(
    spec: RunSpec, model: Model | None, points: Tensor, learning: Learning | None
) -> Artifacts:
    """Gather what a run leaves.

    Args:
        spec: The run.
        model: What it sampled from, one member; None for the dataset itself.
        points: Its samples, shape (n, d).
        learning: How it learned.
    """
    energy = field = paths = None
    dataset = dataset_of(spec)
    if model is not None and dataset.dim == 2:
        with torch.no_grad():
            values = model.energy(_grid(dataset.extent, ENERGY_GRID).to(model.device))
            if values is not None:
                energy = values.reshape(ENERGY_GRID, ENERGY_GRID).cpu().numpy()
            arrows = model.score(_grid(dataset.extent, ARROW_GRID).to(model.device))
            field = arrows.reshape(ARROW_GRID, ARROW_GRID, 2).cpu().numpy()
        sampler = cast("Callable[..., Sampler]", samplers.get(spec.sampler.name))
        rng = streams_of([spec], "paths", model.device)
        went = sampler(**spec.sampler.options).paths(model, PATHS, rng)
        paths = None if went is None else went[0].cpu().numpy()
    parameters = {}
    if isinstance(model, NetworkModel):
        named = model.network.named(model.theta)
        parameters = {name: part.contiguous().cpu().numpy() for name, part in named.items()}
    return Artifacts(points.cpu().numpy(), energy, field, paths, parameters, learning)


def learning_of(spec: RunSpec, fit: Fit, checkpoints: Checkpoints, member: int) -> Learning:
    """How one member of a batch learned."""
    names, rows = checkpoints.of(member)
    curve = np.array([(step, losses[member], norms[member]) for step, losses, norms in fit.curve])
    return Learning(curve.reshape(-1, 3), _least(spec), names, rows)


def _least(spec: RunSpec) -> float:
    if is_reference(spec):
        return math.nan
    try:
        return methods.get(spec.method.name)().least(dataset_of(spec), spec.method.options)
    except UsageError:
        # Where a density jumps there is no exact score to compare with.
        return math.nan


def _grid(extent: float, side: int) -> Tensor:
    """Centres of a grid over [-extent, extent]², shape (1, side², 2), x running fastest."""
    ticks = (torch.arange(side) + 0.5) * (2 * extent / side) - extent
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return torch.stack([x, y], -1).reshape(1, -1, 2)
