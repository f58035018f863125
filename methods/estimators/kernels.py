"""Radial kernels k(x, y) = f(u), u = |x - y|²/2, and the matrix kernels that follow from them.

A kernel states f and its first three derivatives; everything else is derived. Lengths are in units
of its bandwidth.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Radial(NamedTuple):
    """Values of f, f', f'' and f''' at half squared distances."""

    value: Tensor
    first: Tensor
    second: Tensor
    third: Tensor


def gaussian(u: Tensor) -> Radial:
    """Evaluate exp(-u)."""
    e = torch.exp(-u)
    return Radial(e, -e, e, -e)


def imq(u: Tensor) -> Radial:
    """Evaluate the inverse multiquadric (1 + 2u)^(-1/2), which has heavy tails."""
    b = 1 + 2 * u
    root = b.rsqrt()
    first = -root / b
    second = -3 * first / b
    return Radial(root, first, second, -5 * second / b)


KERNELS: dict[str, Callable[[Tensor], Radial]] = {"gaussian": gaussian, "imq": imq}
"""Radial kernels by name."""


def half_squares(x: Tensor, y: Tensor) -> Tensor:
    """Compute |x - y|²/2 for points (B, d) and (n, d): shape (B, n)."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square() / 2


class MatrixKernel(ABC):
    """A kernel Γ(x, y) of d × d matrices, for functions whose values are vectors.

    Points are float64: x (B, d), and centres y (n, d).

    Args:
        radial: Radial kernel that it follows from.
    """

    def __init__(self, radial: Callable[[Tensor], Radial]) -> None:
        self.radial = radial

    @abstractmethod
    def gram(self, y: Tensor) -> Tensor:
        """Compute Γ between all centres, as a matrix that acts on columns of ``solved`` shape."""

    @abstractmethod
    def columns(self, vectors: Tensor) -> Tensor:
        """Bring vectors at the centres (n, d) to the shape that ``gram`` acts on."""

    @abstractmethod
    def sum(self, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
        """Compute Σ_j Γ(x, y_j) c_j for vectors c (n, d): shape (B, d)."""

    @abstractmethod
    def divergence(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute ζ(x), the mean over j of the divergence of Γ(x, y_j) in y_j: shape (B, d)."""

    def potential(self, x: Tensor, y: Tensor, c: Tensor, a: float) -> Tensor | None:
        """Compute a function with the gradient Σ_j Γ(x, y_j) c_j + a·ζ(x), (B,); None without."""
        return None


class Diagonal(MatrixKernel):
    """Γ = k·1: each coordinate by itself."""

    def gram(self, y: Tensor) -> Tensor:
        """Compute k between all centres, (n, n)."""
        return self.radial(half_squares(y, y)).value

    def columns(self, vectors: Tensor) -> Tensor:
        """Return the vectors, (n, d)."""
        return vectors

    def sum(self, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
        """Compute Σ_j k(x, y_j) c_j."""
        return self.radial(half_squares(x, y)).value @ c

    def divergence(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the mean of ∇k(x, y_j) in y_j, which is -f'·(x - y_j)."""
        return _towards(x, y, -self.radial(half_squares(x, y)).first) / len(y)


class CurlFree(MatrixKernel):
    """Γ = ∇x∇yᵀ k = -f''·rrᵀ - f'·1, r = x - y: its functions are gradients."""

    def gram(self, y: Tensor) -> Tensor:
        """Compute Γ between all centres, (n·d, n·d)."""
        n, d = y.shape
        f = self.radial(half_squares(y, y))
        r = y.unsqueeze(1) - y
        blocks = -f.second[..., None, None] * r.unsqueeze(3) * r.unsqueeze(2)
        blocks -= f.first[..., None, None] * torch.eye(d, dtype=y.dtype)
        return blocks.transpose(1, 2).reshape(n * d, n * d)

    def columns(self, vectors: Tensor) -> Tensor:
        """Return the vectors one after the other, (n·d, 1)."""
        return vectors.reshape(-1, 1)

    def sum(self, x: Tensor, y: Tensor, c: Tensor) -> Tensor:
        """Compute Σ_j Γ(x, y_j) c_j."""
        f = self.radial(half_squares(x, y))
        return _towards(x, y, -f.second * _along(x, y, c)) - f.first @ c

    def divergence(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the mean of (2u·f''' + (d + 2)·f'')·(x - y_j)."""
        u = half_squares(x, y)
        f = self.radial(u)
        return _towards(x, y, 2 * u * f.third + (y.shape[1] + 2) * f.second) / len(y)

    def potential(self, x: Tensor, y: Tensor, c: Tensor, a: float) -> Tensor:
        """Compute -Σ_j f'·(x - y_j)·c_j + a times the mean of 2u·f'' + d·f'."""
        u = half_squares(x, y)
        f = self.radial(u)
        base = (2 * u * f.second + y.shape[1] * f.first).mean(1)
        return a * base - (f.first * _along(x, y, c)).sum(1)


def _towards(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Compute Σ_j w_j·(x - y_j) for weights (B, n): shape (B, d)."""
    return x * weights.sum(1, keepdim=True) - weights @ y


def _along(x: Tensor, y: Tensor, c: Tensor) -> Tensor:
    """Compute (x - y_j)·c_j, shape (B, n)."""
    return x @ c.T - (y * c).sum(1)
