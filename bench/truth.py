"""The truth samples that runs are scored on: validation for the search, test for the rest."""

import functools
from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from ..datasets.base import Dataset
from .from_spec import dataset_of, identity
from .metrics import metrics
from .metrics.base import Measure, Model, Subject
from .spec import RunSpec
from .streams import generator

Split = Literal["validation", "test"]


def split_of(spec: RunSpec) -> Split:
    """Return the truth sample of a run: search uses validation only, all other phases test."""
    return "validation" if spec.phase == "search" else "test"


class Judge:
    """Metrics of samples and models against one truth sample, shape (n, d)."""

    def __init__(self, dataset: Dataset, truth: Tensor, names: Iterable[str]) -> None:
        self.metrics: dict[str, Measure] = {
            name: metrics.get(name)(dataset, truth) for name in names
        }

    def score(
        self, samples: Tensor, model: Model | None = None, target: float = 0.0
    ) -> dict[str, float]:
        """Measure every metric of samples (n, d), and of their model (None for the truth itself).

        ``target`` is the noise level of the density that the model should learn.
        """
        subject = Subject(samples, model, target)
        return {name: metric.measure(subject) for name, metric in self.metrics.items()}

    def score_samples(self, samples: Tensor) -> dict[str, float]:
        """Measure the metrics that need samples alone, shape (n, d)."""
        subject = Subject(samples)
        return {
            name: metric.measure(subject)
            for name, metric in self.metrics.items()
            if metric.needs == "samples"
        }


def judge_of(spec: RunSpec) -> Judge:
    """Return the judge of a run, the same for all runs of a study on one dataset and split."""
    return _judge(
        dataset_of(spec),
        identity(spec.dataset),
        spec.seed,
        split_of(spec),
        spec.evaluation.samples,
        spec.evaluation.metrics,
    )


@functools.lru_cache(maxsize=32)
def _judge(
    dataset: Dataset, plugin: str, seed: int, split: Split, n: int, names: tuple[str, ...]
) -> Judge:
    return Judge(dataset, dataset.sample(n, generator(seed, split, plugin, "truth")), names)
