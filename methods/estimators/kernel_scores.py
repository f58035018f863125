"""Scores in the space of a matrix kernel: Stein, SSGE and the kernel exponential family.

Over functions s of the kernel's space the risk ½E|s|² + E div s (Hyvärinen 2005) has its gradient
at Ls + ζ, with the kernel's integral operator L and ζ(x) = E div Γ(x, ·). A regularised inverse of
L gives the estimate -g(L)ζ (Zhou, Shi and Zhu 2020, "Nonparametric score estimators"):

- Tikhonov, (L + λ)⁻¹: ŝ = Σ_j Γ(·, x_j) c_j - ζ/λ with (K + nλ)c = ζ/λ. With a diagonal kernel
  this is the Stein estimator of Li and Turner (2018), and with a curl-free one the kernel
  exponential family (Sriperumbudur et al. 2017);
- spectral cut-off, which inverts L on its leading eigenvectors: ŝ = Σ_j Γ(·, x_j) c_j with
  c = -n Σ_i u_i (u_i·ζ)/μ_i². With a diagonal kernel this is SSGE (Shi, Sun and Zhu 2018).
"""

from typing import NamedTuple

import torch

from .. import methods
from .base import Any, Array, BaseTrial, ClassVar, Estimator, Generator, Model, Tensor
from .kernels import KERNELS, CurlFree, Diagonal, MatrixKernel, half_squares

# Kernels are evaluated at this many pairs at once, which stay in the cache.
_PAIRS = 1 << 17


class Solution(NamedTuple):
    """The function Σ_j Γ(·, x_j) c_j + a·ζ, with vectors ``c`` (n, d)."""

    c: Tensor
    a: float


def tikhonov(kernel: MatrixKernel, y: Tensor, strength: float) -> Solution:
    """Solve (K + nλ)c = ζ/λ with λ = ``strength``, for centres y (n, d)."""
    zeta = kernel.columns(kernel.divergence(y, y))
    gram = kernel.gram(y)
    gram.diagonal().add_(len(y) * strength)
    factor = torch.linalg.cholesky(gram)
    c = torch.cholesky_solve(zeta / strength, factor)
    return Solution(c.reshape(y.shape), -1 / strength)


def cut_off(kernel: MatrixKernel, y: Tensor, share: float) -> Solution:
    """Invert on the eigenvectors whose eigenvalues are at least ``share`` of the largest."""
    zeta = kernel.columns(kernel.divergence(y, y))
    values, vectors = torch.linalg.eigh(kernel.gram(y))
    kept = values >= share * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    c = -len(y) * vectors @ ((vectors.T @ zeta) / values.square().unsqueeze(1))
    return Solution(c.reshape(y.shape), 0.0)


class KernelScore(Model):
    """The estimated score; one member.

    Args:
        kernel: Matrix kernel in units of the bandwidth.
        centres: Its points, float64 of shape (n, d), in units of the data.
        bandwidth: Length.
        solution: Its coefficients.
    """

    members = 1

    def __init__(
        self, kernel: MatrixKernel, centres: Tensor, bandwidth: float, solution: Solution
    ) -> None:
        self.dim = centres.shape[1]
        self._kernel, self._bandwidth, self._solution = kernel, bandwidth, solution
        self._origin = centres.mean(0)
        self._centres = (centres - self._origin) / bandwidth

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Compute the score, the same at every level."""
        self.evaluations += x.shape[1]
        c, a = self._solution
        parts = []
        for part in self._parts(x):
            value = self._kernel.sum(part, self._centres, c)
            if a:
                value += a * self._kernel.divergence(part, self._centres)
            parts.append(value / self._bandwidth)
        return torch.cat(parts).to(x.dtype).unsqueeze(0)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor | None:
        """Compute minus the log density up to a constant; None if the score is no gradient."""
        parts = []
        for part in self._parts(x):
            value = self._kernel.potential(part, self._centres, *self._solution)
            if value is None:
                return None
            parts.append(-value)
        return torch.cat(parts).to(x.dtype).unsqueeze(0)

    def _parts(self, x: Tensor) -> tuple[Tensor, ...]:
        near = (x[0].double() - self._origin) / self._bandwidth
        parts: tuple[Tensor, ...] = near.split(max(1, _PAIRS // len(self._centres)))
        return parts


class KernelMethod(Estimator):
    """An estimator in the space of a matrix kernel.

    The bandwidth is a multiple of the median distance of the points. Only the first ``points`` of
    the training set are used: time grows with their cube.

    Attributes:
        matrix: Kind of kernel.
    """

    matrix: ClassVar[type[MatrixKernel]]

    def space(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest kernel, bandwidth and regularisation."""
        return {
            "kernel": trial.suggest_categorical("kernel", list(KERNELS)),
            "bandwidth": trial.suggest_float("bandwidth", 0.05, 2.0, log=True),
            "strength": trial.suggest_float("strength", 1e-6, 1e-1, log=True),
        }

    def fit(
        self,
        points: Array,
        rng: Generator,
        *,
        kernel: str,
        bandwidth: float,
        strength: float,
        limit: int = 1000,
    ) -> KernelScore:
        """Solve for the coefficients of the score; takes the first ``limit`` points."""
        centres = torch.from_numpy(points[:limit])
        length = bandwidth * median_distance(centres)
        matrix = self.matrix(KERNELS[kernel])
        near = (centres - centres.mean(0)) / length
        return KernelScore(matrix, centres, length, self.solve(matrix, near, strength))

    def solve(self, kernel: MatrixKernel, y: Tensor, strength: float) -> Solution:
        """Solve by Tikhonov's regularisation unless a subclass does otherwise."""
        return tikhonov(kernel, y, strength)


@methods.register("stein")
class Stein(KernelMethod):
    """Stein gradient estimator: kernel ridge regression of the score, each coordinate by itself.

    Li and Turner 2018, "Gradient estimators for implicit models", with λ = η/n.
    """

    matrix = Diagonal


@methods.register("kef")
class KernelExponentialFamily(KernelMethod):
    """Kernel exponential family: the log density is a function of the kernel's space.

    Sriperumbudur et al. 2017, "Density estimation in infinite dimensional exponential families", in
    the form of Zhou, Shi and Zhu 2020.
    """

    matrix = CurlFree
    gives = "energy"


@methods.register("ssge")
class SSGE(KernelMethod):
    """Spectral Stein gradient estimator: the score in the leading eigenfunctions of a kernel.

    Shi, Sun and Zhu 2018, "A spectral approach to gradient estimation for implicit distributions".
    """

    matrix = Diagonal

    def solve(self, kernel: MatrixKernel, y: Tensor, strength: float) -> Solution:
        """Solve on the eigenvalues above ``strength`` of the largest."""
        return cut_off(kernel, y, strength)


def median_distance(points: Tensor) -> float:
    """Compute the median distance of points (n, d); 1 if they coincide."""
    squares = half_squares(points, points)
    pairs = squares[tuple(torch.triu_indices(len(points), len(points), 1))]
    return float((2 * pairs).sqrt().median()) if len(pairs) and float(pairs.max()) > 0 else 1.0
