"""Forty Gaussians at random places: the usual first test of neural samplers."""

import math

import torch

from . import datasets
from .errors import require_within
from .mixture import GaussianMixture


@datasets.register("gmm40")
class FortyGaussians(GaussianMixture):
    """Forty equal Gaussians (standard deviation 1.313) at random places in [-40, 40]².

    The target of FAB (Midgley et al. 2023) and iDEM (Akhound-Sadegh et al. 2024), whose code draws
    the centres in single precision right after ``torch.manual_seed(0)``.

    Args:
        scale: Factor of all lengths, 0.01 to 10; 0.1 brings the data to ordinary size.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        require_within("scale", scale, 0.01, 10, whole=False)
        uniform = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
        centres = (uniform - 0.5) * 2 * 40
        # Their softplus(1) is called a log variance and used as a standard deviation.
        super().__init__(scale * centres.double(), noise=scale * math.log1p(math.e))
