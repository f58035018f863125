"""Scores of an energy perceptron and their parameter gradients in closed form.

For f = -E with score s = ∇f, and directions v, everything that score matching needs is a short
Taylor expansion f(x + tv): value, first and second derivative are pushed through the layers
together, as one matrix product a layer. The gradient with respect to the parameters is the same
recursion run backwards. No graph of a graph is ever built (autograd's "double backward").

Notation, layer by layer: a is the input of the activation φ, h = φ(a); a dot marks a derivative
along a direction; n = ∂f/∂h. K members, B points, M directions, W units.
"""

import torch
from torch import Tensor

from .activations import ACTIVATIONS
from .networks import MLP, Layers, product, product_into, weights_into


class _Hidden:
    """Buffers of one hidden layer, and every view of them that the recursions use.

    Attributes:
        pushed: Inputs of the activation as rows [ä₁…ä_M | a | ȧ₁…ȧ_M]; no ä at the first layer.
        rows: Inputs of the next weights as rows [ḧ₁…ḧ_M | h | ḣ₁…ḣ_M | u].
        bars: Adjoints of the activation's input as rows [ā | ǡ₁…ǡ_M | φ'n].
    """

    def __init__(self, like: Tensor, k: int, b: int, m: int, width: int, *, first: bool) -> None:
        def blank(*rows: int) -> Tensor:
            return like.new_empty((k, *rows, b, width))

        skip = m if first else 0
        self.pushed = blank(2 * m + 1 - skip)
        self.pushed_flat = self.pushed.flatten(1, 2)
        self.a = self.pushed[:, m - skip]
        self.da = self.pushed[:, m - skip + 1 :]
        self.dda = None if first else self.pushed[:, :m]

        self.rows = blank(2 * m + 2)
        self.h, self.dh, self.ddh = self.rows[:, m], self.rows[:, m + 1 : -1], self.rows[:, :m]
        self.u = self.rows[:, -1]
        self.along = self.rows[:, : 2 * m + 1].flatten(1, 2)
        self.beside_weights = list(self.rows[:, m:].flatten(1, 2).mT)

        self.slope, self.rest, self.second = blank(), blank(), blank()
        self.third = blank() if m else None
        self.slope_rows = self.slope.unsqueeze(1)
        self.second_rows = self.second.unsqueeze(1)

        self.bars = blank(m + 2)
        self.a_bar, self.da_bar = self.bars[:, 0], self.bars[:, 1:-1]
        self.through = self.bars[:, -1]
        self.down_from = self.bars[:, : m + 1].flatten(1, 2)
        self.bars_flat = list(self.bars.flatten(1, 2))
        self.down = blank(m + 1)
        self.down_flat = self.down.flatten(1, 2)
        self.n = blank()
        self.tangent = blank()


