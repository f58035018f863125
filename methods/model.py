"""What a learner gives and a sampler takes: a score, and for training its derivatives."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from . import score_jets
from .energy_jets import EnergyJet, EnergyScorer
from .networks import ALIGNMENT, MLP, Layers

# Numbers in a tile of activations: with its buffers it stays in a core's own cache.
_TILE = 65536


class Model(ABC):
    """Anything with a score.

    Attributes:
        dim: Dimension d.
        members: Number K of models side by side.
        evaluations: Points pushed through each member so far, a pass forward or backward
            counting one each.
        is_truth: Whether score and energy are the data's own, exactly.
        level: Noise level of the density that the model means by "the data": the smallest one
            whose score it has. 0 for a model of the data themselves.
    """

    dim: int
    members: int
    evaluations: int = 0
    is_truth: bool = False
    level: float = 0.0

    @abstractmethod
    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Score at x, (K, B, d) -> (K, B, d).

        Args:
            x: Points.
            sigma: Noise level whose smoothed density is meant; models that know only one level
                ignore it, others take the nearest that they have.
        """

    def noise(self, sigma: float) -> float:  # noqa: ARG002 (part of the interface)
        """Noise level of the density whose score ``score(x, sigma)`` gives."""
        return self.level

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:  # noqa: ARG002
        """Energy up to a constant, (K, B, d) -> (K, B); None if the model has none."""
        return None

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Both at once, which costs networks less than one after the other."""
        return self.energy(x), self.score(x)


class Slices(NamedTuple):
    """First and second derivative of log p along directions v, each (K, M, B).

    Attributes:
        first: v·s.
        second: v·∇s·v.
    """

    first: Tensor
    second: Tensor


# Standard deviation of the data for which inputs and outputs of conditional networks are of order
# one; any number of that order serves.
DATA_SCALE = 2.0


class NetworkModel(Model):
    """K perceptrons of one architecture, differentiable once with respect to ``theta``.

    A conditional network N has the noise level as one more input, (log σ)/4, and gives

        E(x, σ) = |x|²/2(σ² + 4) + (2/σ) N(x/√(σ² + 4), log σ),

    or the score of that form (Karras et al. 2022, section 5, for data of standard deviation 2):
    at high noise the score is then right without any learning, and what is left to learn is of
    order one at every level. The other common choice, N(x)/σ without the input (Song and Ermon
    2020), relies on x telling how noisy it is, which points of the plane do not.

    Args:
        mlp: Architecture.
        theta: Flat parameters, shape (K, mlp.size).
        level: See ``Model``.
    """

    def __init__(self, mlp: MLP, theta: Tensor, level: float = 0.0) -> None:
        self.mlp = mlp
        self.theta = theta
        self.level = level
        self.dim = mlp.dim
        self.members = theta.shape[0]
        # Views stay right while an optimiser moves the parameters in place.
        self.layers = mlp.views(theta.detach())
        # Jets that wait for the next step, by number of points and directions.
        self._jets: dict[tuple[int, int], list[EnergyJet]] = {}
        self._scorers: dict[int, EnergyScorer] = {}

    def noise(self, sigma: float) -> float:
        """The level itself if the network is told it."""
        return max(sigma, self.level) if self.mlp.conditional else self.level

    def score(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """Score at x, shape (K, B, d).

        Args:
            x: Points.
            sigma: Noise level, of each point (K, B, 1) in training; of account only if the
                network is conditional.
        """
        if not self.mlp.conditional:
            return self._score(x)
        noise = self._levels(x, sigma)
        spread = (noise.square() + DATA_SCALE**2).sqrt()
        raw = self._score(_conditioned(x, noise, spread))[..., : self.dim]
        return raw * (DATA_SCALE / (noise * spread)) - x / spread.square()

    def _levels(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        if isinstance(sigma, Tensor):
            return sigma
        return x.new_full((*x.shape[:-1], 1), self.noise(sigma))

    def _score(self, x: Tensor) -> Tensor:
        if self.theta.requires_grad and torch.is_grad_enabled():
            return self._jet(x, None, "score")[1]
        padded, points = _pad(x, self.mlp)
        if self.mlp.kind == "score":
            self.evaluations += points
            return score_jets.direct_score(self.mlp, self.layers, padded)[:, :points]
        self.evaluations += 2 * points
        out = torch.empty_like(padded)
        tile = max(ALIGNMENT, _TILE // self.mlp.width // ALIGNMENT * ALIGNMENT)
        for start in range(0, padded.shape[1], tile):
            part = padded[:, start : start + tile]
            size = part.shape[1]
            if size not in self._scorers:
                self._scorers[size] = EnergyScorer(self.mlp, self.layers, size)
            self._scorers[size](part, out[:, start : start + tile])
        return out[:, :points]

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Energy E, shape (K, B), with -∇E the score; None for direct score networks."""
        if self.mlp.kind != "energy":
            return None
        if not self.mlp.conditional:
            return self._jet(x, None, "energy")[0]
        noise = self._levels(x, sigma)
        spread = (noise.square() + DATA_SCALE**2).sqrt()
        raw = self._jet(_conditioned(x, noise, spread), None, "energy")[0]
        square = (x / spread).square().sum(-1)
        return 0.5 * square + raw * (DATA_SCALE / noise).squeeze(-1)

    @property
    def has_energy(self) -> bool:
        """Whether the network is an energy."""
        return self.mlp.kind == "energy"

    def energies(self, x: Tensor) -> Tensor:
        """``energy`` of a network that has one, shape (K, B)."""
        return self._jet(x, None, "energy")[0]

    def energy_and_score(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """Energy (K, B) and score (K, B, d), from one pass where the network allows it."""
        if self.mlp.kind != "energy" or self.mlp.conditional:
            return super().energy_and_score(x)
        energy, score, _, _ = self._jet(x, None, "energy", "score")
        return energy, score

    def along(self, x: Tensor, v: Tensor) -> Slices:
        """v·s and v·∇s·v for directions v of shape (K, M, B, d)."""
        _, _, first, second = self._jet(x, v, "slices")
        return Slices(first, second)

    def score_and_curvature(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The score (K, B, d), and v·∇s·v (K, M, B) for directions v of shape (K, M, B, d)."""
        _, score, _, second = self._jet(x, v, "slices", "score")
        return score, second

    def _jet(self, x: Tensor, v: Tensor | None, *wanted: str) -> tuple[Tensor, ...]:
        """(E, s, v·s, v·∇s·v); those of an energy network that are not wanted are empty."""
        padded, points = _pad(x, self.mlp)
        directions = None if v is None else _pad(v, self.mlp)[0]
        m = 0 if v is None else v.shape[1]
        training = self.theta.requires_grad and torch.is_grad_enabled()
        if self.mlp.kind == "energy":
            # Forward 1 + 2M; g 1; backward: along the score 1, adjoints 1 + M, weights 2 + M.
            both = int("score" in wanted)
            passes = 1 + 2 * m + both + (3 + both + 2 * m if training else 0)
            lease = _Lease(self, padded.shape[1], m)
            jet = _energy_jet(lease, self.theta, padded, directions, wanted)
        else:
            passes = (1 + m) * (3 if training else 1)
            jet = _score_jet(self.mlp, self.layers, self.theta, padded, directions)
        self.evaluations += points * passes
        energy, score, first, second = jet
        return energy[..., :points], score[:, :points], first[..., :points], second[..., :points]


def _conditioned(x: Tensor, noise: Tensor, spread: Tensor) -> Tensor:
    """What a conditional network is given: (K, B, d + 1)."""
    return torch.cat([x / spread, noise.log() / 4], -1)


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

    def __init__(self, model: NetworkModel, points: int, directions: int) -> None:
        self._waiting = model._jets.setdefault((points, directions), [])
        if self._waiting:
            self.jet = self._waiting.pop()
        else:
            self.jet = EnergyJet(model.mlp, model.layers, points, directions)

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
