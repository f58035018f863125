"""Any ``torch.nn.Module`` as a network: K independent copies behind one flat parameter tensor."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .networks import ALIGNMENT, GaussianBase, Prediction


class WrongShapeError(ValueError):
    """A module did not return one energy, or one score, per point."""


class Part(NamedTuple):
    """Position of a parameter or buffer in a member's flat parameters, from index ``offset`` on.

    Attributes:
        trained: Whether it is a parameter; buffers and frozen parameters keep their initial
            values.
        dtype: Type of a buffer of integers or booleans, otherwise None.
    """

    name: str
    offset: int
    shape: tuple[int, ...]
    trained: bool
    dtype: torch.dtype | None


class ModuleNetwork:
    """A module called with points (B, inputs), once for each member.

    Args:
        make: Makes the module. It receives ``inputs`` and ``outputs``, the numbers of columns of
            the module's input and output, if it has parameters of these names.
        dim: Dimension of the data.
        kind: ``energy``: the module returns (B,) or (B, 1); ``score``: (B, dim).
        conditional: Whether there is one more input column, for the noise level.
        base: Density whose energy and score are added to the module's.
        predicts: What the output of a conditional network is.

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
        base: GaussianBase | None = None,
        predicts: Prediction = "velocity",
    ) -> None:
        self.predicts = predicts
        self.dim, self.kind, self.conditional, self.base = dim, kind, conditional, base
        columns = {"inputs": dim + conditional, "outputs": 1 if kind == "energy" else dim}
        self._arguments = {name: value for name, value in columns.items() if _takes(make, name)}
        self._make = make
        self.module = self._new_module(torch.Generator().manual_seed(0))
        self.parts, self.size = _layout(self.module)

    def init(
        self, generators: Sequence[torch.Generator], dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Initialise one member per generator as the module does itself: parameters (K, size)."""
        flat = torch.zeros((len(generators), self.size), dtype=dtype)
        for k, generator in enumerate(generators):
            state = _state(self._new_module(generator))
            for part in self.parts:
                values = state[part.name].detach().flatten()
                flat[k, part.offset :][: len(values)] = values
        return flat

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Split ``flat`` (K, size) into tensors (K, …) by name, without padding."""
        return {
            part.name: flat[:, part.offset :][:, : math.prod(part.shape)].reshape(-1, *part.shape)
            for part in self.parts
        }

    def pack(self, named: dict[str, Tensor]) -> Tensor:
        """Join named tensors into flat parameters (K, size), the inverse of ``named``."""
        first = next(iter(named.values()))
        flat = first.new_zeros((first.shape[0], self.size))
        for part in self.parts:
            flat[:, part.offset :][:, : math.prod(part.shape)] = named[part.name].reshape(
                len(flat), -1
            )
        return flat

    def tensors(self, row: Tensor) -> dict[str, Tensor]:
        """Make the parameters and buffers of one member from its flat parameters (size,)."""
        spans = [math.prod(part.shape) for part in self.parts]
        ends = [*(part.offset for part in self.parts[1:]), self.size]
        cuts = [
            n
            for part, span, end in zip(self.parts, spans, ends, strict=True)
            for n in (span, end - part.offset - span)
        ]
        pieces = row.split_with_sizes(cuts)[::2]
        tensors = {}
        for part, piece in zip(self.parts, pieces, strict=True):
            piece = piece.view(part.shape)
            tensor = piece if part.trained else piece.detach().clone()
            tensors[part.name] = tensor if part.dtype is None else tensor.to(part.dtype)
        return tensors

    def __call__(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        """Evaluate one member at points (B, inputs): energies (B,), or scores (B, dim).

        Raises:
            WrongShapeError: The module returns another shape.
        """
        out = functional_call(self.module, tensors, (x,))
        right = (len(x),) if self.kind == "energy" else (len(x), self.dim)
        if isinstance(out, Tensor) and self.kind == "energy" and out.shape == (len(x), 1):
            out = out.squeeze(1)
        if not isinstance(out, Tensor) or out.shape != right:
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise WrongShapeError(
                f"the network returned {got} for points of shape {tuple(x.shape)} where {right} "
                f'is right for kind = "{self.kind}"'
            )
        return out

    def _new_module(self, generator: torch.Generator) -> nn.Module:
        """Make a module that draws its parameters from ``generator``."""
        # Modules draw from torch's global generator only, so that takes over the state meanwhile.
        before = torch.get_rng_state()
        torch.set_rng_state(generator.get_state())
        try:
            module = self._make(**self._arguments)
            generator.set_state(torch.get_rng_state())
        finally:
            torch.set_rng_state(before)
        return module


def _takes(make: Callable[..., object], name: str) -> bool:
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):
        return False


def _state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters of a module, then its buffers."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _layout(module: nn.Module) -> tuple[tuple[Part, ...], int]:
    trained = {name for name, tensor in module.named_parameters() if tensor.requires_grad}
    parts, offset = [], 0
    for name, tensor in _state(module).items():
        dtype = None if tensor.is_floating_point() else tensor.dtype
        parts.append(Part(name, offset, tuple(tensor.shape), name in trained, dtype))
        offset += -(-max(tensor.numel(), 1) // ALIGNMENT) * ALIGNMENT
    return tuple(parts), offset
