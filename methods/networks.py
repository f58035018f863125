"""Multilayer perceptrons with K independent members behind one flat parameter tensor."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# Every tensor of a member starts at a multiple of this many numbers, so that vector instructions
# meet each member at the same alignment and its sums round the same whoever stands beside it.
ALIGNMENT = 32


Layers = list[tuple[Tensor, Tensor]]


class Slot(NamedTuple):
    """Where one weight or bias lies in a member's flat parameters."""

    name: str
    offset: int
    shape: tuple[int, ...]


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
    """

    dim: int = 2
    kind: Literal["energy", "score"] = "energy"
    width: int = 128
    depth: int = 2
    activation: Literal["swish", "softplus"] = "swish"
    conditional: bool = False

    @property
    def widths(self) -> list[int]:
        """Sizes of all layers from input to output."""
        outputs = 1 if self.kind == "energy" else self.dim
        return [self.dim + self.conditional, *[self.width] * self.depth, outputs]

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Weight and bias of each layer in order, aligned."""
        found, offset = [], 0
        for i, (fan_in, fan_out) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            for name, shape in ((f"weight{i}", (fan_in, fan_out)), (f"bias{i}", (1, fan_out))):
                found.append(Slot(name, offset, shape))
                offset += -(-math.prod(shape) // ALIGNMENT) * ALIGNMENT
        return tuple(found)

    @cached_property
    def size(self) -> int:
        """Length of a member's flat parameters, padding included."""
        last = self.slots[-1]
        return last.offset + -(-math.prod(last.shape) // ALIGNMENT) * ALIGNMENT

    @cached_property
    def _spans(self) -> list[int]:
        """Lengths that cut flat parameters into tensors and the padding behind each."""
        ends = [*(slot.offset for slot in self.slots[1:]), self.size]
        lengths = [math.prod(slot.shape) for slot in self.slots]
        starts = (slot.offset for slot in self.slots)
        paddings = (e - s - n for s, n, e in zip(starts, lengths, ends, strict=True))
        return [n for pair in zip(lengths, paddings, strict=True) for n in pair]

    def views(self, flat: Tensor) -> Layers:
        """Weights (K, in, out) and biases (K, 1, out) as views into ``flat`` of shape (K, size)."""
        spans = flat.split_with_sizes(self._spans, 1)[::2]
        parts = [p.view(-1, *slot.shape) for p, slot in zip(spans, self.slots, strict=True)]
        return list(zip(parts[::2], parts[1::2], strict=True))

    def blank(self, like: Tensor) -> Tensor:
        """Flat parameters of as many members as ``like`` has; only the padding is set, to zero."""
        flat = like.new_empty((like.shape[0], self.size))
        for padding in flat.split_with_sizes(self._spans, 1)[1::2]:
            if padding.shape[1]:
                padding.zero_()
        return flat

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """The tensors of ``flat`` by name, without padding, leading member axis kept."""
        parts = [part for layer in self.views(flat) for part in layer]
        return dict(zip((slot.name for slot in self.slots), parts, strict=True))

    def pack(self, named: dict[str, Tensor]) -> Tensor:
        """Inverse of ``named``: the flat parameters, shape (K, size)."""
        first = next(iter(named.values()))
        flat = first.new_zeros((first.shape[0], self.size))
        for name, view in self.named(flat).items():
            view.copy_(named[name])
        return flat

    def init(
        self, generators: Sequence[torch.Generator], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Random parameters, one member per generator: uniform within ±1/√fan_in, shape (K, size).

        This is the default of ``torch.nn.Linear``, which the seed code bases use.
        """
        flat = torch.zeros((len(generators), self.size), dtype=dtype)
        for k, generator in enumerate(generators):
            for weight, bias in self.views(flat[k : k + 1]):
                bound = 1 / math.sqrt(weight.shape[1])
                weight.uniform_(-bound, bound, generator=generator)
                bias.uniform_(-bound, bound, generator=generator)
        return flat


def product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product of each member, (K, R, n) times (K, n, c): (K, R, c).

    Batched products of vectors round differently from one batch size to the next; on the CPU those
    are made one member at a time, so that a member's numbers never depend on K.
    """
    if left.device.type == "cpu" and 1 in (left.shape[1], left.shape[2], right.shape[2]):
        return torch.stack([a @ b for a, b in zip(left, right, strict=True)])
    return torch.bmm(left, right)


def product_rows(rows: Tensor, weight: Tensor) -> Tensor:
    """Every row of (K, R, B, in) times (K, in, out), as one product a member: (K, R, B, out)."""
    return product(rows.flatten(1, 2), weight).view(*rows.shape[:3], -1)


def product_into(out: Tensor, left: Tensor, right: Tensor) -> None:
    """``product`` written to ``out``, a contiguous tensor of shape (K, R, c)."""
    if left.device.type == "cpu" and 1 in (left.shape[1], left.shape[2], right.shape[2]):
        weights_into(list(out), list(left), list(right))
    else:
        torch.bmm(left, right, out=out)


def weights_into(out: list[Tensor], left: list[Tensor], right: list[Tensor]) -> None:
    """Matrix products member by member, for results that lie apart in memory."""
    for made, a, b in zip(out, left, right, strict=True):
        torch.mm(a, b, out=made)
