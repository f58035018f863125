"""Perceptrons whose derivatives are recursions through the layers, made known to autograd.

What ``energy_jets`` and ``score_jets`` compute becomes differentiable once here, with respect to
the parameters, and is given batches whose arithmetic does not depend on who else is in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from . import score_jets
from .energy_jets import EnergyJet, EnergyScorer
from .networks import ALIGNMENT, MLP, Layers

if TYPE_CHECKING:
    from .compiled_jets import CompiledJet
    from .compiled_scorer import CompiledScorer

# Numbers in a tile of activations: with its buffers it stays in a core's own cache.
_TILE = 100_000


# From cotangents of (E, s, v·s, v·∇s·v), None for zero, to the gradient of the parameters.
Pull = Callable[..., Tensor]


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
        self.waiting: dict[tuple[int, int], list[EnergyJet | CompiledJet]] = {}
        self._scorers: dict[int, EnergyScorer | CompiledScorer] = {}
        numbers = theta.dtype in (torch.float32, torch.float64)
        self.compiled = numbers and theta.device.type == "cpu" and theta.is_contiguous()

    def score(self, x: Tensor) -> tuple[Tensor, int]:
        """Score at x of shape (K, B, inputs), with no graph, and the passes that it took."""
        padded, points = _pad(x, self.mlp)
        if self.mlp.kind == "score":
            return score_jets.direct_score(self.mlp, self.layers, padded)[:, :points], 1
        padded = padded.contiguous()
        out = torch.empty_like(padded)
        tile = max(ALIGNMENT, _TILE // self.mlp.width // ALIGNMENT * ALIGNMENT)
        for start in range(0, padded.shape[1], tile):
            size = min(tile, padded.shape[1] - start)
            if size not in self._scorers:
                self._scorers[size] = self.energy_scorer(size)
            self._scorers[size](padded, out, start)
        return out[:, :points], 2

    def energy_jet(self, points: int, directions: int) -> EnergyJet | CompiledJet:
        """The fastest jet there is for these parameters."""
        if not self.compiled:
            return EnergyJet(self.mlp, self.layers, points, directions)
        # Imported here: numba takes a third of a second, and only training needs it.
        from .compiled_jets import CompiledJet

        return CompiledJet(self.mlp, self.theta, self.layers, points, directions)

    def energy_scorer(self, points: int) -> EnergyScorer | CompiledScorer:
        """The fastest scorer there is for these parameters, for tiles of so many points."""
        if not self.compiled or self.mlp.depth == 1:
            return EnergyScorer(self.mlp, self.layers, points)
        from .compiled_scorer import CompiledScorer

        return CompiledScorer(self.mlp, self.theta.detach(), self.layers, points)

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
        m = 0 if v is None else v.shape[1]
        # Compiled jets fill up registers themselves, where no graph has to know of it.
        alone = self.compiled and self.mlp.kind == "energy" and wanted != ("energy",)
        padded, points = (x, x.shape[1]) if alone else _pad(x, self.mlp)
        directions = v if v is None or alone else _pad(v, self.mlp)[0]
        jet: tuple[Tensor, ...]
        if self.mlp.kind == "energy" and wanted == ("energy",):
            # No derivative in x: the plain perceptron, of which the energy is the one output.
            passes = 3 if training else 1
            _, out, first, second = _score_jet(self.mlp, self.layers, self.theta, padded, None)
            jet = out[..., 0], x.new_empty((x.shape[0], 0, 0)), first, second
        elif self.mlp.kind == "energy":
            # Forward 1 + 2M; g 1; backward: along the score 1, adjoints 1 + M, weights 2 + M.
            passes = _passes(m, wanted, training=training)
            lease = _Lease(self, padded.shape[1], m)
            jet = _energy_jet(lease, self.theta, padded, directions, wanted)
            if alone:
                return jet, passes
        else:
            passes = (1 + m) * (3 if training else 1)
            jet = _score_jet(self.mlp, self.layers, self.theta, padded, directions)
        energy, score, first, second = jet
        kept = energy[..., :points], score[:, :points], first[..., :points], second[..., :points]
        return kept, passes

    def vjp(
        self, x: Tensor, v: Tensor | None, wanted: tuple[str, ...]
    ) -> tuple[tuple[Tensor, ...], Pull, int] | None:
        """What ``jet`` gives, with no graph, and the way back; None if this is not compiled.

        Returns:
            The four, a function from the cotangents of the four (None for zero) to the gradient
            of the parameters, and the passes of both. The gradient lies in memory that the next
            evaluation uses again.
        """
        if not self.compiled or self.mlp.kind != "energy" or "energy" in wanted:
            return None
        m = 0 if v is None else v.shape[1]
        lease = _Lease(self, x.shape[1], m)
        # The function keeps the lease.
        pull = lambda *bars: lease.jet.backward(*bars)  # noqa: E731
        return _evaluated(lease.jet, x, v, wanted), pull, _passes(m, wanted, training=True)


def _passes(directions: int, wanted: tuple[str, ...], *, training: bool) -> int:
    both = int("score" in wanted)
    forward = 1 + 2 * directions + both
    return forward + (3 + both + 2 * directions if training else 0)


def _evaluated(
    jet: EnergyJet | CompiledJet, x: Tensor, v: Tensor | None, wanted: tuple[str, ...]
) -> tuple[Tensor, ...]:
    jet.push(x, v)
    none = x.new_empty((x.shape[0], 0, 0))
    score = jet.score() if "score" in wanted else none
    if wanted == ("score",):
        return none, score, none, none
    energy, first, second = jet.taylor()
    return energy, score, first, second


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
            self.jet = owner.energy_jet(points, directions)

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
        return _evaluated(lease.jet, x, v, wanted)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        # The jet writes to the same memory again, while who asked may keep what it was given.
        gradient = ctx.lease.jet.backward(*bars).clone()
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
