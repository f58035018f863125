"""Mean embeddings of the truth under Gaussian kernels, without a sample of it.

With k(x, y) = exp(-|x - y|²/2ℓ²) the mean embedding of p is one of its smoothed densities,

    μ(x) = E_{y~p} k(x, y) = (2πℓ²)^{d/2} p_ℓ(x),   c = E k(y, y') = (2πℓ²)^{d/2} ∫ p_{ℓ/√2}²,

and the variance of MMD² under the hypothesis that samples follow p is 2C/n² with
C = E k² - 2 E μ² + c² (Gretton et al. 2012, theorem 12, for one sample instead of two).
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from ...datasets.base import Density
from ...datasets.box import box_of
from ...datasets.cache import cached
from ...datasets.curve import BlurredCurve
from ...datasets.errors import UsageError
from ...datasets.mixture import GaussianMixture
from .mmd import LEVELS, median_distance
from .plane import curve_log_prob, nodes

# Cubic splines with this many steps per length of the blur are right to 1e-6 of the peak.
_STEPS = 10
# Larger splines cost more than exact values.
_MOST_CELLS = 6000


class Embedding(NamedTuple):
    """The embedding of a dataset under one Gaussian kernel.

    Attributes:
        bandwidth: ℓ.
        mean: μ, from points (n, d) to (n,).
        constant: c, E k(y, y') over independent y and y'.
        spread: C, the variance of the kernel centred in both arguments.
    """

    bandwidth: float
    mean: Callable[[Tensor], Tensor]
    constant: float
    spread: float

    def null_sd(self, n: int) -> float:
        """Return the standard deviation of MMD² between the truth and n points of it."""
        return math.sqrt(2 * self.spread) / n


@lru_cache(maxsize=16)
def embeddings(dataset: Density) -> tuple[Embedding, ...]:
    """Embed a dataset at the bandwidths of ``mmd``, from wide to narrow.

    Raises:
        UsageError: The integral c has neither a closed form nor a quadrature rule.
    """
    widest = median_distance(dataset)
    return tuple(embed(dataset, widest * 0.5**k) for k in range(LEVELS))


def known(dataset: Density) -> bool:
    """Check whether ``embeddings`` supports a dataset."""
    return dataset.dim == 2 or isinstance(dataset, GaussianMixture)


def embed(dataset: Density, ell: float) -> Embedding:
    """Embed a dataset at bandwidth ``ell``; raises as ``embeddings``."""
    if not known(dataset):
        raise UsageError(
            f"the kernel means of {type(dataset).__name__} are unknown for d = {dataset.dim}: they"
            " are known for d = 2 and for Gaussian mixtures"
        )
    mean = kernel_mean(dataset, ell)

    def make() -> dict[str, Tensor]:
        constant = _constant(dataset, ell)
        square = _square(dataset, ell, mean)
        # The square of a Gaussian kernel is the kernel of width ℓ/√2.
        spread = _constant(dataset, ell / math.sqrt(2)) - 2 * square + constant**2
        return {"both": torch.tensor([constant, spread], dtype=torch.float64)}

    constant, spread = cached("embedding", dataset, ell, make=make)["both"].tolist()
    return Embedding(ell, mean, constant, spread)


def _constant(dataset: Density, ell: float) -> float:
    """Compute c, the mean of the kernel over independent pairs of points."""
    if isinstance(dataset, GaussianMixture):
        width = ell**2 + 2 * dataset.noise**2
        gaps = torch.cdist(dataset.centres, dataset.centres).square()
        w = dataset.weights
        pairs = w[:, None] * w * torch.exp(-gaps / (2 * width))
        return float(pairs.sum() * (ell**2 / width) ** (dataset.dim / 2))
    rule = nodes(dataset, ell / math.sqrt(2))
    return 2 * math.pi * ell**2 * float((rule.mass * rule.log_prob.exp()).sum())


def _square(dataset: Density, ell: float, mean: Callable[[Tensor], Tensor]) -> float:
    """Compute E μ², by quadrature in the plane; elsewhere random points would miss its digits."""
    if dataset.dim == 2 or not isinstance(dataset, GaussianMixture):
        rule = nodes(dataset, 0.0)
        return float((mean(rule.x).square() * rule.mass).sum())
    # μ is a sum of Gaussians of variance s, and a product of two is one of variance s/2 between.
    s, v, w = ell**2 + dataset.noise**2, dataset.noise**2, dataset.weights
    norm = math.pow(ell**2 / s, dataset.dim) * math.pow(s / (s + 2 * v), dataset.dim / 2)
    total = 0.0
    for centre, weight in zip(dataset.centres, w, strict=True):
        apart = torch.exp(-(dataset.centres - centre).square().sum(1) / (4 * s))
        gaps = torch.cdist((dataset.centres + centre) / 2, dataset.centres).square()
        total += float(weight * (w * apart) @ torch.exp(-gaps / (s + 2 * v)) @ w)
    return norm * total


@lru_cache(maxsize=32)
def kernel_mean(dataset: Density, ell: float) -> Callable[[Tensor], Tensor]:
    """Make μ of a Gaussian kernel of width ``ell``: a fast function from points (n, d) to (n,)."""
    log_norm = dataset.dim / 2 * math.log(2 * math.pi * ell**2)

    def exact(x: Tensor) -> Tensor:
        return (dataset.log_prob(x, ell) + log_norm).exp()

    if not isinstance(dataset, BlurredCurve):
        return exact
    box = box_of(dataset)
    half = box.extent + 0.5 * box.unit + min(ell, box.unit)
    cells = math.ceil(2 * half * _STEPS / dataset.tau(ell))
    return exact if cells > _MOST_CELLS else _Spline(dataset, ell, exact, half, cells)


class _Spline:
    """The mean embedding of a blurred curve by a spline; exact outside the spline's square."""

    def __init__(
        self,
        dataset: BlurredCurve,
        ell: float,
        exact: Callable[[Tensor], Tensor],
        half: float,
        cells: int,
    ) -> None:
        self._exact = exact
        self.centre = box_of(dataset).centre
        self.half = half
        axis = torch.linspace(-self.half, self.half, cells + 1, dtype=torch.float64)

        def make() -> dict[str, Tensor]:
            return {"values": curve_log_prob(dataset, ell, axis).exp() * (2 * math.pi * ell**2)}

        values = cached("kernel mean", dataset, ell, make=make)["values"]
        self._spline = RectBivariateSpline(axis.numpy(), axis.numpy(), values.numpy())

    def __call__(self, x: Tensor) -> Tensor:
        place = x - self.centre
        inside = (place.abs() <= self.half).all(1)
        out = torch.empty(len(x), dtype=torch.float64)
        near = place[inside].numpy()
        out[inside] = torch.from_numpy(self._spline.ev(near[:, 0], near[:, 1]))
        if not bool(inside.all()):
            out[~inside] = self._exact(x[~inside])
        return out
