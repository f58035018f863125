"""Directional derivatives of a direct score perceptron and their parameter gradients.

The counterpart of ``energy_jets`` for networks whose output is the score itself: one derivative
less is needed, so the recursion carries [s | ∇s·v₁ … ∇s·v_M] only.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..networks import MLP, Layers, product, product_rows
from .activations import ACTIVATIONS, Curve


class _ScoreLayer(NamedTuple):
    """Values of a hidden layer for ``backward``: its inputs [h | ḣ₁…ḣ_M], ȧ and φ."""

    below: Tensor
    da: Tensor
    curve: Curve


class ScoreJet:
    """One evaluation at a time: forward, then backward.

    Args:
        mlp: Architecture; of kind ``energy`` the output is its value.
        layers: Weights and biases; in-place changes take effect.
    """

    def __init__(self, mlp: MLP, layers: Layers) -> None:
        self.mlp, self.layers = mlp, layers
        self.hidden: list[_ScoreLayer] = []
        self.last = torch.empty(0)

    def evaluate(self, x: Tensor, v: Tensor | None) -> Tensor:
        """Compute outputs at points (K, B, d), and derivatives along directions (K, M, B, d).

        Returns:
            [N | ∇N·v₁ … ∇N·v_M], shape (K, 1 + M, B, outputs).
        """
        phi = ACTIVATIONS[self.mlp.activation]
        below = x.unsqueeze(1) if v is None else torch.cat([x.unsqueeze(1), v], 1)
        self.hidden = []
        for weight, bias in self.layers[:-1]:
            pushed = product_rows(below, weight)
            curve = phi(pushed[:, 0] + bias)
            self.hidden.append(_ScoreLayer(below, pushed[:, 1:], curve))
            along = curve.slope.unsqueeze(1) * pushed[:, 1:]
            below = torch.cat([curve.value.unsqueeze(1), along], 1)
        self.last = below
        weight, bias = self.layers[-1]
        out = product_rows(below, weight)
        out[:, 0] += bias
        return out

    def backward(self, bars: Tensor) -> Tensor:
        """Compute the parameter gradient of <bars, [N | ∇N·v₁ … ∇N·v_M]>.

        Args:
            bars: Cotangents, shape (K, 1 + M, B, outputs).

        Returns:
            Gradient with respect to the flat parameters, shape (K, size), zero in the padding;
            the next call may reuse its memory.
        """
        gradient = bars.new_zeros((len(bars), self.mlp.size))
        grads = self.mlp.views(gradient)
        for i in range(self.mlp.depth, -1, -1):
            weight_bar, bias_bar = grads[i]
            below = self.hidden[i].below if i < self.mlp.depth else self.last
            bias_bar.copy_(bars[:, 0].sum(1, keepdim=True))
            weight_bar.copy_(product(below.flatten(1, 2).mT, bars.flatten(1, 2)))
            if i:
                _, da, curve = self.hidden[i - 1]
                down = product_rows(bars, self.layers[i][0].mT)
                bars = down * curve.slope.unsqueeze(1)
                bars[:, 0] += (da * down[:, 1:]).sum(1) * curve.second
        return gradient


def outputs(mlp: MLP, layers: Layers, x: Tensor) -> Tensor:
    """Compute the output without gradients: (K, B, d) -> (K, B, outputs)."""
    phi = ACTIVATIONS[mlp.activation]
    *hidden, (weight, bias) = layers
    h = x
    for w, b in hidden:
        h = phi(product(h, w) + b).value
    return product(h, weight) + bias
