"""Scores of an energy perceptron and their parameter gradients in closed form.

For f = -E with score s = ∇f, and directions v, everything that score matching needs is a short
Taylor expansion f(x + tv): value, first and second derivative are pushed through the layers
together, as one matrix product a layer. The gradient with respect to the parameters is the same
recursion run backwards. No graph of a graph is ever built (autograd's "double backward").

Notation, layer by layer: a is the input of the activation φ, h = φ(a); a dot marks a derivative
along a direction; n = ∂f/∂h. K members, B points, M directions, W units.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .activations import ACTIVATIONS
from .networks import MLP, Layers, product, product_into, product_rows


def energy_score(mlp: MLP, layers: Layers, x: Tensor) -> Tensor:
    """Score -∇E without anything kept for gradients: (K, B, d) -> (K, B, d)."""
    slopes = []
    value = ACTIVATIONS[mlp.activation].value
    h = x
    for weight, bias in layers[:-1]:
        h, slope, _ = value(product(h, weight).add_(bias), None)
        slopes.append(slope)
    n = slopes.pop().mul_(layers[-1][0].mT)
    for (weight, _), slope in zip(layers[-2:0:-1], reversed(slopes), strict=True):
        n = product(n, weight.mT).mul_(slope)
    return product(n, layers[0][0].mT).neg_()


@dataclass
class EnergyTape:
    """What the forward recursion leaves for the backward one.

    Attributes:
        inputs: Input of each weight matrix as (K, 2M+2, B, W): rows [ḧ₁…ḧ_M | h | ḣ₁…ḣ_M | u];
            u is filled on the way back.
        slopes: φ' of each hidden layer.
        kept: What the activation keeps for φ''.
        first: ȧ of each hidden layer, (K, M, B, W).
        second: ä of each hidden layer; None for the first, where it is zero.
        bends: φ'' and φ''' of each hidden layer, where directions needed them on the way.
        outputs: Adjoints of each hidden layer's a as (K, M+2, B, W): rows [ā | ǡ₁…ǡ_M | φ'n].
        n: ∂f/∂h of each hidden layer.
    """

    mlp: MLP
    layers: Layers
    directions: int
    inputs: list[Tensor] = field(default_factory=list)
    slopes: list[Tensor] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)
    first: list[Tensor] = field(default_factory=list)
    second: list[Tensor | None] = field(default_factory=list)
    bends: list[list[Tensor]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    n: list[Tensor] = field(default_factory=list)


def forward(mlp: MLP, layers: Layers, x: Tensor, v: Tensor | None) -> tuple[EnergyTape, Tensor]:
    """Push a point and its Taylor coefficients along each direction through the network.

    Args:
        mlp: Architecture of kind ``energy``.
        layers: Weights and biases.
        x: Points, shape (K, B, d).
        v: Directions, shape (K, M, B, d), or None.

    Returns:
        The tape, and the rows [Ë₁…Ë_M | E | Ė₁…Ė_M] as (K, 2M+1, B).
    """
    m = 0 if v is None else v.shape[1]
    members, points, dim = x.shape
    phi = ACTIVATIONS[mlp.activation]
    tape = EnergyTape(mlp, layers, m)

    rows = x.new_empty((members, 2 * m + 2, points, dim))
    rows[:, m] = x
    if v is not None:
        rows[:, :m] = 0
        rows[:, m + 1 : 2 * m + 1] = v
    tape.inputs.append(rows)
    for i, (weight, bias) in enumerate(layers[:-1]):
        # At the input the second derivatives are zero and need no product.
        skip = m if i == 0 else 0
        pushed = product_rows(rows[:, skip : 2 * m + 1], weight)
        rows = x.new_empty((members, 2 * m + 2, points, mlp.width))
        h, slope, kept = phi.value(pushed[:, m - skip].add_(bias), rows[:, m])
        tape.slopes.append(slope)
        tape.kept.append(kept)
        tape.inputs.append(rows)
        if m:
            bends = phi.bend(h, slope, kept, 3)
            first = pushed[:, m - skip + 1 :]
            second = pushed[:, :m] if i else None
            torch.mul(first, slope.unsqueeze(1), out=rows[:, m + 1 : 2 * m + 1])
            curve = torch.mul(first, first, out=rows[:, :m]).mul_(bends[0].unsqueeze(1))
            if second is not None:
                curve.addcmul_(second, slope.unsqueeze(1))
            tape.first.append(first)
            tape.second.append(second)
            tape.bends.append(bends)
    weight, bias = layers[-1]
    taylor = product_rows(rows[:, : 2 * m + 1], weight).squeeze(-1)
    taylor[:, m] += bias.squeeze(-1)
    return tape, taylor


def gradient_of_energy(tape: EnergyTape, *, to_input: bool) -> Tensor | None:
    """Ordinary backward pass of f: fills ``n`` and the last row of ``outputs``.

    Returns:
        The score ∂f/∂x, shape (K, B, d), if ``to_input``.
    """
    layers = tape.layers
    n = layers[-1][0].mT.neg()
    for i in range(len(layers) - 2, -1, -1):
        slope = tape.slopes[i]
        members, points, width = slope.shape
        rows = slope.new_empty((members, tape.directions + 2, points, width))
        last = torch.mul(slope, n, out=rows[:, -1])
        tape.outputs.insert(0, rows)
        tape.n.insert(0, n)
        if i:
            n = product(last, layers[i][0].mT)
    return product(tape.outputs[0][:, -1], layers[0][0].mT) if to_input else None


def backward(
    tape: EnergyTape,
    energy: Tensor | None,
    score: Tensor | None,
    first: Tensor | None,
    second: Tensor | None,
) -> Tensor:
    """Parameter gradient of <energy, E> + <score, s> + <first, v·s> + <second, v·∇s·v>.

    Args:
        tape: From ``forward``.
        energy: Cotangent of E, shape (K, B), or None for zero; likewise
        score: (K, B, d),
        first: (K, M, B),
        second: (K, M, B).

    Returns:
        Gradient with respect to the flat parameters, shape (K, size), zero in the padding.
    """
    m = tape.directions
    if not tape.outputs:
        gradient_of_energy(tape, to_input=False)
    pushed = _push(tape, score, second)
    layers = tape.layers
    out = tape.mlp.blank(tape.inputs[0])
    grads = tape.mlp.views(out)

    top = layers[-1][0].mT
    h = tape.inputs[-1]
    weight_bar, bias_bar = grads[-1]
    torch.neg(h[:, -1].sum(1).unsqueeze(-1), out=weight_bar)
    h0 = h1 = None
    if energy is None:
        bias_bar.zero_()
    else:
        bias_bar.copy_(energy.sum(1)[:, None, None])
        weight_bar += product(h[:, m].mT, energy.unsqueeze(-1))
        h0 = energy.unsqueeze(-1) * top
    if first is not None:
        along = h[:, m + 1 : 2 * m + 1].flatten(1, 2)
        weight_bar -= product(along.mT, first.flatten(1, 2).unsqueeze(-1))
        h1 = first.unsqueeze(-1) * top.neg().unsqueeze(1)

    for i in range(len(layers) - 2, -1, -1):
        rows = tape.outputs[i]
        _adjoint(tape, i, rows, (h0, h1), pushed[i], second)
        weight_bar, bias_bar = grads[i]
        torch.sum(rows[:, 0], 1, keepdim=True, out=bias_bar)
        product_into(weight_bar, tape.inputs[i][:, m:].flatten(1, 2).mT, rows.flatten(1, 2))
        if i:
            down = product_rows(rows[:, : m + 1], layers[i][0].mT)
            h0, h1 = down[:, 0], down[:, 1:] if m else None
    return out


def _push(tape: EnergyTape, score: Tensor | None, second: Tensor | None) -> list[Tensor | None]:
    """Derivative of every a along the score's cotangent; fills the rows u of ``inputs``.

    u is what multiplies φ'n in the weight gradients: ḣ along the cotangent, plus Σ second·ḧ.
    """
    m = tape.directions
    along = score
    pushed: list[Tensor | None] = []
    for i, rows in enumerate(tape.inputs):
        u = rows[:, -1]
        if along is None:
            u.zero_()
        elif i == 0:
            u.copy_(along)
        else:
            torch.mul(along, tape.slopes[i - 1], out=u)
        if i < len(tape.slopes):
            # Before the second derivatives are added: they have been pushed already.
            along = None if along is None else product(u, tape.layers[i][0])
            pushed.append(along)
        if second is not None and i:
            u.add_((rows[:, :m] * second.unsqueeze(-1)).sum(1))
    return pushed


def _adjoint(
    tape: EnergyTape,
    i: int,
    rows: Tensor,
    bars: tuple[Tensor | None, Tensor | None],
    pushed: Tensor | None,
    second: Tensor | None,
) -> None:
    """Fill the adjoints of a and of each ȧ of hidden layer i, given those of h and ḣ."""
    m, slope, n = tape.directions, tape.slopes[i], tape.n[i]
    h0, h1 = bars
    a0 = rows[:, 0]
    if m:
        bends = tape.bends[i]
    else:
        bend = ACTIVATIONS[tape.mlp.activation].bend
        bends = bend(tape.inputs[i + 1][:, m], slope, tape.kept[i], 2)
    through_n = None if pushed is None else pushed.mul_(bends[0])
    if h0 is not None:
        torch.mul(h0, slope, out=a0)
    elif m == 0 and through_n is not None:
        torch.mul(through_n, n, out=a0)
        return
    else:
        a0.zero_()
    if m:
        ad, add = tape.first[i], tape.second[i]
        a1 = rows[:, 1:-1]
        if h1 is None:
            a1.zero_()
        else:
            torch.mul(h1, slope.unsqueeze(1), out=a1)
            a0.addcmul_((ad * h1).sum(1), bends[0])
        if second is not None:
            weighted = ad * second.unsqueeze(-1)
            a1.addcmul_(weighted, (bends[0] * n).unsqueeze(1), value=2)
            bend_n = (weighted * ad).sum(1).mul_(bends[1])
            if add is not None:
                bend_n.addcmul_((add * second.unsqueeze(-1)).sum(1), bends[0])
            through_n = bend_n if through_n is None else through_n.add_(bend_n)
    if through_n is not None:
        a0.addcmul_(through_n, n)
