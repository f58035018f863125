"""What a learner gives and a sampler takes: a score, and for training its derivatives."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from . import energy_jets, score_jets
from .networks import ALIGNMENT, MLP, Layers


class Model(ABC):
    """Anything with a score.

    Attributes:
        dim: Dimension d.
        members: Number K of models side by side.
        evaluations: Points pushed through each member so far, a pass forward or backward
            counting one each.
    """

    dim: int
    members: int
    evaluations: int = 0

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Score at x, (K, B, d) -> (K, B, d).

        Args:
            x: Points.
            sigma: Noise level whose smoothed density is meant; models that know only one level
                ignore it.
        """

    def energy(self, x: Tensor) -> Tensor | None:  # noqa: ARG002 (part of the interface)
        """Energy up to a constant, (K, B, d) -> (K, B); None if the model has none."""
        return None


class Slices(NamedTuple):
    """First and second derivative of log p along directions v, each (K, M, B).

    Attributes:
        first: v·s.
        second: v·∇s·v.
    """

    first: Tensor
    second: Tensor


class NetworkModel(Model):
    """K perceptrons of one architecture, differentiable once with respect to ``theta``.

    Args:
        mlp: Architecture.
        theta: Flat parameters, shape (K, mlp.size).
    """

    def __init__(self, mlp: MLP, theta: Tensor) -> None:
        self.mlp = mlp
        self.theta = theta
        self.dim = mlp.dim
        self.members = theta.shape[0]
        # Views stay right while an optimiser moves the parameters in place.
        self.layers = mlp.views(theta.detach())

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:  # noqa: ARG002
        """Score at x, shape (K, B, d); one noise level only, so ``sigma`` is ignored."""
        if self.theta.requires_grad and torch.is_grad_enabled():
            return self._jet(x, None, want_score=True)[1]
        padded, points = _pad(x, self.mlp)
        energy = self.mlp.kind == "energy"
        self.evaluations += points * (2 if energy else 1)
        plain = energy_jets.energy_score if energy else score_jets.direct_score
        return plain(self.mlp, self.layers, padded)[:, :points]

    def energy(self, x: Tensor) -> Tensor | None:
        """Energy E, shape (K, B), with -∇E the score; None for direct score networks."""
        return self._jet(x, None, want_score=False)[0] if self.mlp.kind == "energy" else None

    def along(self, x: Tensor, v: Tensor) -> Slices:
        """v·s and v·∇s·v for directions v of shape (K, M, B, d)."""
        _, _, first, second = self._jet(x, v, want_score=False)
        return Slices(first, second)

    def score_and_curvature(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The score (K, B, d), and v·∇s·v (K, M, B) for directions v of shape (K, M, B, d)."""
        _, score, _, second = self._jet(x, v, want_score=True)
        return score, second

    def _jet(self, x: Tensor, v: Tensor | None, *, want_score: bool) -> tuple[Tensor, ...]:
        padded, points = _pad(x, self.mlp)
        directions = None if v is None else _pad(v, self.mlp)[0]
        m = 0 if v is None else v.shape[1]
        training = self.theta.requires_grad and torch.is_grad_enabled()
        if self.mlp.kind == "energy":
            # Forward 1 + 2M; g 1; backward: along the score 1, adjoints 1 + M, weights 2 + M.
            passes = 1 + 2 * m + want_score + (3 + want_score + 2 * m if training else 0)
            jet = _energy_jet(self.mlp, self.layers, self.theta, padded, directions, want_score)
        else:
            passes = (1 + m) * (3 if training else 1)
            jet = _score_jet(self.mlp, self.layers, self.theta, padded, directions)
        self.evaluations += points * passes
        energy, score, first, second = jet
        return energy[..., :points], score[:, :points], first[..., :points], second[..., :points]


def _pad(x: Tensor, mlp: MLP) -> tuple[Tensor, int]:
    """Add points until each member fills whole vector registers, for equal rounding in any batch.

    Returns:
        The padded points, and how many there were.
    """
    points = x.shape[-2]
    unit = ALIGNMENT // math.gcd(mlp.width, ALIGNMENT)
    missing = -points % unit
    return (functional.pad(x, (0, 0, 0, missing)) if missing else x), points


class _EnergyJet(torch.autograd.Function):
    """(E, s, v·s, v·∇s·v) of an energy network; those not asked for are empty."""

    @staticmethod
    def forward(
        ctx: Any,
        mlp: MLP,
        layers: Layers,
        theta: Tensor,  # noqa: ARG004 (tells autograd whose gradient it is)
        x: Tensor,
        v: Tensor | None,
        want_score: bool,
    ) -> tuple[Tensor, ...]:
        tape, taylor = energy_jets.forward(mlp, layers, x, v)
        m = tape.directions
        score = energy_jets.gradient_of_energy(tape, to_input=True) if want_score else None
        ctx.tape = tape
        ctx.set_materialize_grads(False)
        return (
            taylor[:, m],
            x.new_empty((x.shape[0], 0, x.shape[2])) if score is None else score,
            taylor[:, m + 1 :].neg(),
            taylor[:, :m].neg(),
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *bars: Tensor | None) -> tuple[Tensor | None, ...]:
        energy, score, first, second = bars
        gradient = energy_jets.backward(ctx.tape, energy, score, first, second)
        return None, None, gradient, None, None, None


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
        ctx.v = x.new_empty((x.shape[0], 0, *x.shape[1:])) if v is None else v
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
