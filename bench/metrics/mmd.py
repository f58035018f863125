"""Maximum mean discrepancy with Gaussian kernels of several fixed bandwidths, in one pass.

Gretton et al. 2012, "A kernel two-sample test", equation 3: for a kernel k the unbiased estimate

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j).

Successive bandwidths differ by a factor 2, so each kernel value is the fourth power of the one
before: the distances and one exponential per pair serve all bandwidths.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import UsageError
from . import metrics
from .base import Metric

LEVELS = 6
"""Number of bandwidths: the median distance times 1, 1/2, ..., 1/32."""

_PROBE_POINTS = 1000
_PROBE_SEED = 20_110_415

# Two float32 tiles of this many pairs stay in the second-level cache.
_TILE = 1 << 17
_COLUMNS = 1 << 11

# Exponentials that underflow take a path up to five hundred times slower, and every pair of a far
# outlier, as of a diverging sampler, underflows. exp(-80) is negligible.
_FARTHEST = -80.0

# Squaring kernel values ends below the smallest normal float32, where processors are a hundred
# times slower. This addend keeps the next square normal and is far below any rounding error.
_TINY = 2e-19


@metrics.register("mmd")
class MMD(Metric):
    """Unbiased MMD² of a Gaussian kernel averaged over six bandwidths fixed by the dataset.

    The mean of MMD² over bandwidths is MMD² of the averaged kernel. It is an unbiased estimate
    of a number that is 0 only for the right distribution, so it may be negative.

    Attributes:
        bandwidths: Kernel widths in the units of the data, those of the option or, by default, the
            median distance of its points times 1, 1/2, ..., 1/32.
    """

    def __init__(
        self, dataset: Dataset, reference: Tensor, *, bandwidths: Sequence[float] = ()
    ) -> None:
        super().__init__(dataset, reference)
        self._centre = self.reference.mean(0)
        if bandwidths:
            # One pass over the pairs for each: they need not halve from one to the next.
            self._passes = [(_width(width), 1) for width in bandwidths]
            self.bandwidths = torch.tensor(self._passes, dtype=torch.float64)[:, 0]
        else:
            self._passes = [(median_distance(dataset), LEVELS)]
            halves = 0.5 ** torch.arange(LEVELS, dtype=torch.float64)
            self.bandwidths = self._passes[0][0] * halves
        self._references = [self._prepare(self.reference, width) for width, _ in self._passes]

    def value(self, samples: Tensor) -> float:
        """Average ``per_bandwidth``."""
        return float(self.per_bandwidth(samples).mean())

    def per_bandwidth(self, samples: Tensor) -> Tensor:
        """Compute MMD² at each of ``bandwidths``, float64, for samples (n, d)."""
        parts = []
        for (width, levels), y, within in zip(
            self._passes, self._references, self._within_reference, strict=True
        ):
            x = self._prepare(samples, width)
            cross = kernel_sums(x, y, levels) / (x.shape[1] * y.shape[1])
            parts.append(_mean_of_pairs(x, levels) + within - 2 * cross)
        return torch.cat(parts)

    @cached_property
    def _within_reference(self) -> list[Tensor]:
        pairs = zip(self._references, self._passes, strict=True)
        return [_mean_of_pairs(points, levels) for points, (_, levels) in pairs]

    def _prepare(self, points: Tensor, width: float) -> Tensor:
        """Return coordinates as rows, in units where the kernel of a width is exp(-|x - y|²)."""
        return ((points.double() - self._centre) / (width * 2**0.5)).float().T.contiguous()


def _width(given: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise UsageError(f"bandwidths holds {given!r}: each must be a number > 0")
    return float(given)


def median_distance(dataset: Dataset) -> float:
    """Compute the median distance between 1000 points of the dataset, always the same points.

    Raises:
        UsageError: The dataset has no spread.
    """
    probe = dataset.upto(_PROBE_POINTS, torch.Generator().manual_seed(_PROBE_SEED))
    median = float(torch.nn.functional.pdist(probe.double()).median())
    if not 0 < median < float("inf"):
        raise UsageError(
            f"the median distance between points of {type(dataset).__name__} is {median}: MMD"
            " needs a positive, finite bandwidth"
        )
    return median


def kernel_sums(x: Tensor, y: Tensor, levels: int) -> Tensor:
    """Sum exp(-4^k |x - y|²) over all pairs, for k = 0 ... levels - 1: shape (levels,), float64.

    The points x (d, n) and y (d, m) are columns, float32, contiguous. Extra memory is two tiles of
    half a megabyte, for any number of points. Kernel values are float32 and their sums float64. A
    relative error of 1e-7 in the widest kernel grows by 4^k, equally in each term of MMD², to about
    1e-5 of the narrowest kernel's value.
    """
    total = torch.zeros(levels, dtype=torch.float64)
    for tile, _, _ in _tiles(x, y, triangular=False):
        _add_powers(tile, total)
    return total


def pair_sums(x: Tensor, levels: int) -> Tensor:
    """Sum exp(-4^k |x_i - x_j|²) over pairs i < j: see ``kernel_sums``."""
    total = torch.zeros(levels, dtype=torch.float64)
    for tile, row, column in _tiles(x, x, triangular=True):
        if row == column:
            tile[:, : tile.shape[0]].triu_(1)
        _add_powers(tile, total)
    return total


def precise_pair_sums(x: Tensor, levels: int) -> Tensor:
    """Compute ``pair_sums`` of float64 points (n, d) in double precision, down to 1e-308."""
    total = torch.zeros(levels, dtype=torch.float64)
    squares = x.square().sum(1)
    rows = max(1, _TILE // len(x))
    for first in range(0, len(x), rows):
        part = slice(first, first + rows)
        tile = squares[part, None] + squares[first:] - 2 * x[part] @ x[first:].T
        tile = tile.clamp_min_(0).neg_().exp_().triu_(1)
        for level in range(levels):
            tile = tile.pow_(4) if level else tile
            total[level] += tile.sum()
    return total


def _mean_of_pairs(x: Tensor, levels: int) -> Tensor:
    n = x.shape[1]
    return pair_sums(x, levels) * 2 / (n * (n - 1))


def _tiles(x: Tensor, y: Tensor, *, triangular: bool) -> Iterator[tuple[Tensor, int, int]]:
    """Yield the kernel matrix of the widest bandwidth in tiles, with their first row and column.

    ``triangular`` leaves out tiles wholly below the diagonal; rows then start on it. The next
    tile overwrites the memory of the one before.
    """
    dim, n = x.shape
    m = y.shape[1]
    columns = min(_COLUMNS, m)
    # No more rows than columns on the diagonal: its square then lies in a single tile.
    rows = max(1, min(_TILE // columns, columns if triangular else n))
    value, scratch = torch.empty(rows * columns), torch.empty(rows * columns)
    zero = torch.zeros(())
    for top in range(0, n, rows):
        height = min(rows, n - top)
        for left in range(top if triangular else 0, m, columns):
            width = min(columns, m - left)
            tile = value[: height * width].view(height, width)
            difference = scratch[: height * width].view(height, width)
            for axis in range(dim):
                # Differences, not |x|² + |y|² - 2xy: near pairs decide the narrow kernels.
                torch.sub(
                    x[axis, top : top + height, None],
                    y[axis, None, left : left + width],
                    out=difference,
                )
                before = tile if axis else zero
                torch.addcmul(before, difference, difference, value=-1, out=tile)
            yield tile.clamp_min_(_FARTHEST).exp_(), top, left


def _add_powers(tile: Tensor, total: Tensor) -> None:
    """Add the sums of the powers 1, 4, 16, ... of a tile to ``total``; overwrites the tile."""
    tiny = torch.tensor(_TINY)
    for level in range(len(total)):
        if level:
            torch.addcmul(tiny, tile, tile, out=tile)
            torch.addcmul(tiny, tile, tile, out=tile)
        total[level] += tile.sum(1).sum(dtype=torch.float64)
