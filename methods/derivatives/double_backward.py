"""Derivatives of any network by plain autograd, with graphs of graphs.

Slower than the closed forms by a factor of three or more; the closed forms are tested against it.
"""

import torch
from torch import Tensor

from ..module_network import ModuleNetwork


class DoubleBackward:
    """Energies, scores and their derivatives of K modules, one member after the other.

    A loop over members: batched kernels would round differently for different K.

    Args:
        network: Architecture.
        theta: Flat parameters, shape (K, network.size).
    """

    def __init__(self, network: ModuleNetwork, theta: Tensor) -> None:
        self.network = network
        self.theta = theta

    def score(self, x: Tensor) -> tuple[Tensor, int]:
        """Return the score at x (K, B, inputs), without a graph, and the passes it took."""
        jet, passes = self.jet(x, None, ("score",), training=False)
        return jet[1], passes

    def jet(
        self, x: Tensor, v: Tensor | None, wanted: tuple[str, ...], *, training: bool
    ) -> tuple[tuple[Tensor, ...], int]:
        """Compute (E, s, v·s, v·∇s·v); unwanted values may be empty. See ``ClosedForm.jet``."""
        rows = (self.theta if training else self.theta.detach()).unbind()
        directions = [None] * len(rows) if v is None else list(v)
        jets = [
            self._member(row, points, along, wanted, training=training)
            for row, points, along in zip(rows, x, directions, strict=True)
        ]
        m = 0 if v is None else v.shape[1]
        if self.network.kind == "energy":
            # Each direction differentiates a graph of two passes.
            passes = 1 + int("score" in wanted or m > 0) + 2 * m
        else:
            passes = 1 + m
        joined = [torch.stack(parts) for parts in zip(*jets, strict=True)]
        return tuple(joined), passes * (3 if training else 1)

    def _member(
        self, row: Tensor, x: Tensor, v: Tensor | None, wanted: tuple[str, ...], *, training: bool
    ) -> tuple[Tensor, ...]:
        slopes = "score" in wanted or v is not None
        with torch.enable_grad():
            # A copy, because each member of a batch starts at a different alignment.
            x = x.detach().clone().requires_grad_(slopes)
            out = self.network(self.network.tensors(row), x)
            score = energy = out.new_empty(0)
            if self.network.kind == "score":
                score = out
            else:
                energy = out
                if slopes:
                    score = -_slope(out, x, graph=training or v is not None)
            first = second = out.new_empty(0)
            if v is not None:
                first = (v * score).sum(-1)
                pulled = [_slope(along, x, graph=True) for along in first]
                second = (v * torch.stack(pulled)).sum(-1)
        jet = energy, score, first, second
        return jet if training else tuple(part.detach() for part in jet)


def _slope(values: Tensor, x: Tensor, *, graph: bool) -> Tensor:
    """Gradient of each value with respect to its own point; 0 where it does not depend on it."""
    if not values.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(
        values.sum(), x, create_graph=graph, allow_unused=True, materialize_grads=True
    )
    return slope
