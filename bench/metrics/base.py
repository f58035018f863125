"""What every metric offers: made once per reference sample, called once per model."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import UsageError


class Metric(ABC):
    """A number that says how far samples are from the truth.

    Whatever depends on the dataset and the reference alone is prepared by the constructor;
    nothing may be fitted to the samples, or a bad model could soften its own score.

    Args:
        dataset: The distribution the samples should follow.
        reference: Truth sample that samples are compared with, shape (m, d), m >= 2.

    Attributes:
        direction: Whether smaller or larger is better.
        worst: Value of samples that cannot be scored, such as non-finite ones.
    """

    direction: ClassVar[Literal["min", "max"]] = "min"
    worst: ClassVar[float] = math.inf

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        self.dataset = dataset
        self.reference = _points(reference, dataset.dim, "the reference")

    def __call__(self, samples: Tensor) -> float:
        """Score samples of shape (n, d), n >= 2; ``worst`` if any coordinate is not finite.

        Coordinates that single precision cannot hold (beyond 3e38) count as not finite.

        Raises:
            UsageError: The samples have the wrong shape.
        """
        points = _points(samples, self.dataset.dim, "the samples")
        if not bool(torch.isfinite(points.float()).all()):
            return self.worst
        return self.value(points)

    @abstractmethod
    def value(self, samples: Tensor) -> float:
        """Score finite float64 samples of shape (n, d)."""


def _points(x: Tensor, dim: int, what: str) -> Tensor:
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] != dim:
        raise UsageError(
            f"{what} of a metric have shape {tuple(x.shape)}: at least 2 points of dimension {dim}"
            f" are needed, shape (n, {dim})"
        )
    return x.detach().to("cpu", torch.float64)
