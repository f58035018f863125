"""Scores of perceptrons that are energies, for samplers: compiled, and with nothing kept."""

import numpy as np
from torch import Tensor

from . import kernels
from .networks import MLP, Layers, product_into


class CompiledScorer:
    """Scores -∇E of many points, a tile at a time; the counterpart of ``EnergyScorer``.

    Args:
        mlp: Architecture of kind ``energy`` with two hidden layers or more.
        theta: Flat parameters, shape (K, size), contiguous; followed as they change in place.
        layers: Views of them.
        points: Points per tile.
    """

    def __init__(self, mlp: MLP, theta: Tensor, layers: Layers, points: int) -> None:
        self.kind = kernels.KINDS[mlp.activation]
        self.theta = theta.detach().numpy()
        self.at = [slot.offset for slot in mlp.slots]
        self.inner = [weight for weight, _ in layers[1:-1]]
        shape = len(theta), points, mlp.width
        self.slopes = [np.empty(shape, self.theta.dtype) for _ in self.inner]
        tiles = [theta.new_empty(shape) for _ in range(2)]
        self.tiles = [(tile, tile.numpy()) for tile in tiles]

    def __call__(self, x: Tensor, out: Tensor, start: int) -> None:
        """Write the scores at a tile of points of ``x``, (K, B, inputs), to ``out``."""
        theta, at, kind, slopes = self.theta, self.at, self.kind, self.slopes
        (h, array), (other, others) = self.tiles
        kernels.first_layer(kind, theta, at[0], at[1], x.numpy(), start, array, slopes[0])
        for i, weight in enumerate(self.inner):
            product_into(other, h, weight)
            (h, array), (other, others) = (other, others), (h, array)
            if i + 1 < len(self.inner):
                kernels.inner_layer(kind, theta, at[2 * i + 3], array, slopes[i + 1])
        kernels.last_layer(kind, theta, at[-3], at[-2], array)
        for weight, slope in zip(self.inner[::-1], slopes[::-1], strict=True):
            product_into(other, h, weight.mT)
            (h, array), (other, others) = (other, others), (h, array)
            if slope is not slopes[0]:
                np.multiply(array, slope, out=array)
        kernels.to_points(theta, at[0], array, slopes[0], out.numpy(), start)
