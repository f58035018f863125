"""Base classes of metrics: made once per reference sample, called once per model."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ...datasets.base import Dataset, Density, density_of
from ...datasets.errors import UsageError
from ...methods.model import Model
from ...methods.setting import Setting

__all__ = ["Measure", "Metric", "Model", "ModelMetric", "Setting", "Subject", "origin"]


# Means of this many standard deviations cost four of the 24 binary digits of single precision.
_FAR = 16.0


class Subject(NamedTuple):
    """Samples, and the model behind them.

    Attributes:
        samples: Points made by a sampler, shape (n, d).
        model: Model that they were sampled from, one member; None for points of the truth itself.
        target: Noise level of the density that the model should learn.
    """

    samples: Tensor
    model: Model | None = None
    target: float = 0.0


class Measure(ABC):
    """A distance of samples, or of the model behind them, from the truth; smaller is better.

    The constructor prepares everything that depends on the dataset and the reference alone;
    nothing may be fitted to the samples, so a bad model cannot improve its own score.

    Args:
        dataset: The distribution the samples should follow.
        reference: Truth sample that samples are compared with, shape (m, d), m >= 2.
            Further arguments of a subclass, keywords with defaults, are options of studies.

    Attributes:
        worst: Value of subjects that cannot be scored, such as samples that are not finite.
        needs: Part of the subject that is used: its ``samples``, or the ``score`` or ``energy``
            of its model.
        cost: Computing cost, in words.
        diagnostic: Whether it misses an important kind of error, so that it should not rank.
        needs_density: Whether it uses the log density of the data, ``density``; samples of data
            that can only be drawn from then have no value.
    """

    worst: ClassVar[float] = math.inf
    needs: ClassVar[Literal["samples", "score", "energy"]] = "samples"
    cost: ClassVar[str] = "linear in the number of samples"
    diagnostic: ClassVar[bool] = False
    needs_density: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Raise ``UsageError`` for ``direction="max"``: smaller values must be better."""
        super().__init_subclass__(**kwargs)
        direction = getattr(cls, "direction", "min")
        if direction != "min":
            raise UsageError(
                f"the metric {cls.__name__} has direction = {direction!r}: metrics are losses, "
                "smaller is better; remove direction and return the negative value, or 1 - value"
            )

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        self.dataset = dataset
        self.reference = _points(reference, dataset.dim, "the reference points")

    @property
    def density(self) -> Density:
        """The dataset, whose log density is known."""
        return density_of(self.dataset)

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:
        """Return why the metric has no value in this setting; None if it has one."""
        return None

    @abstractmethod
    def measure(self, subject: Subject) -> float:
        """Measure one subject; NaN where the metric does not apply."""


class Metric(Measure):
    """A distance between samples and the truth."""

    def measure(self, subject: Subject) -> float:
        """Score the samples alone."""
        return self(subject.samples)

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


class ModelMetric(Measure):
    """A distance between a model and the truth, independent of any sampler."""

    def measure(self, subject: Subject) -> float:
        """Score the model alone; ``worst`` where the value is NaN."""
        if subject.model is None or subject.model.is_truth:
            return self.of_truth()
        with torch.no_grad():
            # Measuring a model does not count as a cost of sampling from it.
            evaluations = subject.model.evaluations
            value = self.of_model(subject.model, subject.target)
            subject.model.evaluations = evaluations
        return self.worst if math.isnan(value) else value

    def spectrum(self, model: Model) -> Tensor | None:
        """Tabulate noise levels and their share of the value, (levels, 2); None without levels."""
        return None

    @abstractmethod
    def of_model(self, model: Model, target: float) -> float:
        """Score a model of one member; NaN if any of its values is not finite."""

    def of_truth(self) -> float:
        """Return the value of the truth itself."""
        return 0.0


def origin(reference: Tensor) -> Tensor:
    """Find a point near the data, shape (d,), to subtract before numbers lose digits.

    A coordinate is 0 unless the mean of the reference (m, d) is far from 0 for its spread: samples
    around 0 keep their bits.
    """
    mean, spread = reference.mean(0), reference.std(0).square().mean().sqrt()
    return mean.where(mean.abs() > _FAR * spread, 0.0)


def _points(x: Tensor, dim: int, name: str) -> Tensor:
    """Check the shape of points and return them in double precision on the CPU."""
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] != dim:
        raise UsageError(
            f"{name} of a metric have shape {tuple(x.shape)}: give at least 2 points of dimension"
            f" {dim}, shape (n, {dim})"
        )
    return x.detach().to("cpu", torch.float64)
