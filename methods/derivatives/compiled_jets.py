"""``energy_jets`` and ``score_jets`` compiled from end to end, for the CPU.

Each member is computed separately, in its own memory with the same layout for all, so its numbers
are bitwise independent of the other members.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..networks import ALIGNMENT, MLP
from . import jet_kernels, scorer_kernels, value_kernels
from .energy_jets import Values
from .vector_math import KINDS

# Numbers per tile of activations: a tile and its buffers fit in a core's own cache.
_TILE = 40_000


class _Recursion:
    """Parameters and memory of K members for B points and M directions."""

    def __init__(self, mlp: MLP, theta: Tensor, points: int, directions: int, kernels: Any) -> None:
        k, inputs, flat = len(theta), mlp.widths[0], theta.detach()
        self.points, self.directions = points, directions
        self.sizes = mlp.depth, directions, points, mlp.room, inputs
        self.setting = KINDS[mlp.activation], self.sizes, mlp.width
        length = -(-kernels.length(*self.sizes) // ALIGNMENT) * ALIGNMENT
        self.gradient = flat.new_zeros((k, mlp.size))
        self.memory = flat.numpy(), _offsets(mlp), flat.new_empty((k, length)).numpy()
        self.bar = self.gradient.numpy()
        self.no_directions = flat.new_empty((k, 0, points, inputs)).numpy()

    def along(self, v: Tensor | None) -> Any:
        return self.no_directions if v is None else self.array(v)

    def array(self, tensor: Tensor) -> Any:
        return _array(tensor, self.gradient.dtype)


def workspace(mlp: MLP, points: int, directions: int, dtype: torch.dtype) -> tuple[Any, ...]:
    """Return what compiled training takes of a perceptron: its shape, offsets and memory."""
    kernels = jet_kernels if mlp.kind == "energy" else value_kernels
    blank = torch.empty((1, mlp.size), dtype=dtype)
    recursion = _Recursion(mlp, blank, points, directions, kernels)
    return *recursion.setting, *recursion.memory[1:]


class CompiledEnergyJet(_Recursion):
    """An ``EnergyJet`` for one number of members, points B and directions M.

    ``theta`` are the flat parameters, (K, size), contiguous; in-place changes take effect.
    """

    def __init__(self, mlp: MLP, theta: Tensor, points: int, directions: int) -> None:
        super().__init__(mlp, theta, points, directions, jet_kernels)
        self.inputs: tuple[Tensor, Tensor | None, bool] | None = None
        self.overwritten = False
        k, inputs = len(theta), mlp.widths[0]
        shapes = (k, 0), (k, 0, inputs), (k, 0, points), (k, directions, points)
        self.zeros = [self.gradient.new_zeros(shape).numpy() for shape in shapes]
        # Shared results for unwanted values: tensors without elements cannot be changed.
        self.none = [self.gradient.new_empty(k, *rest) for rest in ((0,), (0, points), (0, points))]

    def evaluate(self, x: Tensor, v: Tensor | None, *, energy: bool) -> Values:
        """Compute as ``EnergyJet.evaluate``."""
        self.inputs, self.overwritten = (x, v, energy), False
        k, none, blank = len(x), self.none, self.gradient.new_empty
        value = blank((k, self.points)) if energy else none[0]
        score = blank(x.shape)
        first, second = none[1:]
        if self.directions:
            first, second = blank((2, k, self.directions, self.points))
        arrays = value.numpy(), score.numpy(), first.numpy(), second.numpy()
        jet_kernels.evaluate(*self.setting, *self.memory, self.array(x), self.along(v), *arrays)
        return Values(value, score, first, second)

    def backward(self, *bars: Tensor | None) -> Tensor:
        """Compute as ``EnergyJet.backward``."""
        if self.overwritten and self.inputs is not None:
            # backward() overwrites forward buffers.
            x, v, with_energy = self.inputs
            self.evaluate(x, v, energy=with_energy)
        self.overwritten = True
        cotangents = (
            zero if bar is None else self.array(bar)
            for bar, zero in zip(bars, self.zeros, strict=True)
        )
        jet_kernels.pull(self.sizes, *self.memory, *cotangents, self.bar)
        return self.gradient


class CompiledScoreJet(_Recursion):
    """A ``ScoreJet`` for one number of members, points B and directions M.

    Of an ``mlp`` of kind ``energy`` the output is its value; ``theta`` is as for energies.
    """

    def __init__(self, mlp: MLP, theta: Tensor, points: int, directions: int) -> None:
        super().__init__(mlp, theta, points, directions, value_kernels)
        self.outputs = mlp.widths[-1]

    def evaluate(self, x: Tensor, v: Tensor | None) -> Tensor:
        """Compute as ``ScoreJet.evaluate``."""
        rows = 1 + self.directions
        out = self.gradient.new_empty((len(x), rows * self.points, self.outputs))
        arrays = self.array(x), self.along(v), out.numpy()
        value_kernels.evaluate(*self.setting, *self.memory, *arrays)
        return out.view(len(x), rows, self.points, self.outputs)

    def backward(self, bars: Tensor) -> Tensor:
        """Compute as ``ScoreJet.backward``."""
        value_kernels.pull(self.sizes, *self.memory, self.array(bars.flatten(1, 2)), self.bar)
        return self.gradient


class Forward:
    """Outputs and scores of networks at any number of points, without gradients.

    ``theta`` are the flat parameters, (K, size), contiguous; in-place changes take effect.
    """

    def __init__(self, mlp: MLP, theta: Tensor) -> None:
        flat = theta.detach()
        tile = max(1, _TILE // mlp.room)
        self.columns = mlp.widths[-1]
        self.setting = KINDS[mlp.activation], mlp.depth, tile, mlp.room
        work = flat.new_empty(scorer_kernels.length(mlp.depth, tile, mlp.room))
        self.memory = flat.numpy(), _offsets(mlp), work.numpy()
        self.blank, self.dtype = flat.new_empty, flat.dtype

    def outputs(self, x: Tensor) -> Tensor:
        """Compute the output at points (K, B, inputs): (K, B, outputs)."""
        out = self.blank((*x.shape[:2], self.columns))
        scorer_kernels.outputs(*self.setting, *self.memory, _array(x, self.dtype), out.numpy())
        return out.to(x.dtype)

    def scores(self, x: Tensor) -> Tensor:
        """Compute the score of an energy at points (K, B, inputs), of the same shape."""
        out = self.blank(x.shape)
        scorer_kernels.scores(*self.setting, *self.memory, _array(x, self.dtype), out.numpy())
        return out.to(x.dtype)


def _offsets(mlp: MLP) -> Any:
    return np.array([slot.offset for slot in mlp.slots])


def _array(tensor: Tensor, dtype: torch.dtype) -> Any:
    if tensor.requires_grad or tensor.dtype != dtype or not tensor.is_contiguous():
        tensor = tensor.detach().to(dtype).contiguous()
    return tensor.numpy()
