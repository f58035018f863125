"""What ``energy_jets`` computes, with all between the matrix products compiled: for the CPU.

The recursion and its notation are those of ``energy_jets``, which this is tested against. A step
of training is bound by memory as much as by arithmetic, so buffers are shared where one is read
for the last time before the other is written: all of them then stay in a core's own cache.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import kernels
from .networks import ALIGNMENT, MLP, Layers, weights_into


class _Product:
    """The matrix product of each member, between buffers that stay where they are."""

    def __init__(self, out: Tensor, left: Tensor, right: Tensor) -> None:
        self.out, self.left, self.right = out, left, right
        # As in ``networks.product``: batched products of vectors round differently for each K.
        apart = 1 in (left.shape[1], left.shape[2], right.shape[2]) or not out.is_contiguous()
        self.parts = (list(out), list(left), list(right)) if apart else None

    def __call__(self) -> None:
        if self.parts is None:
            torch.bmm(self.left, self.right, out=self.out)
        else:
            weights_into(*self.parts)


class _Layer:
    """Buffers of one hidden layer, and the products that fill them.

    Attributes:
        pushed: Inputs of the activation as rows [ä₁…ä_M | a | ȧ₁…ȧ_M], without the bias; no ä at
            the first layer.
        rows: Inputs of the next weights as rows [ḧ₁…ḧ_M | h | ḣ₁…ḣ_M | u].
        bars: Adjoints of the activation's input as rows [ā | ǡ₁…ǡ_M | φ'n].
        slopes: φ', φ'', φ''n and φ''', which becomes φ'''n. Without directions only φ' and φ'',
            which becomes φ''n.
    """

    def __init__(
        self,
        below: Tensor,
        weight: Tensor,
        weight_bar: Tensor,
        passing: Tensor,
        directions: int,
        *,
        first: bool,
    ) -> None:
        m = directions
        k, _, b, _ = below.shape
        width = weight.shape[2]

        def blank(*rows: int) -> Tensor:
            return below.new_zeros((k, *rows, b, width))

        skip = m if first else 0
        one = passing.view(-1)[: k * b * width].view(k, b, width)
        pushed = blank(2 * m + 1 - skip) if m else one.unsqueeze(1)
        self.outputs, bars = blank(2 * m + 2), blank(m + 2)
        self.pushed, self.rows, self.bars = pushed.numpy(), self.outputs.numpy(), bars.numpy()
        slope, second = blank().numpy(), blank().numpy()
        bent = blank().numpy() if m else second
        third = (blank() if m else below.new_zeros((k, 1, width))).numpy()
        self.slopes = slope, second, bent, third
        self.slope, self.second, self.bent = slope, second, bent

        along = below[:, skip : 2 * m + 1].flatten(1, 2)
        self.push = _Product(pushed.flatten(1, 2), along, weight)
        self.tangent = _Product(one, below[:, -1], weight)
        self.below_n = _Product(one, bars[:, -1], weight.mT)
        self.below_bars = _Product(passing.flatten(1, 2), bars[:, : m + 1].flatten(1, 2), weight.mT)
        self.weight_bar = _Product(weight_bar, below[:, m:].flatten(1, 2).mT, bars.flatten(1, 2))


class CompiledJet:
    """The recursions for one number of members, points and directions; used like ``EnergyJet``.

    Args:
        mlp: Architecture of kind ``energy``.
        theta: Flat parameters, shape (K, size), contiguous; followed as they change in place.
        layers: Views of them.
        points: B. Inside there are more, until each member fills whole vector registers: its
            arithmetic is then the same whoever stands beside it.
        directions: M.
    """

    def __init__(
        self, mlp: MLP, theta: Tensor, layers: Layers, points: int, directions: int
    ) -> None:
        k, m = len(theta), directions
        self.points, self.directions = points, m
        unit = ALIGNMENT // math.gcd(mlp.width, ALIGNMENT)
        # Products with few rows are rounded otherwise for other numbers of members.
        b = -(-max(points, 16) // unit) * unit
        flat = theta.detach()
        inputs = flat.new_zeros((k, 2 * m + 2, b, mlp.widths[0]))
        self.x, self.v = inputs[:, m, :points], inputs[:, m + 1 : -1, :points]
        self.u0 = inputs[:, -1, :points]
        self.gradient = flat.new_zeros((k, mlp.size))
        weight_bars = [weight for weight, _ in mlp.views(self.gradient)]
        # Holds what a product makes until the loop after it has read that.
        passing = flat.new_zeros((k, m + 1, b, mlp.width))
        self.passing = passing.numpy()
        self.one = self.passing.reshape(-1)[: k * b * mlp.width].reshape(k, b, mlp.width)
        self.layers: list[_Layer] = []
        for i in range(mlp.depth):
            below = self.layers[-1].outputs if i else inputs
            weight, weight_bar = layers[i][0], weight_bars[i]
            self.layers.append(_Layer(below, weight, weight_bar, passing, m, first=i == 0))
        self.kind = kernels.KINDS[mlp.activation]
        self.theta, self.theta_bar = flat.numpy(), self.gradient.numpy()
        self.at = [slot.offset for slot in mlp.slots]
        self.top = flat.new_zeros((k, 1, mlp.width)).numpy()
        self.nothing = flat.new_zeros((k, 1)).numpy(), flat.new_zeros((k, 1, 1)).numpy()
        self._backpropagated = False

    def push(self, x: Tensor, v: Tensor | None) -> None:
        """Push points (K, B, d), and the Taylor coefficients along directions (K, M, B, d)."""
        self._backpropagated = False
        self.x.copy_(x)
        if v is not None:
            self.v.copy_(v)
        deep = self.directions > 0
        for i, layer in enumerate(self.layers):
            layer.push()
            slope, second, _, third = layer.slopes
            bias_at = self.at[2 * i + 1]
            kernels.activate(
                self.kind, layer.pushed, self.theta, bias_at, layer.rows, slope, second, third
            )
            if deep:
                kernels.push(layer.pushed, layer.rows, slope, second)

    def taylor(self) -> tuple[Tensor, Tensor, Tensor]:
        """E (K, B), and v·s and v·∇s·v (K, M, B), of what was pushed."""
        m = self.directions
        made = self.x.new_empty((len(self.x), 2 * m + 1, self.points))
        kernels.outputs(self.theta, self.at[-2], self.at[-1], self.layers[-1].rows, made.numpy())
        return made[:, m], made[:, m + 1 :], made[:, :m]

    def score(self) -> Tensor:
        """The score ∂f/∂x of what was pushed, shape (K, B, d)."""
        self._backpropagate()
        made = torch.empty_like(self.x, memory_format=torch.contiguous_format)
        kernels.score(self.theta, self.at[0], self.layers[0].bars, made.numpy())
        return made

    def _backpropagate(self) -> None:
        """φ'n and φ''n of every layer."""
        self._backpropagated = True
        deep = self.directions > 0
        last = self.layers[-1]
        weights = self.theta[:, self.at[-2] : self.at[-2] + self.top.shape[2]]
        np.negative(weights, out=self.top[:, 0])
        kernels.through(self.top, *last.slopes, last.bars, deep)
        for layer, below in zip(self.layers[:0:-1], self.layers[-2::-1], strict=True):
            layer.below_n()
            kernels.through(self.one, *below.slopes, below.bars, deep)

    def backward(
        self,
        energy: Tensor | None,
        score: Tensor | None,
        first: Tensor | None,
        second: Tensor | None,
    ) -> Tensor:
        """Parameter gradient of <energy, E> + <score, s> + <first, v·s> + <second, v·∇s·v>.

        Args:
            energy: Cotangent of E, shape (K, B), or None for zero; likewise
            score: (K, B, d),
            first: (K, M, B),
            second: (K, M, B).

        Returns:
            Gradient with respect to the flat parameters, shape (K, size), zero in the padding;
            in memory that the next call writes to again.
        """
        if not self._backpropagated:
            self._backpropagate()
        if score is not None:
            self.u0.copy_(score)
        else:
            self.u0.zero_()
        for layer in self.layers:
            if score is not None:
                layer.tangent()
                kernels.along(self.one, layer.slope, layer.bent, layer.rows, layer.bars)
            else:
                layer.rows[:, -1] = 0
                layer.bars[:, 0] = 0
        bends = self.nothing[1] if second is None else _array(second)
        if second is not None:
            # After the pushes: the second derivatives have been pushed once already.
            for layer in self.layers:
                kernels.bend_along(layer.rows, bends)
        kernels.outermost(
            self.theta, self.at[-2], self.theta_bar, self.at[-1],
            self.layers[-1].rows, self.passing,
            self.nothing[0] if energy is None else _array(energy),
            self.nothing[1] if first is None else _array(first),
            energy is not None, first is not None,
        )  # fmt: skip
        with_h, with_dh = energy is not None, first is not None
        for i in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[i]
            kernels.adjoint(
                layer.pushed, self.passing, *layer.slopes, layer.bars, bends,
                self.theta_bar, self.at[2 * i + 1], with_h, with_dh, second is not None,
            )  # fmt: skip
            layer.weight_bar()
            if i:
                layer.below_bars()
                with_h, with_dh = True, self.directions > 0
        return self.gradient


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
