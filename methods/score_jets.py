"""Directional derivatives of a direct score perceptron and their parameter gradients.

The counterpart of ``energy_jets`` for networks whose output is the score itself: one derivative
less is needed, so the recursion carries [s | ṡ₁…ṡ_M] only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .activations import ACTIVATIONS
from .networks import MLP, Layers, product, product_rows, weights_into


def direct_score(mlp: MLP, layers: Layers, x: Tensor) -> Tensor:
    """Output of the network: (K, B, d) -> (K, B, d)."""
    value = ACTIVATIONS[mlp.activation].value
    *hidden, (weight, bias) = layers
    h = x
    for w, b in hidden:
        a = product(h, w).add_(b)
        h = torch.empty_like(a)
        value(a, h, torch.empty_like(a), a)
    return product(h, weight).add_(bias)


@dataclass
class ScoreTape:
    """What the forward recursion leaves: inputs (K, 1+M, B, W), slopes φ' φ'', and every ȧ."""

    mlp: MLP
    layers: Layers
    inputs: list[Tensor]
    slopes: list[list[Tensor]]
    first: list[Tensor]


def forward(mlp: MLP, layers: Layers, x: Tensor, v: Tensor | None) -> tuple[ScoreTape, Tensor]:
    """Push points and directions through the network.

    Args:
        mlp: Architecture of kind ``score``.
        layers: Weights and biases.
        x: Points, shape (K, B, d).
        v: Directions, shape (K, M, B, d), or None.

    Returns:
        The tape, and [s | ∇s·v₁ … ∇s·v_M] as (K, 1+M, B, d).
    """
    phi = ACTIVATIONS[mlp.activation]
    *hidden, (weight, bias) = layers
    tape = ScoreTape(mlp, layers, [], [], [])
    rows = x.unsqueeze(1) if v is None else torch.cat([x.unsqueeze(1), v], dim=1)
    for w, b in hidden:
        tape.inputs.append(rows)
        pushed = product_rows(rows, w)
        rows = torch.empty_like(pushed)
        a = pushed[:, 0].add_(b)
        slope, second = torch.empty_like(a), torch.empty_like(a)
        phi.value(a, rows[:, 0], slope, a)
        slopes = [slope]
        if v is not None:
            torch.mul(pushed[:, 1:], slope.unsqueeze(1), out=rows[:, 1:])
            phi.bend(rows[:, 0], slope, a, second, None)
            slopes.append(second)
        tape.slopes.append(slopes)
        tape.first.append(pushed[:, 1:])
    tape.inputs.append(rows)
    out = product_rows(rows, weight)
    out[:, 0] += bias
    return tape, out


def backward(tape: ScoreTape, bars: Tensor) -> Tensor:
    """Parameter gradient of <bars, [s | ∇s·v₁ … ∇s·v_M]>.

    Args:
        tape: From ``forward``.
        bars: Cotangents, shape (K, 1+M, B, d).

    Returns:
        Gradient with respect to the flat parameters, shape (K, size), zero in the padding.
    """
    out = tape.mlp.blank(bars)
    grads, layers = tape.mlp.views(out), tape.layers
    for i in range(len(layers) - 1, -1, -1):
        weight_bar, bias_bar = grads[i]
        torch.sum(bars[:, 0], 1, keepdim=True, out=bias_bar)
        weights_into(
            list(weight_bar), list(tape.inputs[i].flatten(1, 2).mT), list(bars.flatten(1, 2))
        )
        if i:
            h = product_rows(bars, layers[i][0].mT)
            slopes, first = tape.slopes[i - 1], tape.first[i - 1]
            bars = h * slopes[0].unsqueeze(1)
            if first.shape[1]:
                bars[:, 0] += (first * h[:, 1:]).sum(1).mul_(slopes[1])
    return out
