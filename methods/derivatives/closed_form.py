"""Closed-form derivatives of perceptrons, connected to autograd.

The values of ``energy_jets`` and ``score_jets`` become differentiable once here, with respect to
the parameters. On the CPU the same recursions run compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..networks import MLP
from . import energy_jets, score_jets
from .energy_jets import EnergyJet, Values
from .score_jets import ScoreJet

if TYPE_CHECKING:
    from .compiled_jets import Forward

Jet = EnergyJet | ScoreJet


class ClosedForm:
    """Energies, scores and their derivatives of K perceptrons.

    ``theta`` are the flat parameters, (K, mlp.size); in-place changes take effect.
    """

    def __init__(self, mlp: MLP, theta: Tensor) -> None:
        self.mlp = mlp
        self.theta = theta
        # Views stay valid while an optimiser changes the parameters in place.
        self.layers = mlp.views(theta.detach())
        supported = theta.dtype in (torch.float32, torch.float64)
        self.compiled = supported and theta.device.type == "cpu" and theta.is_contiguous()
        # Idle jets for the next evaluation, by kind, number of points and of directions.
        self.idle: dict[tuple[type[Jet], int, int], list[Any]] = {}
        self._forward: Forward | None = None

    def score(self, x: Tensor) -> tuple[Tensor, int]:
        """Return the score at x (K, B, inputs), without a graph, and the passes it took."""
        if self.mlp.kind == "score":
            return self._outputs(x), 1
        if self.compiled:
            return self.forward().scores(x), 2
        return energy_jets.scores(self.mlp, self.layers, x), 2

    def forward(self) -> Forward:
        """Return the compiled forward pass."""
        if self._forward is None:
            # Imported on first use: numba takes a third of a second to load.
            from .compiled_jets import Forward

            self._forward = Forward(self.mlp, self.theta)
        return self._forward

    def new_jet(self, kind: type[Jet], points: int, directions: int) -> Any:
        """Make the fastest jet of an energy, or of a network's output, for these parameters."""
        if not self.compiled:
            return kind(self.mlp, self.layers)
        from .compiled_jets import CompiledEnergyJet, CompiledScoreJet

        make = CompiledEnergyJet if kind is EnergyJet else CompiledScoreJet
        return make(self.mlp, self.theta, points, directions)

    def jet(
        self, x: Tensor, v: Tensor | None, wanted: tuple[str, ...], *, training: bool
    ) -> tuple[tuple[Tensor, ...], int]:
        """Compute (E, s, v·s, v·∇s·v); parts that do not exist, or are not wanted, are empty.

        Args:
            x: Points, shape (K, B, inputs).
            v: Directions, shape (K, M, B, inputs), or None.
            wanted: Of ``energy``, ``score`` and ``slices``.
            training: Whether parameter gradients follow.

        Returns:
            The values, and the passes through the network, including those of the gradient.
        """
        m = 0 if v is None else v.shape[1]
        none = x.new_empty((x.shape[0], 0, 0))
        if wanted == ("energy",) or self.mlp.kind == "score":
            rows = _rows(self, x, v, training=training)
            if self.mlp.kind == "energy":
                return (rows[:, 0, :, 0], none, none, none), passes("score", m, training=training)
            # A conditional network has fewer outputs than inputs.
            short = v if v is None else v[..., : rows.shape[-1]]
            values = none, *_sliced(rows[:, 0], rows[:, 1:], short, none)
            return values, passes("score", m, training=training)
        lease = _Lease(self, EnergyJet, x.shape[1], m)
        jet = _energy_jet(lease, self.theta, x, v, "energy" in wanted)
        return jet, passes("energy", m, training=training)

    def _outputs(self, x: Tensor) -> Tensor:
        if self.compiled:
            return self.forward().outputs(x)
        return score_jets.outputs(self.mlp, self.layers, x)


def passes(kind: str, directions: int, *, training: bool) -> int:
    """Count passes through a network for the values of a jet, and for its gradient in training.

    Of an energy they are [a | ȧ] and n; then t, the adjoints [ā | ǡ], and the weights' rows.
    """
    if kind == "score":
        return (1 + directions) * (3 if training else 1)
    return 2 + directions + (4 + 2 * directions if training else 0)


def _rows(closed: ClosedForm, x: Tensor, v: Tensor | None, *, training: bool) -> Tensor:
    """[N | ∇N·v₁ … ∇N·v_M] of a network N, shape (K, 1 + M, B, outputs)."""
    if v is None and not training:
        return closed._outputs(x).unsqueeze(1)
    lease = _Lease(closed, ScoreJet, x.shape[1], 0 if v is None else v.shape[1])
    return _score_jet(lease, closed.theta, x, v)


def _sliced(
    score: Tensor, tangents: Tensor, v: Tensor | None, none: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """S, v·s and v·∇s·v from s and ∇s·v."""
    if v is None:
        return score, none, none
    return score, (v * score.unsqueeze(1)).sum(-1), (v * tangents).sum(-1)


class _Lease:
    """A jet that one evaluation uses until its graph is freed; then it becomes idle again."""

    def __init__(self, owner: ClosedForm, kind: type[Jet], points: int, directions: int) -> None:
        self._idle = owner.idle.setdefault((kind, points, directions), [])
        self.jet = self._idle.pop() if self._idle else owner.new_jet(kind, points, directions)

    def __del__(self) -> None:
        self._idle.append(self.jet)


class _EnergyJet(torch.autograd.Function):
    """(E, s, v·s, v·∇s·v) of an energy network; E is empty if not wanted."""

    @staticmethod
    def forward(
        ctx: Any,
        lease: _Lease,
        theta: Tensor,  # noqa: ARG004 (autograd needs it as an input)
        x: Tensor,
        v: Tensor | None,
        energy: bool,
    ) -> tuple[Tensor, ...]:
        ctx.lease = lease
        ctx.set_materialize_grads(False)
        values = lease.jet.evaluate(x, v, energy=energy)
        # Autograd changes the tensors it receives; jets return the same empty ones every time.
        return tuple(part if part.numel() else part.detach() for part in values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        # The jet reuses this memory, while the caller may hold on to the gradient.
        gradient = ctx.lease.jet.backward(*bars).clone()
        return None, gradient, None, None, None


class _ScoreJet(torch.autograd.Function):
    """[N | ∇N·v₁ … ∇N·v_M] of a network N."""

    @staticmethod
    def forward(
        ctx: Any,
        lease: _Lease,
        theta: Tensor,  # noqa: ARG004 (autograd needs it as an input)
        x: Tensor,
        v: Tensor | None,
    ) -> Tensor:
        ctx.lease = lease
        rows: Tensor = lease.jet.evaluate(x, v)
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, bars: Tensor) -> tuple[Tensor | None, ...]:
        return None, ctx.lease.jet.backward(bars).clone(), None, None


_energy_jet = cast("Callable[..., Values]", _EnergyJet.apply)
_score_jet = cast("Callable[..., Tensor]", _ScoreJet.apply)
