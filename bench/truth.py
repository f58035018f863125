"""The truth that runs are scored on: one sample for tuning, another for the final word."""

import functools
import json
from collections.abc import Iterable
from typing import Literal

from torch import Tensor

from ..datasets import get_dataset
from ..datasets.base import Dataset
from .from_spec import identity
from .metrics import metrics
from .metrics.base import Measure, Model, Subject
from .spec import Plugin, RunSpec
from .streams import generator

Split = Literal["validation", "test"]


def split_of(spec: RunSpec) -> Split:
    """Search sees the validation truth only; everything that is reported sees the test truth."""
    return "validation" if spec.phase == "search" else "test"


class Judge:
    """Metrics against one truth sample.

    Args:
        dataset: The distribution.
        truth: Sample of it, shape (n, d).
        names: Which metrics.
    """

    def __init__(self, dataset: Dataset, truth: Tensor, names: Iterable[str]) -> None:
        self.metrics: dict[str, Measure] = {
            name: metrics.get(name)(dataset, truth) for name in names
        }

    def score(
        self, samples: Tensor, model: Model | None = None, target: float = 0.0
    ) -> dict[str, float]:
        """Value of every metric for samples of shape (n, d) and the model behind them.

        Args:
            samples: Points.
            model: What they were made from; None for the truth itself.
            target: Noise level of the density that the model was to learn.
        """
        subject = Subject(samples, model, target)
        return {name: metric.measure(subject) for name, metric in self.metrics.items()}

    def score_samples(self, samples: Tensor) -> dict[str, float]:
        """Value of those metrics that look at samples alone."""
        subject = Subject(samples)
        found = {n: metric for n, metric in self.metrics.items() if metric.needs == "samples"}
        return {name: metric.measure(subject) for name, metric in found.items()}


def judge_of(spec: RunSpec) -> Judge:
    """The judge of a run: equal for all runs of a study on the same dataset and split."""
    return _judge(
        spec.dataset.name,
        json.dumps(spec.dataset.options, sort_keys=True),
        spec.seed,
        split_of(spec),
        spec.evaluation.samples,
        spec.evaluation.metrics,
    )


@functools.lru_cache(maxsize=32)
def _judge(
    name: str, options: str, seed: int, split: Split, n: int, names: tuple[str, ...]
) -> Judge:
    dataset = get_dataset(name, **json.loads(options))
    where = identity(Plugin(name=name, options=json.loads(options)))
    return Judge(dataset, dataset.sample(n, generator(seed, split, where, "truth")), names)
