"""Perceptrons whose derivatives are recursions through the layers, made known to autograd.

What ``energy_jets`` and ``score_jets`` compute becomes differentiable once here, with respect to
the parameters, and is given batches whose arithmetic does not depend on who else is in them.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from . import score_jets
from .energy_jets import EnergyJet, EnergyScorer
from .networks import ALIGNMENT, MLP, Layers

# Numbers in a tile of activations: with its buffers it stays in a core's own cache.
_TILE = 65536


class ClosedForm:
    """Energies, scores and their derivatives of K perceptrons.

    Args:
        mlp: Architecture.
        theta: Flat parameters, shape (K, mlp.size); followed as they are changed in place.
    """

    def __init__(self, mlp: MLP, theta: Tensor) -> None:
        self.mlp = mlp
        self.theta = theta
        # Views stay right while an optimiser moves the parameters in place.
        self.layers = mlp.views(theta.detach())
        # Jets that wait for the next step, by number of points and directions.
        self.waiting: dict[tuple[int, int], list[EnergyJet]] = {}
        self._scorers: dict[int, EnergyScorer] = {}

    def score(self, x: Tensor) -> tuple[Tensor, int]:
        """Score at x of shape (K, B, inputs), with no graph, and the passes that it took."""
        padded, points = _pad(x, self.mlp)
        if self.mlp.kind == "score":
            return score_jets.direct_score(self.mlp, self.layers, padded)[:, :points], 1
        out = torch.empty_like(padded)
        tile = max(ALIGNMENT, _TILE // self.mlp.width // ALIGNMENT * ALIGNMENT)
        for start in range(0, padded.shape[1], tile):
            part = padded[:, start : start + tile]
            size = part.shape[1]
            if size not in self._scorers:
                self._scorers[size] = EnergyScorer(self.mlp, self.layers, size)
            self._scorers[size](part, out[:, start : start + tile])
        return out[:, :points], 2

    def jet(
        self, x: Tensor, v: Tensor | None, wanted: tuple[str, ...], *, training: bool
    ) -> tuple[tuple[Tensor, ...], int]:
        """(E, s, v·s, v·∇s·v); those of an energy network that are not wanted are empty.

        Args:
            x: Points, shape (K, B, inputs).
            v: Directions, shape (K, M, B, inputs), or None.
            wanted: Of ``energy``, ``score`` and ``slices``.
            training: Whether parameter gradients will be asked for.

        Returns:
            The four, and the passes through the network that they take, those of the gradient
            among them.
        """
        padded, points = _pad(x, self.mlp)
        directions = None if v is None else _pad(v, self.mlp)[0]
        m = 0 if v is None else v.shape[1]
        jet: tuple[Tensor, ...]
        if self.mlp.kind == "energy" and wanted == ("energy",):
            # No derivative in x: the plain perceptron, of which the energy is the one output.
            passes = 3 if training else 1
            _, out, first, second = _score_jet(self.mlp, self.layers, self.theta, padded, None)
            jet = out[..., 0], x.new_empty((x.shape[0], 0, 0)), first, second
        elif self.mlp.kind == "energy":
            # Forward 1 + 2M; g 1; backward: along the score 1, adjoints 1 + M, weights 2 + M.
            both = int("score" in wanted)
            passes = 1 + 2 * m + both + (3 + both + 2 * m if training else 0)
            lease = _Lease(self, padded.shape[1], m)
            jet = _energy_jet(lease, self.theta, padded, directions, wanted)
        else:
            passes = (1 + m) * (3 if training else 1)
            jet = _score_jet(self.mlp, self.layers, self.theta, padded, directions)
        energy, score, first, second = jet
        kept = energy[..., :points], score[:, :points], first[..., :points], second[..., :points]
        return kept, passes


def _pad(x: Tensor, mlp: MLP) -> tuple[Tensor, int]:
    """Add points until each member fills whole vector registers, for equal rounding in any batch.

    Returns:
        The padded points, and how many there were.
    """
    points = x.shape[-2]
    unit = ALIGNMENT // math.gcd(mlp.width, ALIGNMENT)
    missing = -points % unit
    return (functional.pad(x, (0, 0, 0, missing)) if missing else x), points


class _Lease:
    """A jet that belongs to one evaluation for as long as its graph lives, then to the next."""

    def __init__(self, owner: ClosedForm, points: int, directions: int) -> None:
        self._waiting = owner.waiting.setdefault((points, directions), [])
        if self._waiting:
            self.jet = self._waiting.pop()
        else:
            self.jet = EnergyJet(owner.mlp, owner.layers, points, directions)

    def __del__(self) -> None:
        self._waiting.append(self.jet)


class _EnergyJet(torch.autograd.Function):
    """(E, s, v·s, v·∇s·v) of an energy network; those not wanted are empty."""

    @staticmethod
    def forward(
        ctx: Any,
        lease: _Lease,
        theta: Tensor,  # noqa: ARG004 (tells autograd whose gradient it is)
        x: Tensor,
        v: Tensor | None,
        wanted: tuple[str, ...],
    ) -> tuple[Tensor, ...]:
        ctx.lease = lease
        ctx.set_materialize_grads(False)
        lease.jet.push(x, v)
        none = x.new_empty((x.shape[0], 0, 0))
        score = lease.jet.score() if "score" in wanted else none
        if "score" in wanted and len(wanted) == 1:
            return none, score, none, none
        energy, first, second = lease.jet.taylor()
        return energy, score, first, second

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        gradient = ctx.lease.jet.backward(*bars)
        return None, gradient, None, None, None


class _ScoreJet(torch.autograd.Function):
    """(empty, s, v·s, v·∇s·v) of a direct score network."""

    @staticmethod
    def forward(
        ctx: Any,
        mlp: MLP,
        layers: Layers,
        theta: Tensor,  # noqa: ARG004 (tells autograd whose gradient it is)
        x: Tensor,
        v: Tensor | None,
    ) -> tuple[Tensor, ...]:
        ctx.tape, out = score_jets.forward(mlp, layers, x, v)
        # A conditional network has fewer outputs than inputs, so x does not give the shape.
        ctx.v = out[:, 1:] if v is None else v
        ctx.set_materialize_grads(False)
        score = out[:, 0]
        first = (ctx.v * score.unsqueeze(1)).sum(-1)
        return x.new_empty((x.shape[0], 0)), score, first, (ctx.v * out[:, 1:]).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        _, score, first, second = bars
        v = ctx.v
        rows = torch.zeros_like(torch.cat([v.new_empty((v.shape[0], 1, *v.shape[2:])), v], dim=1))
        if score is not None:
            rows[:, 0] += score
        if first is not None:
            rows[:, 0] += (first.unsqueeze(-1) * v).sum(1)
        if second is not None:
            rows[:, 1:] = second.unsqueeze(-1) * v
        return None, None, score_jets.backward(ctx.tape, rows), None, None


_energy_jet = cast("Callable[..., tuple[Tensor, ...]]", _EnergyJet.apply)
_score_jet = cast("Callable[..., tuple[Tensor, ...]]", _ScoreJet.apply)
