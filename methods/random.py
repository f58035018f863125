"""Random numbers for K members side by side, each from its own stream."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

SliceKind = Literal["gaussian", "rademacher", "sphere", "orthogonal"]

# Numbers are drawn for this many calls at once: one call of a generator costs as much as a thousand
# numbers, and a training step needs only a few hundred.
AHEAD = 64


class MemberRandom:
    """One random stream per member, drawn ahead in blocks.

    A member's numbers depend only on its own generator and on the sequence of calls, not on the
    other members.

    Args:
        generators: One CPU generator for each of the K members.
        device: Where the numbers are placed; they are drawn on the CPU, so that every device gets
            the same numbers.
        dtype: Floating-point type of the numbers.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._generators = list(generators)
        self.device = torch.device(device)
        self._dtype = dtype
        self._blocks: dict[tuple[str, tuple[int, ...], int], list[Tensor]] = {}

    @property
    def members(self) -> int:
        """Number K of members."""
        return len(self._generators)

    def keep(self, members: Sequence[int]) -> None:
        """Drop the streams of all other members; the remaining streams continue unchanged."""
        self._generators = [self._generators[k] for k in members]
        index = torch.tensor(members, dtype=torch.long, device=self.device)
        for key, block in self._blocks.items():
            self._blocks[key] = [step.index_select(0, index) for step in block]

    def next_steps(self, member: int, steps: int) -> "MemberRandom":
        """The stream of a member for so many calls at once, which are the first axis of a draw."""
        return _Steps(self._generators[member], steps, self._dtype)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, shape (K, *shape)."""
        return self._draw("normal", shape)

    def normal_like(self, x: Tensor) -> Tensor:
        """Draw standard normal numbers of the shape of ``x`` (K, …)."""
        return self._draw("normal", tuple(x.shape[1:]))

    def uniform(self, *shape: int) -> Tensor:
        """Draw numbers uniform on [0, 1), shape (K, *shape)."""
        return self._draw("uniform", shape)

    def signs(self, *shape: int) -> Tensor:
        """Draw Rademacher numbers, -1 or 1, shape (K, *shape)."""
        return self._draw("signs", shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Draw integers uniform on 0 … high - 1, shape (K, *shape)."""
        return self._draw("integers", shape, high)

    def slices(self, kind: SliceKind, count: int, x: Tensor) -> Tensor:
        """Draw projection vectors v with E[v vᵀ] = I for sliced objectives: (K, count, B, d).

        Args:
            kind: ``gaussian``; ``rademacher``; ``sphere``, uniform with |v| = √d (Song et al.
                2019, section 3.1: a unit sphere would scale the trace by 1/d); or ``orthogonal``,
                like ``sphere``, but the first d vectors of a point are orthogonal to each other,
                and so are the next d, and so on: d vectors give every trace exactly.
            count: Number of vectors per point; independent except for ``orthogonal``.
            x: Points, shape (K, B, d).
        """
        shape = (count, *x.shape[1:])
        if kind == "rademacher":
            return self.signs(*shape)
        if kind == "orthogonal":
            return self._orthogonal(count, x)
        v = self.normal(*shape)
        if kind == "sphere":
            v = v * (math.sqrt(x.shape[-1]) / v.square().sum(-1, keepdim=True).sqrt())
        return v

    def _orthogonal(self, count: int, x: Tensor) -> Tensor:
        """Rows of uniformly random orthogonal matrices times √d."""
        dim, groups = x.shape[-1], -(-count // x.shape[-1])
        if dim == 2:
            angle = self.uniform(groups, x.shape[1]).mul_(2 * math.pi)
            a, b = angle.cos() * math.sqrt(2), angle.sin() * math.sqrt(2)
            rows = torch.stack([torch.stack([a, b], -1), torch.stack([-b, a], -1)], 2)
        else:
            q, r = torch.linalg.qr(self.normal(groups, x.shape[1], dim, dim))
            # Without these signs the matrices are orthogonal, but not uniformly distributed.
            q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2) * math.sqrt(dim)
            rows = q.transpose(2, 3)
        return rows.flatten(1, 2)[:, :count].contiguous()

    def _draw(self, kind: str, shape: tuple[int, ...], high: int = 2) -> Tensor:
        key = (kind, shape, high)
        block = self._blocks.get(key)
        if not block:
            ahead = max(1, min(AHEAD, 4_000_000 // max(1, math.prod(shape))))
            drawn = torch.stack(
                [self._raw(kind, (ahead, *shape), high, g) for g in self._generators], dim=1
            )
            # Reversed, so that the next step is popped off the end.
            block = self._blocks[key] = list(drawn.to(self.device).unbind())[::-1]
        return block.pop()

    def _raw(
        self, kind: str, shape: tuple[int, ...], high: int, generator: torch.Generator
    ) -> Tensor:
        if kind == "normal":
            return torch.randn(shape, generator=generator, dtype=self._dtype)
        if kind == "uniform":
            return torch.rand(shape, generator=generator, dtype=self._dtype)
        drawn = torch.randint(high, shape, generator=generator)
        return drawn if kind == "integers" else drawn.to(self._dtype).mul_(2).sub_(1)


class _Steps(MemberRandom):
    """The numbers of several calls of one stream, with the calls as members."""

    def __init__(self, generator: torch.Generator, steps: int, dtype: torch.dtype) -> None:
        super().__init__([generator], "cpu", dtype)
        self._steps = steps

    def _draw(self, kind: str, shape: tuple[int, ...], high: int = 2) -> Tensor:
        return self._raw(kind, (self._steps, *shape), high, self._generators[0])
