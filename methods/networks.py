"""Multilayer perceptrons with K independent members behind one flat parameter tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# Every tensor of a member starts at a multiple of this many numbers, so that vector instructions
# see each member at the same alignment, and its sums round identically in any batch of members.
ALIGNMENT = 32

# Hidden layers are padded to a multiple of this many units, with weights of zero: products of 304
# columns take a tenth less time than those of 300.
UNITS = 16


Layers = list[tuple[Tensor, Tensor]]

Prediction = Literal["velocity", "noise", "data", "flow"]
"""What the output of a noise-conditional network is; see ``network_model.Preconditioning``."""


class GaussianBase(NamedTuple):
    """The density N(centre, spread² I), which a network's density may be a multiple of.

    Attributes:
        centre: Mean, d numbers.
        spread: Standard deviation of every coordinate.
    """

    centre: tuple[float, ...]
    spread: float

    @classmethod
    def fitted(cls, points: Tensor) -> "GaussianBase":
        """Take mean and variance, averaged over coordinates, of points (n, d)."""
        points = points.double()
        return cls(tuple(points.mean(0).tolist()), float(points.var(0).mean().sqrt()))

    def energy_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute |x - m|²/2s² and -(x - m)/s² at x (K, B, d): (K, B) and (K, B, d)."""
        offset = (x - x.new_tensor(self.centre)) / self.spread
        return 0.5 * offset.square().sum(-1), offset / -self.spread


class WeightSlot(NamedTuple):
    """Position of one weight or bias (``weight0``, ``bias0``, …) in a member's flat parameters.

    It begins at index ``offset`` and is the top left corner of the padded shape ``room``.
    """

    name: str
    offset: int
    shape: tuple[int, int]
    room: tuple[int, int]


@dataclass(frozen=True)
class MLP:
    """Shape of a perceptron R^dim -> R (energy) or R^dim -> R^dim (score).

    Swish is x·sigmoid(x) without a learned slope: the slope only rescales the weights before
    and after it, so the functions that can be represented are the same.

    Attributes:
        dim: Dimension of the input.
        kind: ``energy`` or ``score``.
        width: Units per hidden layer.
        depth: Number of hidden layers.
        activation: ``swish`` or ``softplus``.
        conditional: Whether there is one more input, for the noise level.
        base: Density whose energy and score are added to the network's.
        predicts: What the output of a conditional network is.
    """

    dim: int = 2
    kind: Literal["energy", "score"] = "energy"
    width: int = 128
    depth: int = 2
    activation: Literal["swish", "softplus"] = "swish"
    conditional: bool = False
    base: GaussianBase | None = None
    predicts: Prediction = "velocity"

    @property
    def widths(self) -> list[int]:
        """Sizes of all layers from input to output."""
        outputs = 1 if self.kind == "energy" else self.dim
        return [self.dim + self.conditional, *[self.width] * self.depth, outputs]

    @cached_property
    def room(self) -> int:
        """Units of a hidden layer, padding included."""
        return -(-self.width // UNITS) * UNITS

    @cached_property
    def slots(self) -> tuple[WeightSlot, ...]:
        """Weight and bias of each layer in order, aligned."""
        rooms = [self.widths[0], *[self.room] * self.depth, self.widths[-1]]
        slots, offset = [], 0
        for i, (sizes, room) in enumerate(zip(pairwise(self.widths), pairwise(rooms), strict=True)):
            weight, bias = (f"weight{i}", sizes, room), (f"bias{i}", (1, sizes[1]), (1, room[1]))
            for name, shape, space in (weight, bias):
                slots.append(WeightSlot(name, offset, shape, space))
                offset += -(-math.prod(space) // ALIGNMENT) * ALIGNMENT
        return tuple(slots)

    @cached_property
    def size(self) -> int:
        """Length of a member's flat parameters, padding included."""
        last = self.slots[-1]
        return last.offset + -(-math.prod(last.room) // ALIGNMENT) * ALIGNMENT

    @cached_property
    def _spans(self) -> list[int]:
        """Lengths that split flat parameters into tensors and the padding after each."""
        ends = [*(slot.offset for slot in self.slots[1:]), self.size]
        lengths = [math.prod(slot.room) for slot in self.slots]
        starts = (slot.offset for slot in self.slots)
        paddings = (e - s - n for s, n, e in zip(starts, lengths, ends, strict=True))
        return [n for pair in zip(lengths, paddings, strict=True) for n in pair]

    def views(self, flat: Tensor) -> Layers:
        """Return weights (K, in, out) and biases (K, 1, out) as views of ``flat`` (K, size)."""
        spans = flat.split_with_sizes(self._spans, 1)[::2]
        parts = [
            span.view(-1, *slot.room)[:, : slot.shape[0], : slot.shape[1]]
            for span, slot in zip(spans, self.slots, strict=True)
        ]
        return list(zip(parts[::2], parts[1::2], strict=True))

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Split ``flat`` (K, size) into tensors (K, …) by name, without padding."""
        parts = [part for layer in self.views(flat) for part in layer]
        return dict(zip((slot.name for slot in self.slots), parts, strict=True))

    def pack(self, named: dict[str, Tensor]) -> Tensor:
        """Join named tensors into flat parameters (K, size), the inverse of ``named``."""
        first = next(iter(named.values()))
        flat = first.new_zeros((first.shape[0], self.size))
        for name, view in self.named(flat).items():
            view.copy_(named[name])
        return flat

    def init(
        self, generators: Sequence[torch.Generator], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw parameters (K, size), one member per generator, uniform within ±1/√fan_in.

        This is the default of ``torch.nn.Linear``.
        """
        flat = torch.zeros((len(generators), self.size), dtype=dtype)
        for k, generator in enumerate(generators):
            for weight, bias in self.views(flat[k : k + 1]):
                bound = 1 / math.sqrt(weight.shape[1])
                for part in (weight, bias):
                    drawn = torch.empty(part.shape, dtype=dtype)
                    part.copy_(drawn.uniform_(-bound, bound, generator=generator))
        return flat


def product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply matrices of each member, (K, R, n) times (K, n, c): (K, R, c).

    Batched products use different code, which rounds differently, for different numbers of members.
    On the CPU they are computed one member at a time, so a member's numbers never depend on K.
    """
    if left.device.type == "cpu":
        return torch.stack([a @ b for a, b in zip(left, right, strict=True)])
    return torch.bmm(left, right)


def product_rows(rows: Tensor, weight: Tensor) -> Tensor:
    """Multiply rows (K, R, B, in) with (K, in, out), one product per member: (K, R, B, out)."""
    return product(rows.flatten(1, 2), weight).view(*rows.shape[:3], -1)
