"""Any ``torch.nn.Module`` as a network: K independent copies behind one flat parameter tensor."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .networks import ALIGNMENT


class WrongShapeError(ValueError):
    """A module returned something else than one energy, or one score, per point."""


class Part(NamedTuple):
    """Where a parameter or buffer lies in a member's flat parameters.

    Attributes:
        name: As the module calls it.
        offset: Of its first number.
        shape: Its shape.
        trained: Whether it is a parameter; buffers, and parameters that are frozen, stay as they
            were initialised.
        dtype: Of a buffer that holds no fractions, otherwise None.
    """

    name: str
    offset: int
    shape: tuple[int, ...]
    trained: bool
    dtype: torch.dtype | None


class ModuleNetwork:
    """A module called with points (B, inputs), once for each member.

    Args:
        make: Makes the module. Of the arguments ``inputs`` and ``outputs`` it is given those that
            it takes: the number of columns that it will be called with, and should return.
        dim: Dimension of the data.
        kind: ``energy``: the module returns (B,) or (B, 1); ``score``: (B, dim).
        conditional: Whether there is one more input column, for the noise level.

    Attributes:
        size: Length of a member's flat parameters, padding included.
    """

    def __init__(
        self,
        make: Callable[..., nn.Module],
        dim: int,
        kind: Literal["energy", "score"],
        *,
        conditional: bool = False,
    ) -> None:
        self.dim, self.kind, self.conditional = dim, kind, conditional
        known = {"inputs": dim + conditional, "outputs": 1 if kind == "energy" else dim}
        self._given = {name: value for name, value in known.items() if _takes(make, name)}
        self._make = make
        self.module = self._made(torch.Generator().manual_seed(0))
        self.parts, self.size = _laid_out(self.module)

    def init(
        self, generators: Sequence[torch.Generator], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Parameters as the module initialises itself, one member per generator: (K, size)."""
        flat = torch.zeros((len(generators), self.size), dtype=dtype)
        for k, generator in enumerate(generators):
            state = _state(self._made(generator))
            for part in self.parts:
                values = state[part.name].detach().flatten()
                flat[k, part.offset :][: len(values)] = values
        return flat

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """The tensors of ``flat`` by name, without padding, leading member axis kept."""
        return {
            part.name: flat[:, part.offset :][:, : math.prod(part.shape)].reshape(-1, *part.shape)
            for part in self.parts
        }

    def pack(self, named: dict[str, Tensor]) -> Tensor:
        """Inverse of ``named``: the flat parameters, shape (K, size)."""
        first = next(iter(named.values()))
        flat = first.new_zeros((first.shape[0], self.size))
        for part in self.parts:
            flat[:, part.offset :][:, : math.prod(part.shape)] = named[part.name].reshape(
                len(flat), -1
            )
        return flat

    def tensors(self, row: Tensor) -> dict[str, Tensor]:
        """What the module of one member computes with, from its flat parameters (size,)."""
        spans = [math.prod(part.shape) for part in self.parts]
        ends = [*(part.offset for part in self.parts[1:]), self.size]
        cuts = [
            n
            for part, span, end in zip(self.parts, spans, ends, strict=True)
            for n in (span, end - part.offset - span)
        ]
        pieces = row.split_with_sizes(cuts)[::2]
        found = {}
        for part, piece in zip(self.parts, pieces, strict=True):
            piece = piece.view(part.shape)
            kept = piece if part.trained else piece.detach().clone()
            found[part.name] = kept if part.dtype is None else kept.to(part.dtype)
        return found

    def __call__(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        """Output of one member at points (B, inputs): energies (B,), or scores (B, dim).

        Raises:
            WrongShapeError: The module returns another shape.
        """
        out = functional_call(self.module, tensors, (x,))
        wanted = (len(x),) if self.kind == "energy" else (len(x), self.dim)
        if isinstance(out, Tensor) and self.kind == "energy" and out.shape == (len(x), 1):
            out = out.squeeze(1)
        if not isinstance(out, Tensor) or out.shape != wanted:
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise WrongShapeError(
                f"the network returned {got} for points of shape {tuple(x.shape)} where {wanted} "
                f'is right for kind = "{self.kind}"'
            )
        return out

    def _made(self, generator: torch.Generator) -> nn.Module:
        """A module that draws its parameters from ``generator``."""
        # Modules know no other source than torch's global generator, so it is lent the state.
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            made = self._make(**self._given)
            generator.set_state(torch.get_rng_state())
        finally:
            torch.set_rng_state(before)
        return made


def _takes(make: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):
        return False


def _state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, then buffers."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _laid_out(module: nn.Module) -> tuple[tuple[Part, ...], int]:
    trained = {name for name, tensor in module.named_parameters() if tensor.requires_grad}
    parts, offset = [], 0
    for name, tensor in _state(module).items():
        dtype = None if tensor.is_floating_point() else tensor.dtype
        parts.append(Part(name, offset, tuple(tensor.shape), name in trained, dtype))
        offset += -(-max(tensor.numel(), 1) // ALIGNMENT) * ALIGNMENT
    return tuple(parts), offset