class EnergyJet:
    """The recursions for one number of members, points and directions.

    All memory is taken once; a jet serves one evaluation at a time, forward and then backward.

    Args:
        mlp: Architecture of kind ``energy``.
        layers: Weights and biases; followed as they are changed in place.
        points: B.
        directions: M.
    """

    def __init__(self, mlp: MLP, layers: Layers, points: int, directions: int) -> None:
        first_weight = layers[0][0]
        k, dim, _ = first_weight.shape
        m = directions
        self.mlp, self.layers, self.directions = mlp, layers, m
        self.phi = ACTIVATIONS[mlp.activation]
        self.hidden = [
            _Hidden(first_weight, k, points, m, mlp.width, first=i == 0) for i in range(mlp.depth)
        ]
        rows = first_weight.new_zeros((k, 2 * m + 2, points, dim))
        self.x, self.v, self.u0 = rows[:, m], rows[:, m + 1 : -1], rows[:, -1]
        self.input_along = rows[:, m : 2 * m + 1].flatten(1, 2)
        self.input_beside_weights = list(rows[:, m:].flatten(1, 2).mT)
        self.top = layers[-1][0].mT
        self.gradient = first_weight.new_zeros((k, mlp.size))
        self.grads = mlp.views(self.gradient)
        self.grads_by_member = [list(weight) for weight, _ in self.grads]
        self._backpropagated = False

    def push(self, x: Tensor, v: Tensor | None) -> None:
        """Push points (K, B, d), and the Taylor coefficients along directions (K, M, B, d)."""
        self._backpropagated = False
        self.x.copy_(x)
        if v is not None:
            self.v.copy_(v)
        along = self.input_along
        for layer, (weight, bias) in zip(self.hidden, self.layers[:-1], strict=True):
            product_into(layer.pushed_flat, along, weight)
            layer.a.add_(bias)
            self.phi.value(layer.a, layer.h, layer.slope, layer.rest)
            along = layer.along
            if self.directions:
                self.phi.bend(layer.h, layer.slope, layer.rest, layer.second, layer.third)
                torch.mul(layer.da, layer.slope_rows, out=layer.dh)
                curve = torch.mul(layer.da, layer.da, out=layer.ddh).mul_(layer.second_rows)
                if layer.dda is not None:
                    curve.addcmul_(layer.dda, layer.slope_rows)

    def taylor(self) -> tuple[Tensor, Tensor, Tensor]:
        """E (K, B), and v·s and v·∇s·v (K, M, B), of what was pushed."""
        weight, bias = self.layers[-1]
        last = self.hidden[-1]
        rows = product(last.along, weight).view(last.rows.shape[0], -1, last.rows.shape[2])
        m = self.directions
        return rows[:, m] + bias.squeeze(-1), rows[:, m + 1 :].neg(), rows[:, :m].neg()

    def score(self) -> Tensor:
        """The score ∂f/∂x of what was pushed, shape (K, B, d)."""
        self._backpropagate()
        return product(self.hidden[0].through, self.layers[0][0].mT)

    def _backpropagate(self) -> None:
        """∂f/∂h of every layer, and φ' times it."""
        self._backpropagated = True
        last = self.hidden[-1]
        last.n.copy_(self.top.neg())
        for i in range(self.mlp.depth - 1, -1, -1):
            layer = self.hidden[i]
            torch.mul(layer.slope, layer.n, out=layer.through)
            if i:
                product_into(self.hidden[i - 1].n, layer.through, self.layers[i][0].mT)

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
        self._push_along(score, second)
        h_bar, dh_bar = self._outermost(energy, first)
        for i in range(self.mlp.depth - 1, -1, -1):
            layer = self.hidden[i]
            self._adjoint(layer, h_bar, dh_bar, second, tangent=score is not None)
            torch.sum(layer.a_bar, 1, keepdim=True, out=self.grads[i][1])
            beside = self.hidden[i - 1].beside_weights if i else self.input_beside_weights
            weights_into(self.grads_by_member[i], beside, layer.bars_flat)
            if i:
                product_into(layer.down_flat, layer.down_from, self.layers[i][0].mT)
                h_bar, dh_bar = layer.down[:, 0], layer.down[:, 1:] if self.directions else None
        return self.gradient

    def _push_along(self, score: Tensor | None, second: Tensor | None) -> None:
        """Derivative of every a along the score's cotangent; fills the rows u.

        u is what multiplies φ'n in the weight gradients: ḣ along the cotangent, plus Σ second·ḧ.
        """
        if score is None:
            self.u0.zero_()
        else:
            self.u0.copy_(score)
        u = self.u0
        for layer, (weight, _) in zip(self.hidden, self.layers[:-1], strict=True):
            if score is None:
                layer.u.zero_()
            else:
                product_into(layer.tangent, u, weight)
                torch.mul(layer.tangent, layer.slope, out=layer.u)
            u = layer.u
        if second is not None:
            # After the pushes: the second derivatives have been pushed once already.
            for layer in self.hidden:
                layer.u.add_((layer.ddh * second.unsqueeze(-1)).sum(1))

    def _outermost(
        self, energy: Tensor | None, first: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the last weights, and the adjoints of the last h and ḣ."""
        last = self.hidden[-1]
        weight_bar, bias_bar = self.grads[-1]
        torch.neg(last.u.sum(1).unsqueeze(-1), out=weight_bar)
        h_bar = dh_bar = None
        if energy is None:
            bias_bar.zero_()
        else:
            bias_bar.copy_(energy.sum(1)[:, None, None])
            weight_bar += product(last.h.mT, energy.unsqueeze(-1))
            h_bar = energy.unsqueeze(-1) * self.top
        if first is not None:
            along = last.dh.flatten(1, 2)
            weight_bar -= product(along.mT, first.flatten(1, 2).unsqueeze(-1))
            dh_bar = first.unsqueeze(-1) * self.top.neg().unsqueeze(1)
        return h_bar, dh_bar

    def _adjoint(
        self,
        layer: _Hidden,
        h_bar: Tensor | None,
        dh_bar: Tensor | None,
        second: Tensor | None,
        *,
        tangent: bool,
    ) -> None:
        """Fill the adjoints of a and of each ȧ of a layer, given those of h and ḣ."""
        m = self.directions
        if not m:
            self.phi.bend(layer.h, layer.slope, layer.rest, layer.second, None)
        through_n = layer.tangent.mul_(layer.second) if tangent else None
        if h_bar is not None:
            torch.mul(h_bar, layer.slope, out=layer.a_bar)
        elif m == 0 and through_n is not None:
            torch.mul(through_n, layer.n, out=layer.a_bar)
            return
        else:
            layer.a_bar.zero_()
        if m:
            if dh_bar is None:
                layer.da_bar.zero_()
            else:
                torch.mul(dh_bar, layer.slope_rows, out=layer.da_bar)
                layer.a_bar.addcmul_((layer.da * dh_bar).sum(1), layer.second)
            if second is not None and layer.third is not None:
                weighted = layer.da * second.unsqueeze(-1)
                layer.da_bar.addcmul_(weighted, (layer.second * layer.n).unsqueeze(1), value=2)
                bend = (weighted * layer.da).sum(1).mul_(layer.third)
                if layer.dda is not None:
                    bend.addcmul_((layer.dda * second.unsqueeze(-1)).sum(1), layer.second)
                through_n = bend if through_n is None else through_n.add_(bend)
        if through_n is not None:
            layer.a_bar.addcmul_(through_n, layer.n)


class EnergyScorer:
    """Scores -∇E of many points, a tile at a time, with nothing kept for gradients.

    Args:
        mlp: Architecture of kind ``energy``.
        layers: Weights and biases.
        points: Points per tile.
    """

    def __init__(self, mlp: MLP, layers: Layers, points: int) -> None:
        weight = layers[0][0]
        self.layers = layers
        self.value = ACTIVATIONS[mlp.activation].value
        shape = (weight.shape[0], points, mlp.width)
        self.slopes = [weight.new_empty(shape) for _ in range(mlp.depth)]
        self.one, self.other = weight.new_empty(shape), weight.new_empty(shape)

    def __call__(self, x: Tensor, out: Tensor, start: int) -> None:
        """Write the scores at the points from ``start`` on of ``x``, (K, B, d), to ``out``."""
        layers, a, h = self.layers, self.one, self.other
        end = start + a.shape[1]
        along = x[:, start:end]
        for (weight, bias), slope in zip(layers[:-1], self.slopes, strict=True):
            product_into(a, along, weight)
            a.add_(bias)
            self.value(a, h, slope, a)
            along = h
        n = self.slopes[-1].mul_(layers[-1][0].mT)
        free, other = a, h
        for (weight, _), slope in zip(layers[-2:0:-1], self.slopes[-2::-1], strict=True):
            product_into(free, n, weight.mT)
            n = free.mul_(slope)
            free, other = other, free
        torch.neg(product(n, layers[0][0].mT), out=out[:, start:end])
