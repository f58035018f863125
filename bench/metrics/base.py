"""What every metric offers: made once per reference sample, called once per model."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ...datasets.base import Dataset
from ...datasets.errors import UsageError
from ...methods.model import Model
from ...methods.setting import Setting

__all__ = ["Measure", "Metric", "Model", "ModelMetric", "Setting", "Subject"]


class Subject(NamedTuple):
    """What is measured.

    Attributes:
        samples: Points made by a sampler, shape (n, d).
        model: What they were made from, one member; None for points of the truth itself.
        target: Noise level of the density that the model was to learn.
    """

    samples: Tensor
    model: Model | None = None
    target: float = 0.0


class Measure(ABC):
    """A number that says how far samples, or the model behind them, are from the truth.

    Whatever depends on the dataset and the reference alone is prepared by the constructor;
    nothing may be fitted to the samples, or a bad model could soften its own score.

    Args:
        dataset: The distribution the samples should follow.
        reference: Truth sample that samples are compared with, shape (m, d), m >= 2.

    Attributes:
        worst: Value of what cannot be scored, such as samples that are not finite.
        needs: What is looked at: the ``samples``, or the ``score`` or ``energy`` of the model.
        cost: What it costs, in words.
        diagnostic: Whether it is blind to something that matters, so that it should not rank.
    """

    worst: ClassVar[float] = math.inf
    needs: ClassVar[Literal["samples", "score", "energy"]] = "samples"
    cost: ClassVar[str] = "linear in the number of samples"
    diagnostic: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a metric of which larger values are better.

        Raises:
            UsageError: ``direction`` is ``"max"``.
        """
        super().__init_subclass__(**kwargs)
        direction = getattr(cls, "direction", "min")
        if direction != "min":
            raise UsageError(
                f"the metric {cls.__name__} has direction = {direction!r}: metrics are losses, "
                "smaller is better; remove direction and return the negative value, or 1 - value"
            )

    def __init__(self, dataset: Dataset, reference: Tensor) -> None:
        self.dataset = dataset
        self.reference = _points(reference, dataset.dim, "the reference")

    @classmethod
    def unfit(cls, setting: Setting) -> str | None:  # noqa: ARG003 - others look at it
        """Why the metric has no value in this setting; None if it has."""
        return None

    @abstractmethod
    def measure(self, subject: Subject) -> float:
        """Value for one subject; NaN where it does not apply."""


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
    """A distance between a model and the truth that no sampler has a part in."""

    def measure(self, subject: Subject) -> float:
        """Score the model alone; ``worst`` where that is no number."""
        if subject.model is None or subject.model.is_truth:
            return self.of_truth()
        with torch.no_grad():
            # Looking at a model is no part of what sampling from it costs.
            evaluations = subject.model.evaluations
            value = self.of_model(subject.model, subject.target)
            subject.model.evaluations = evaluations
        return self.worst if math.isnan(value) else value

    @abstractmethod
    def of_model(self, model: Model, target: float) -> float:
        """Score a model of one member; NaN if anything of it is not finite."""

    def of_truth(self) -> float:
        """Value of the truth itself."""
        return 0.0


def _points(x: Tensor, dim: int, what: str) -> Tensor:
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] != dim:
        raise UsageError(
            f"{what} of a metric have shape {tuple(x.shape)}: at least 2 points of dimension {dim}"
            f" are needed, shape (n, {dim})"
        )
    return x.detach().to("cpu", torch.float64)
