"""Scores of an energy perceptron and their parameter gradients in closed form.

For f = -E with score s = ∇f, and directions v, everything that score matching needs is E, s and
v·∇s·v, the second derivative of f along v. No second-order graph is built (autograd's "double
backward"). Notation, layer by layer: a is the input of the activation φ, h = φ(a); a dot marks a
derivative along a direction; n = ∂f/∂h. K members, B points, M directions, W units. Then

    a_l = h_{l-1} W_l + b_l,   ȧ_l = ḣ_{l-1} W_l,   ḣ_l = φ'ȧ_l,   n_{l-1} = (φ'n)_l W_lᵀ,
    s = (φ'n)_1 W_1ᵀ,   v·∇s·v = Σ_l Σ_units φ''n ȧ²:

each layer bends the line x + tv by φ''ȧ², which n carries to the output, so no second derivative
passes through a weight. The adjoint of n runs forwards, that of a and ȧ
backwards; with the score's cotangent σ = u_0 and the curvatures' cotangents c,

    t_l = u_{l-1} W_l,   u_l = φ't + Σ c φ''ȧ²,
    ā_l = φ''n t + Σ c φ'''n ȧ² + φ'h̄ + Σ φ''ȧ ḣ̄,   ǡ_l = 2c φ''n ȧ + φ'ḣ̄,
    W̄_l = h_{l-1}ᵀ ā_l + ḣ_{l-1}ᵀ ǡ_l + u_{l-1}ᵀ (φ'n)_l.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..networks import MLP, Layers, product, product_rows
from .activations import ACTIVATIONS


class Values(NamedTuple):
    """Values of a network at points along directions.

    Attributes:
        energy: E, shape (K, B); (K, 0) if not wanted.
        score: s, shape (K, B, d).
        first: v·s, shape (K, M, B).
        second: v·∇s·v, shape (K, M, B).
    """

    energy: Tensor
    score: Tensor
    first: Tensor
    second: Tensor


class _EnergyLayer(NamedTuple):
    """Values of a hidden layer for ``backward``.

    Attributes:
        below: Inputs of its weights as rows [h | ḣ₁…ḣ_M], shape (K, 1 + M, B, inputs).
        da: ȧ, shape (K, M, B, W).
        h: φ, shape (K, B, W).
        slope: φ', same shape.
        second: φ'', same shape.
        bent: φ''n, same shape.
        third: φ'''n, same shape.
        through: φ'n, same shape.
    """

    below: Tensor
    da: Tensor
    h: Tensor
    slope: Tensor
    second: Tensor
    bent: Tensor
    third: Tensor
    through: Tensor


class EnergyJet:
    """One evaluation at a time: forward, then backward.

    Args:
        mlp: Architecture of kind ``energy``.
        layers: Weights and biases; in-place changes take effect.
    """

    def __init__(self, mlp: MLP, layers: Layers) -> None:
        self.mlp, self.layers = mlp, layers
        self.hidden: list[_EnergyLayer] = []

    def evaluate(self, x: Tensor, v: Tensor | None, *, energy: bool) -> Values:
        """Compute values at points (K, B, d) along directions (K, M, B, d)."""
        phi = ACTIVATIONS[self.mlp.activation]
        below = x.unsqueeze(1) if v is None else torch.cat([x.unsqueeze(1), v], 1)
        belows, pushed, curves = [], [], []
        for weight, bias in self.layers[:-1]:
            belows.append(below)
            pushed.append(product_rows(below, weight))
            curves.append(phi(pushed[-1][:, 0] + bias))
            h, slope, _, _ = curves[-1]
            below = torch.cat([h.unsqueeze(1), slope.unsqueeze(1) * pushed[-1][:, 1:]], 1)
        weight, bias = self.layers[-1]
        value = x.new_empty((len(x), 0))
        if energy:
            value = (product(h, weight) + bias).squeeze(-1)
        n = -weight.mT
        curvature = x.new_zeros((len(x), pushed[0].shape[1] - 1, x.shape[1]))
        self.hidden = []
        for i in range(self.mlp.depth - 1, -1, -1):
            h, slope, second, third = curves[i]
            da, bent, through = pushed[i][:, 1:], second * n, slope * n
            curvature += (bent.unsqueeze(1) * da.square()).sum(-1)
            self.hidden.insert(
                0, _EnergyLayer(belows[i], da, h, slope, second, bent, third * n, through)
            )
            n = product(through, self.layers[i][0].mT)
        first = curvature if v is None else (v * n.unsqueeze(1)).sum(-1)
        return Values(value, n, first, curvature)

    def backward(
        self,
        energy: Tensor | None,
        score: Tensor | None,
        first: Tensor | None,
        second: Tensor | None,
    ) -> Tensor:
        """Compute the gradient of <energy, E> + <score, s> + <first, v·s> + <second, v·∇s·v>.

        Args:
            energy: Cotangent of E, shape (K, B), or None for zero.
            score: Cotangent of s, shape (K, B, d), or None.
            first: Cotangent of v·s, shape (K, M, B), or None.
            second: Cotangent of v·∇s·v, shape (K, M, B), or None.

        Returns:
            Gradient with respect to the flat parameters, shape (K, size), zero in the padding;
            the next call may reuse its memory.
        """
        below = self.hidden[0].below
        gradient = below.new_zeros((len(below), self.mlp.size))
        grads = self.mlp.views(gradient)
        u = torch.zeros_like(below[:, 0]) if score is None else score
        if first is not None:
            # v·s is linear in s.
            u = u + (first.unsqueeze(-1) * below[:, 1:]).sum(1)
        us, bars = [], []
        for (weight, _), layer in zip(self.layers, self.hidden, strict=False):
            us.append(u)
            t = product(u, weight)
            u, a_bar = layer.slope * t, layer.bent * t
            da_bar = torch.zeros_like(layer.da)
            if second is not None:
                bend = second.unsqueeze(-1) * layer.da
                square = (bend * layer.da).sum(1)
                u, a_bar = u + layer.second * square, a_bar + layer.third * square
                da_bar = 2 * bend * layer.bent.unsqueeze(1)
            bars.append(torch.cat([a_bar.unsqueeze(1), da_bar], 1))
        weight_bar, bias_bar = grads[-1]
        weight_bar.copy_(-u.sum(1).unsqueeze(-1))
        last = self.hidden[-1]
        if energy is not None:
            weight_bar += product(last.h.mT, energy.unsqueeze(-1))
            bias_bar.copy_(energy.sum(1)[:, None, None])
            bars[-1][:, 0] += energy.unsqueeze(-1) * self.layers[-1][0].mT * last.slope
        for i in range(self.mlp.depth - 1, -1, -1):
            weight_bar, bias_bar = grads[i]
            layer, bar = self.hidden[i], bars[i]
            bias_bar.copy_(bar[:, 0].sum(1, keepdim=True))
            beside = torch.cat([bar, layer.through.unsqueeze(1)], 1).flatten(1, 2)
            rows = torch.cat([layer.below, us[i].unsqueeze(1)], 1).flatten(1, 2)
            weight_bar.copy_(product(rows.mT, beside))
            if i:
                down, under = product_rows(bar, self.layers[i][0].mT), self.hidden[i - 1]
                bars[i - 1] += down * under.slope.unsqueeze(1)
                bars[i - 1][:, 0] += under.second * (under.da * down[:, 1:]).sum(1)
        return gradient


def scores(mlp: MLP, layers: Layers, x: Tensor) -> Tensor:
    """Compute the score without gradients: (K, B, d) -> (K, B, d)."""
    phi = ACTIVATIONS[mlp.activation]
    h, slopes = x, []
    for weight, bias in layers[:-1]:
        h, slope, _, _ = phi(product(h, weight) + bias)
        slopes.append(slope)
    n = -layers[-1][0].mT
    for (weight, _), slope in zip(layers[-2::-1], slopes[::-1], strict=True):
        n = product(slope * n, weight.mT)
    return n
