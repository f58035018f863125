"""Maximum mean discrepancy against the truth itself instead of a sample of it.

MMD² = mean_{i≠j} k(x_i, x_j) - (2/n) Σ μ(x_i) + c, with μ and c known (see ``embedding``). It is
unbiased like the two-sample estimate, and at equal n its noise is half as large.
"""

from typing import ClassVar

import torch
from torch import Tensor

from ...datasets.base import Dataset, density_of
from . import metrics
from .base import Metric, Setting, origin
from .embedding import embeddings, known
from .mmd import pair_sums, precise_pair_sums

# Single precision resolves no MMD² whose noise is smaller: in many dimensions the kernel values of
# all pairs but the nearest are tiny at narrow bandwidths.
_FAINT = 1e-17


class _Exact(Metric):
    """MMD² at some bandwidths: numbers ``first`` to ``last``, each half the bandwidth before."""

    cost: ClassVar[str] = "square of the number of samples: about 1 s for 10,000"
    needs_density: ClassVar[bool] = True
    first: ClassVar[int] = 0
    last: ClassVar[int] = 5

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        super().__init__(dataset, reference)
        self.embeddings = embeddings(self.density)[self.first : self.last + 1]
        self._origin = origin(self.reference)
        self.bandwidths = torch.tensor([e.bandwidth for e in self.embeddings], dtype=torch.float64)

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        if not known(density_of(setting.dataset)):
            return "the kernel means of the truth are known for d = 2 and Gaussian mixtures only"
        return None

    def value(self, samples: Tensor) -> float:
        """Average ``per_bandwidth``."""
        return float(self.per_bandwidth(samples).mean())

    def per_bandwidth(self, samples: Tensor) -> Tensor:
        """Compute MMD² at each of ``bandwidths``, float64, for samples of shape (n, d)."""
        n = len(samples)
        scaled = (samples - self._origin) / (float(self.bandwidths[0]) * 2**0.5)
        levels = len(self.embeddings)
        if self.embeddings[-1].null_sd(n) < _FAINT:
            within = precise_pair_sums(scaled, levels) * 2 / (n * (n - 1))
        else:
            within = pair_sums(scaled.float().T.contiguous(), levels) * 2 / (n * (n - 1))
        across = torch.stack([e.mean(samples).mean() for e in self.embeddings])
        constants = torch.tensor([e.constant for e in self.embeddings], dtype=torch.float64)
        return within - 2 * across + constants


@metrics.register("mmd_exact")
class ExactMMD(_Exact):
    """Unbiased MMD² from the truth itself, averaged over the six bandwidths of ``mmd``."""


@metrics.register("mmd_z")
class StandardisedMMD(_Exact):
    """MMD² from the truth itself in units of its noise, averaged over six bandwidths.

    At each bandwidth it is divided by its standard deviation for as many points of the truth, so
    that no bandwidth dominates. Unlike ``mmd_exact`` it grows with n.
    """

    def value(self, samples: Tensor) -> float:
        sd = torch.tensor([e.null_sd(len(samples)) for e in self.embeddings], dtype=torch.float64)
        return float((self.per_bandwidth(samples) / sd).mean())


@metrics.register("mmd_1")
class MMD1(_Exact):
    """MMD² from the truth itself at the median distance: sees only coarse errors."""

    first, last = 0, 0


@metrics.register("mmd_2")
class MMD2(_Exact):
    """MMD² from the truth itself at the median distance / 2."""

    first, last = 1, 1


@metrics.register("mmd_4")
class MMD4(_Exact):
    """MMD² from the truth itself at the median distance / 4."""

    first, last = 2, 2


@metrics.register("mmd_8")
class MMD8(_Exact):
    """MMD² from the truth itself at the median distance / 8."""

    first, last = 3, 3


@metrics.register("mmd_16")
class MMD16(_Exact):
    """MMD² from the truth itself at the median distance / 16."""

    first, last = 4, 4


@metrics.register("mmd_32")
class MMD32(_Exact):
    """MMD² from the truth itself at the median distance / 32: sees fine errors."""

    first, last = 5, 5
